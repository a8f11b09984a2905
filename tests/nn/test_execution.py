"""Every way to run a network that is derived from its layers gives what the plain forward pass gives."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depthlab.cli import explain
from depthlab.config.schema import DropEdgeSettings
from depthlab.data.dataset import Dataset
from depthlab.data.prepare import read
from depthlab.graph.large import LargeGraph
from depthlab.graph.neighbours import Neighbours
from depthlab.measures.layers import gradient_norms
from depthlab.nn.execution import _reserved, by_blocks, run, states, without_layer, works_by_blocks
from depthlab.nn.gcn import GCN
from depthlab.nn.gcnii import GCNII
from depthlab.nn.network import Network
from depthlab.nn.probe import ERRORS
from depthlab.training.build import make_network
from tests.nn.conftest import Gated
from tests.nn.test_all import CHOICES, CLASSES, EVERY, FEATURES, Choice, make_graph, make_model, settings
from tests.settings import dataset_settings
from tests.training.torch_dropout import TorchDropout

RANDOM = {"p_drop": 0.3, "drop_edge": DropEdgeSettings("renormalize", per_layer=True), "dropout": 0.4, "depth": 7}
WHOLE = ("acmp", "diffusion", "fagcn", "g2", "revgcn")  # several propagations a layer, or degrees of neighbours


def learned(network: Network) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("norm", ["none", "batch"])
@EVERY
def test_recomputed_or_fused_passes_are_the_plain_one(choice: Choice, norm: str, every: int) -> None:
    """Outputs, gradients, states and their gradients, running statistics, and the random bits that come next."""
    if norm != "none" and not hasattr(make_model(choice).network, "norms"):
        pytest.skip("no norm")
    graph, results = make_graph(), []
    for way in ("plain", "fused", "watched"):
        model = make_model(choice, **RANDOM, norm=norm).train()
        network, graphs = model.network, model.training_graph(graph, 2)
        if way == "plain":
            out = network(graph.x, graphs)
        else:
            out = run(network, graph.x, graphs, (lambda layer, state: None) if way == "watched" else None, every)
        loss = F.cross_entropy(out, graph.y)
        gradients = [torch.autograd.grad(loss, learned(network), retain_graph=again) for again in (True, False)]
        bits = network.masks.bits((9,), loss.device)
        results.append([out.detach(), *gradients, list(network.buffers()), bits])
    for result in results[1:]:
        torch.testing.assert_close(result, results[0])


@EVERY
def test_states_and_gradients_by_state_are_those_of_autograd(choice: Choice) -> None:
    graph, network = make_graph(), make_model(choice, depth=5).network.eval()
    assert isinstance(graph.x, Tensor)
    x = graph.x.clone().requires_grad_()
    seen = list(states(network, x, graph.layers))
    assert len(seen) == 6
    out = network(x, graph.layers)
    watched: dict[int, Tensor] = {}

    def loss(watch: Any) -> Tensor:
        def both(layer: int, state: Tensor) -> None:
            watched[layer] = state.detach()
            watch(layer, state)

        return F.cross_entropy(run(network, x, graph.layers, both, every=2), graph.y)

    norms = gradient_norms(loss)
    torch.testing.assert_close([watched[layer] for layer in range(6)], [state.detach() for state in seen])
    entering: list[Tensor] = []
    F.cross_entropy(run(network, x, graph.layers, lambda layer, state: entering.append(state)), graph.y)
    loss_again = F.cross_entropy(run(network, x, graph.layers, lambda layer, state: entering.append(state)), graph.y)
    exact = torch.autograd.grad(loss_again, entering[6:], allow_unused=True)
    assert norms == pytest.approx([0.0 if grad is None else float(grad.norm()) for grad in exact])
    torch.testing.assert_close(run(network, x, graph.layers), out)


@EVERY
def test_a_layer_is_cut_out(choice: Choice) -> None:
    graph, network = make_graph(), make_model(choice, depth=4).network.eval()
    seen = list(states(network, graph.x, graph.layers))
    for cut in range(4):
        if seen[cut].shape != seen[cut + 1].shape:
            with pytest.raises(ValueError, match=f"^layer {cut} cannot be cut: "):
                without_layer(network, graph.x, graph.layers, cut)
            continue
        state, graphs = network.encode(graph.x, graph.layers)
        for number in range(4):
            new = network.layer(number, state, graphs.at(number))
            state = (seen[cut], *new[1:]) if number == cut else new
        torch.testing.assert_close(without_layer(network, graph.x, graph.layers, cut), network.decode(state))


# Blocks of rows ------------------------------------------------------------------------------------------------------

NODES = 130


@pytest.fixture
def large(tmp_path: Path) -> LargeGraph:
    data = read(dataset_settings(nodes=NODES, degree=5.0, features=FEATURES, classes=CLASSES))
    assert isinstance(data, Dataset)
    rows = Neighbours.of(data.edge_index, NODES)
    return LargeGraph(data.x, rows, data.y, *data.parts("0"), scratch=tmp_path)


def lively(choice: Choice, **changes: Any) -> Network:
    """A network whose norms and biases do something."""
    network = make_network(replace(settings(choice), **{"dropout": 0.5, **changes}), FEATURES, CLASSES).eval()
    for name, parameter in network.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter)
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 2)
    return network


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "pair"])
@EVERY
def test_blocks_of_rows_give_what_the_whole_graph_gives_or_are_not_used(
    choice: Choice, norm: str, large: LargeGraph
) -> None:
    if norm != "none" and not hasattr(lively(choice), "norms"):
        pytest.skip("no norm")
    network = lively(choice, norm=norm, depth=4)
    assert works_by_blocks(network, FEATURES) == (norm != "pair" and choice[0].removeprefix("model=") not in WHOLE)
    assert not network.training
    if works_by_blocks(network, FEATURES):
        whole = network(large.x, large.adjacency).detach()
        for rows in (NODES, 37):
            torch.testing.assert_close(by_blocks(network, large, rows=rows), whole, rtol=1e-4, atol=1e-5)
    assert list(large.scratch.iterdir()) == []


def test_one_layer_in_blocks(large: LargeGraph) -> None:
    network = lively(CHOICES["gcn"], depth=1)
    torch.testing.assert_close(
        by_blocks(network, large, rows=50), network(large.x, large.adjacency).detach(), rtol=1e-4, atol=1e-5
    )


class Doubling(GCNII):
    """Has layers of its own, and inherits the fused pass of other ones."""

    def layer(self, number: int, state: Any, graph: Any) -> Any:
        return (2 * state[0], *state[1:])


def test_a_subclass_with_layers_of_its_own_is_not_run_by_the_fused_pass_of_its_parent() -> None:
    graph, network = make_graph(), Doubling(FEATURES, CLASSES, 3).double().eval()
    torch.testing.assert_close(run(network, graph.x, graph.layers), network(graph.x, graph.layers))


def test_torchs_own_dropout_is_the_same_where_layers_are_recomputed() -> None:
    graph, network, gradients = make_graph(), TorchDropout(FEATURES, CLASSES, 6).double(), []
    for every in (None, 2):
        torch.manual_seed(1)
        loss = F.cross_entropy(run(network, graph.x, graph.layers, every=every), graph.y)
        gradients.append(torch.autograd.grad(loss, learned(network)))
    torch.testing.assert_close(gradients[1], gradients[0])


class Averaging(GCN):
    """Divides states by a moving average of their size, one for all layers, written in place or replaced."""

    average: Tensor

    def __init__(self, *sizes: Any, in_place: bool) -> None:
        super().__init__(*sizes)
        self.in_place = in_place
        self.register_buffer("average", torch.ones(()))
        self.register_buffer("constant", torch.ones(3))

    def layer(self, number: int, state: Any, graph: Any) -> Any:
        (h,) = super().layer(number, state, graph)
        new = self.average.lerp(h.detach().abs().mean(), 0.5)
        self.average = self.average.copy_(new) if self.in_place else new
        return (h / self.average.clone(),)


@pytest.mark.parametrize("in_place", [True, False])
def test_buffers_count_a_step_once_where_layers_are_recomputed(in_place: bool) -> None:
    graph, results = make_graph(), []
    for every in (None, 2):
        torch.manual_seed(0)
        network = Averaging(FEATURES, CLASSES, 7, in_place=in_place).double()
        for _ in range(2):
            loss = F.cross_entropy(run(network, graph.x, graph.layers, every=every), graph.y)
            gradients = [torch.autograd.grad(loss, learned(network), retain_graph=again) for again in (True, False)]
        results.append([*gradients, network.average])
    torch.testing.assert_close(results[1], results[0])


class Pooled(GCN):
    """Adds the mean of all nodes, of which a block knows a part."""

    def layer(self, number: int, state: Any, graph: Any) -> Any:
        (h,) = super().layer(number, state, graph)
        return (h + state[0].mean(),)


class Shrinking(GCN):
    """Adds the mean of all nodes in the first layer; nothing of it is left in the output at the initial weights."""

    def layer(self, number: int, state: Any, graph: Any) -> Any:
        (h,) = super().layer(number, state, graph)
        return (h + state[0].mean() if number == 0 else h + 1e6 * (number == 1),)


class Centred(GCN):
    """Subtracts the mean of all nodes before the outputs are read."""

    def decode(self, state: Any) -> Tensor:
        return state[0] - state[0].mean(0)


class Unwritten(GCN):
    """Raises an error in a block, which is rectangular."""

    error: Exception

    def layer(self, number: int, state: Any, graph: Any) -> Any:
        if graph.matrix.shape[0] != graph.matrix.shape[1]:
            raise self.error
        return super().layer(number, state, graph)


@pytest.mark.parametrize("kind", [Pooled, Gated, Shrinking, Centred])
def test_a_network_that_mixes_all_nodes_does_not_work_by_blocks(kind: type[GCN]) -> None:
    network = kind(FEATURES, CLASSES, 3)
    assert not works_by_blocks(network, FEATURES)
    with torch.no_grad():  # nor if its outputs are small, as those of deep networks are
        network.weights[1].mul_(1e-6)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert not works_by_blocks(network, FEATURES)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_in_a_block_means_that_it_does_not_work(error: type[Exception]) -> None:
    network = Unwritten(FEATURES, CLASSES, 2)
    network.error = error("not in blocks")
    assert not works_by_blocks(network, FEATURES)


def test_states_lie_on_disk_and_what_is_passed_on_is_not_written_again(
    large: LargeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, opened, plain = lively(CHOICES["gcnii"], depth=4), list[Any](), tempfile.TemporaryFile

    def spied(**knobs: Any) -> Any:
        opened.append(plain(**knobs))
        return opened[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", spied)
    by_blocks(network, large, rows=50)
    assert len(opened) == 2 + 4  # the two entries of the first state, and one of each layer
    large.scratch.rmdir()
    with pytest.raises(FileNotFoundError):
        by_blocks(network, large)


def test_a_state_has_its_room_before_it_is_written(large: LargeGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, plain = [], tempfile.TemporaryFile

    def spied(**knobs: Any) -> Any:
        opened.append(plain(**knobs))
        return opened[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", spied)
    _reserved(large, torch.Size([5000]))
    assert os.fstat(opened[0].fileno()).st_blocks * 512 >= 4 * NODES * 5000


def test_a_state_without_room_ends_in_one_sentence(large: LargeGraph, no_room: None) -> None:
    with pytest.raises(OSError, match="File too large") as error:
        by_blocks(lively(CHOICES["gcn"]), large)
    assert str(explain(error.value)).startswith(f"cannot write {large.scratch}, ")
