"""Read states with hooks: PyG networks, shared layers, wrappers, and patterns of names."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from depthlab.config.errors import UserError
from depthlab.graph.graph import Graph
from depthlab.measures.layers import layer_measures
from depthlab.nn.execution import states as own_states
from depthlab.nn.gcn import GCN
from depthlab.nn.observe import observe
from tests.nn.conftest import CLASSES, FEATURES, HIDDEN, N, small_graph

DEPTH = 4
GRAPH = small_graph()
EDGES = GRAPH.edge_index
assert isinstance(GRAPH.x, Tensor)
X: Tensor = GRAPH.x


def seen(network: nn.Module, *more: Any, layers: str | None = None) -> list[Tensor]:
    """The states of a pass in evaluation mode; observing must not change the output."""
    network.double().eval()
    expected = network(X, EDGES, *more)
    with observe(network, layers) as states:
        output = network(X, EDGES, *more)
    assert torch.equal(output, expected)
    return list(states)


def shapes(states: list[Tensor]) -> list[int]:
    assert all(state.shape[0] == N for state in states)
    return [state.shape[1] for state in states]


@pytest.mark.parametrize("make", [pyg.GCN, pyg.GraphSAGE, pyg.GAT, pyg.GIN])
def test_pyg_models(make: Callable[..., nn.Module]) -> None:
    """State l enters convolution l + 1, after the activation; an MLP inside a convolution is not a layer."""
    arguments = {"heads": 2} if make is pyg.GAT else {}
    network = make(FEATURES, 6, DEPTH, CLASSES, **arguments)
    found = seen(network)
    assert shapes(found) == [FEATURES, *[6] * (DEPTH - 1), CLASSES]
    assert torch.equal(found[0], X) and torch.equal(found[-1], network(X, EDGES))
    assert all((state >= 0).all() for state in found[1:-1])
    x = X
    for conv, after in zip(network.convs, found[1:-1], strict=False):  # type: ignore[arg-type]
        x = conv(x, EDGES).relu()
        torch.testing.assert_close(after, x)


@pytest.mark.parametrize("mode", ["cat", "max", "lstm"])
def test_jumping_knowledge_receives_the_last_state_last(mode: str) -> None:
    found = seen(pyg.GCN(FEATURES, 6, DEPTH, CLASSES, jk=mode))
    assert shapes(found) == [FEATURES, *[6] * DEPTH]
    assert (found[-1] >= 0).all()


def test_our_gcn_and_pygs_gcn_have_equal_states_and_energies(graph: Graph) -> None:
    ours = GCN(FEATURES, CLASSES, DEPTH, HIDDEN, bias=True).double().eval()
    theirs = pyg.GCN(FEATURES, HIDDEN, DEPTH, CLASSES).double()
    assert ours.biases is not None
    with torch.no_grad():
        for conv, weight, bias in zip(theirs.convs, ours.weights, ours.biases, strict=True):
            bias.normal_()
            conv.lin.weight.copy_(weight.T)
            conv.bias.copy_(bias)
        found, expected = seen(theirs), list(own_states(ours, graph.x, graph.layers))
    assert len(found) == DEPTH + 1
    for state, other in zip(found, expected, strict=True):
        torch.testing.assert_close(state, other, rtol=1e-5, atol=1e-6)
    names = ["dirichlet_energy", "rayleigh_quotient", "mean_average_distance", "effective_rank"]
    curves, others = (layer_measures(iter(s), graph.undirected_edges, names, N) for s in (found, expected))
    for name in names:
        assert curves[name] == pytest.approx(others[name], rel=1e-5)


class Net(nn.Module):
    """A GCN2 with encoder and decoder, as a user would write it."""

    def __init__(self, shared: bool = False, act: nn.Module | None = None, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(FEATURES, HIDDEN), nn.Linear(HIDDEN, CLASSES)
        convs = [pyg.GCN2Conv(HIDDEN, 0.1, 0.5, layer=1) for _ in range(1 if shared else DEPTH)]
        self.convs = nn.ModuleList(convs * DEPTH if shared else convs)
        self.act, self.norm = act, norm

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        x = x_0 = self.encoder(x).relu()
        for conv in self.convs:
            x = conv(x, x_0, edge_index)
            x = self.norm(x) if self.norm else x
            x = self.act(x) if self.act else x.relu()
        out: Tensor = self.decoder(x)
        return out


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("act", [None, nn.ReLU(), nn.ReLU(inplace=True), nn.Sequential(nn.ReLU(), nn.Dropout())])
def test_wrapper_of_gcn2_without_encoder_and_decoder(shared: bool, act: nn.Module | None) -> None:
    """Also with one layer that is called four times, and with the activation as a module or a function."""
    torch.manual_seed(0)
    network = Net(shared, act)
    found = seen(network)
    assert shapes(found) == [HIDDEN] * (DEPTH + 1)
    torch.testing.assert_close(found[0], network.encoder(X).relu())
    torch.testing.assert_close(network.decoder(found[-1]), network(X, EDGES))


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(HIDDEN), pyg.PairNorm(), pyg.LayerNorm(HIDDEN)])
def test_a_norm_after_the_last_layer_belongs_to_it(norm: nn.Module) -> None:
    network = Net(act=nn.ELU(), norm=norm)
    torch.testing.assert_close(network.decoder(seen(network)[-1]), network(X, EDGES))


def test_pyg_sequential() -> None:
    network = pyg.Sequential("x, edge_index", [
        (pyg.GCNConv(FEATURES, 6), "x, edge_index -> x"), nn.ReLU(inplace=True), nn.Dropout(0.5),
        (pyg.SAGEConv(6, 5), "x, edge_index -> x"), nn.ReLU(), nn.Linear(5, CLASSES),
    ])  # fmt: skip
    found = seen(network)
    assert shapes(found) == [FEATURES, 6, 5]
    assert (found[-1] >= 0).all()


def test_a_layer_alone_and_a_network_that_ends_with_an_activation() -> None:
    conv = pyg.GCNConv(FEATURES, CLASSES)
    assert shapes(seen(conv)) == [FEATURES, CLASSES]
    network = pyg.Sequential("x, edge_index", [(conv, "x, edge_index -> x"), nn.ReLU()])
    assert (seen(network)[-1] >= 0).all()


def test_layers_inside_layers_and_pairs_of_features() -> None:
    class Outer(pyg.MessagePassing):
        def __init__(self) -> None:
            super().__init__()
            self.inner = pyg.GCNConv(FEATURES, 6)

        def forward(self, x: Any, edge_index: Tensor) -> Tensor:
            out: Tensor = self.inner(x[1], edge_index)
            return out

    class Pairs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.outer, self.conv = Outer(), pyg.SAGEConv((6, 6), CLASSES)

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            x = self.outer(x=(2 * x, x), edge_index=edge_index).tanh()
            out: Tensor = self.conv((x, x), edge_index)
            return out

    found = seen(Pairs())
    assert shapes(found) == [FEATURES, 6, CLASSES]
    assert torch.equal(found[0], X)


class Blocks(nn.Module):
    """Layers that are not PyG modules."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(FEATURES, FEATURES) for _ in range(3))
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + GRAPH.adjacency.propagate(block(x)).relu()
        out: Tensor = self.head(x)
        return out


def test_pattern() -> None:
    network = Blocks()
    found = seen(network, layers="blocks.*")
    assert shapes(found) == [FEATURES] * 4
    torch.testing.assert_close(network.head(found[-1]), network(X, EDGES))
    with pytest.raises(
        UserError, match=r"Blocks has no message-passing layer of PyG .*: name its layers with a pattern"
    ):
        seen(network)
    with pytest.raises(UserError, match=r"no module of Blocks has a name like convs\.\*: its modules are blocks, bl"):
        seen(network, layers="convs.*")


def test_states_are_those_of_the_latest_pass_and_carry_gradients() -> None:
    network = pyg.GCN(FEATURES, 6, 2, CLASSES).double().eval()
    with observe(network) as states:
        network(X, EDGES)
        network(2 * X, EDGES).sum().backward(inputs=[states[1], *network.parameters()])
    assert torch.equal(states[0], 2 * X) and states[1].grad is not None
    network(X, EDGES)
    assert torch.equal(states[0], 2 * X), "hooks are removed"


def test_a_recomputed_layer_counts_once() -> None:
    class Recomputed(pyg.GCN):
        def forward(self, x: Tensor, edge_index: Tensor) -> Any:
            x = checkpoint(self.convs[0], x, edge_index, use_reentrant=False)
            return self.convs[1](x.relu(), edge_index)

    network = Recomputed(FEATURES, 6, 2, CLASSES).double()
    with observe(network) as states:
        network(X, EDGES).sum().backward()
        assert len(states) == 3


def test_a_failed_pass_does_not_affect_the_next_one() -> None:
    network = pyg.GCN(FEATURES, 6, 2, CLASSES).double()
    with observe(network) as states:
        with pytest.raises(RuntimeError):
            network(X[:, 1:], EDGES)
        network(X, EDGES)
        assert len(states) == 3


def test_parts_of_a_network_called_alone() -> None:
    network = pyg.GCN(FEATURES, 6, 2, CLASSES).double()
    with observe(network) as states:
        for _ in range(2):
            states.clear()
            network.forward(X, EDGES)
            assert shapes(list(states)) == [FEATURES, 6, CLASSES]


def test_in_place_operations() -> None:
    """Without gradients states are copies; with gradients the change is noticed."""

    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = nn.ModuleList(pyg.SimpleConv() for _ in range(2))

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            x = x.clone()
            for conv in self.convs:
                x += conv(x, edge_index)
            return x

    network = InPlace()
    with torch.no_grad():
        assert torch.equal(seen(network)[0], X)
    with observe(network) as states:
        network(X, EDGES)
        with pytest.raises(UserError, match="state 0 was changed in place"):
            len(states)


def test_a_layer_without_node_features() -> None:
    class Numbers(pyg.MessagePassing):
        def forward(self, edge_index: Tensor) -> Tensor:
            return edge_index

    with observe(layer := Numbers()), pytest.raises(UserError, match="Numbers gets no tensor of node features"):
        layer(EDGES)


def test_the_input_of_the_network_is_not_copied() -> None:
    network, x = pyg.GCN(3, 4, 2, 2), torch.ones(2, 3)
    with torch.no_grad(), observe(network) as states:
        network(x, torch.tensor([[0, 1], [1, 0]]))
        assert states[0] is x and states[1] is not x
