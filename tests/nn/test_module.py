"""External modules: their edges, their states, and what is refused before training."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.nn.execution import run, states, without_layer, works_by_blocks
from depthlab.nn.module import ModuleNetwork
from depthlab.ops import MaskSource, SparseFeatures
from tests.nn.conftest import CLASSES, FEATURES, HIDDEN, N, small_graph

DEPTH = 3
NAMES: Any = compose_settings(["model=module", "model.target=torch.nn.Linear"]).model.arguments["names"]
MODELS = "torch_geometric.nn.models."


class Recording(nn.Module):
    """A convolution that stores its inputs."""

    def __init__(self, in_channels: int, out_channels: int, **options: Any) -> None:
        super().__init__()
        self.conv = pyg.GCNConv(in_channels, out_channels, **options)
        self.seen: list[Any] = []

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        self.seen.append((x, edge_index, edge_weight))
        out: Tensor = self.conv(x, edge_index, edge_weight)
        return out


class WithoutWeights(Recording):
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, edge_index)


class Broken(Recording):
    """Apply `action` to the output."""

    action: Callable[[Tensor], Any] = staticmethod(lambda out: out)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Any:
        return type(self).action(super().forward(x, edge_index))


class Deeper(nn.Module):
    """One layer more than its depth."""

    def __init__(self, in_channels: int, out_channels: int, depth: int) -> None:
        super().__init__()
        sizes = [in_channels, *[HIDDEN] * depth, out_channels]
        self.convs = nn.ModuleList(pyg.GCNConv(*sizes[number : number + 2]) for number in range(depth + 1))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        for conv in self.convs:
            x = conv(x, edge_index)
        return x


class Fixed(Deeper):
    """Four layers at any depth."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3)


class Uncalled(Deeper):
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return x[:, :CLASSES]


class Unlearned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = pyg.SimpleConv()

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        out: Tensor = self.conv(x, edge_index)
        return out


def make(target: type | str, depth: int = DEPTH, layers: str | None = None, **args: Any) -> Any:
    name = target if isinstance(target, str) else f"{__name__}.{target.__name__}"
    arguments = {"in_channels": FEATURES, "out_channels": CLASSES, "depth": depth, "hidden": HIDDEN}
    return ModuleNetwork(**arguments, target=name, args=args, layers=layers, names=NAMES)


@pytest.fixture
def graph() -> Graph:
    made = small_graph()
    assert isinstance(made.x, Tensor)
    return replace(made, x=made.x.float(), adjacency=made.adjacency.with_values(made.adjacency.values.float()))


def sorted_edges(edge_index: Tensor) -> list[tuple[int, ...]]:
    return sorted(map(tuple, edge_index.T.tolist()))


@pytest.mark.parametrize("kind", ["GCN", "GraphSAGE", "GAT", "GIN"])
def test_passes_with_and_without_observation_agree_with_the_module(kind: str, graph: Graph) -> None:
    network = make(MODELS + kind).eval()
    network.check(graph, DropEdge(0.0))
    assert (network.depth, network.findings()) == (DEPTH, {})
    expected = network.module(graph.x, graph.edge_index)
    watched: dict[int, Tensor] = {}
    for out in (
        run(network, graph.x, graph.layers),
        run(network, graph.x, graph.layers, lambda layer, state: watched.__setitem__(layer, state), every=2),
        network(graph.x, graph.layers),
    ):
        torch.testing.assert_close(out, expected)
    assert list(watched) == list(range(DEPTH + 1))
    torch.testing.assert_close(list(states(network, graph.x, graph.layers)), list(watched.values()))
    assert torch.equal(watched[0], torch.as_tensor(graph.x)) and torch.equal(watched[DEPTH], expected)
    gradients = torch.autograd.grad(
        expected.sum() * 0 + run(network, graph.x, graph.layers).sum(), network.parameters()
    )
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_the_module_gets_raw_edges_without_self_loops(graph: Graph) -> None:
    network = make(Recording, depth=1)
    network.check(graph, DropEdge(0.0))
    _, edge_index, edge_weight = network.module.seen[-1]
    assert sorted_edges(edge_index) == sorted_edges(graph.edge_index) and edge_weight is None


def test_dropped_edges_are_absent_or_change_the_weights_of_the_others(graph: Graph) -> None:
    for mode in ("renormalize", "rescale"):
        network, drop_edge = make(Recording, depth=1), DropEdge(0.5, mode)
        network.check(graph, drop_edge)
        sample = drop_edge(graph.adjacency, MaskSource(0))
        network.train()
        run(network, graph.x, sample)
        _, edge_index, edge_weight = network.module.seen[-1]
        kept = sorted_edges(edge_index)
        assert set(kept) < set(sorted_edges(graph.edge_index)) and {(b, a) for a, b in kept} == set(kept)
        if mode == "rescale":
            torch.testing.assert_close(edge_weight, torch.full((len(kept),), 2.0))
        else:
            assert edge_weight is None
        network.eval()
        run(network, graph.x, graph.layers)
        assert network.module.seen[-1][2] is None


def test_the_module_gets_edge_weights_or_is_refused(graph: Graph) -> None:
    weight = torch.rand(graph.edge_index.shape[1]) + 0.5
    weighted = replace(graph, adjacency=gcn_adjacency(graph.edge_index, N, weight))
    network, drop_edge = make(Recording, depth=1), DropEdge(0.5, "rescale")
    network.check(weighted, drop_edge)
    _, edge_index, edge_weight = network.module.seen[-1]
    known = dict(zip(map(tuple, graph.edge_index.T.tolist()), weight.tolist(), strict=True))
    given = dict(zip(map(tuple, edge_index.T.tolist()), edge_weight.tolist(), strict=True))
    assert given == pytest.approx(known)
    run(network.train(), weighted.x, drop_edge(weighted.adjacency, MaskSource(0)))
    _, edge_index, edge_weight = network.module.seen[-1]
    dropped = dict(zip(map(tuple, edge_index.T.tolist()), edge_weight.tolist(), strict=True))
    assert 0 < len(dropped) < len(known) and dropped == pytest.approx({edge: 2 * known[edge] for edge in dropped})
    with pytest.raises(UserError, match=r"WithoutWeights ignores the edge weights of this graph: use a network that"):
        make(WithoutWeights, depth=1).check(weighted, DropEdge(0.0))


def test_rewired_edges_and_new_nodes(graph: Graph) -> None:
    assert isinstance(graph.x, Tensor)
    ring = torch.stack([torch.arange(N), torch.arange(1, N + 1) % (N + 1)])
    x = torch.cat([graph.x, graph.x.new_zeros(1, FEATURES)])
    rewired = graph.rewired(x, torch.cat([ring, ring.flip(0)], 1))
    network = make(Recording, depth=1)
    network.check(rewired, DropEdge(0.0))
    assert sorted_edges(network.module.seen[-1][1]) == sorted(map(tuple, torch.cat([ring, ring.flip(0)], 1).T.tolist()))


def test_sparse_features_are_made_dense_once(graph: Graph) -> None:
    assert isinstance(graph.x, Tensor)
    dense = graph.x.relu()
    matrix = dense.to_sparse_csr()
    sparse = SparseFeatures.from_csr(matrix.crow_indices(), matrix.col_indices(), matrix.values(), (N, FEATURES))
    network = make(Recording, depth=1)
    for _ in range(2):
        run(network, sparse, graph.layers)
    (first, *_), (again, *_) = network.module.seen
    assert first is again
    torch.testing.assert_close(first, dense)


def test_cached_operators_follow_the_graph(graph: Graph) -> None:
    cached, plain = make(Recording, depth=1, cached=True).eval(), make(Recording, depth=1).eval()
    plain.load_state_dict(cached.state_dict())
    other = graph.rewired(graph.x, graph.edge_index[:, :0])
    for one in (graph, graph, other, graph):
        torch.testing.assert_close(run(cached, one.x, one.layers), run(plain, one.x, one.layers))
    with pytest.raises(UserError, match=r"^GCNConv caches its operator \(cached=True\), so no edge would be dropped"):
        cached.check(graph, DropEdge(0.1))


def test_layers_cannot_be_run_one_by_one(graph: Graph) -> None:
    network = make(MODELS + "GCN")
    assert not works_by_blocks(network, FEATURES)
    with pytest.raises(ValueError, match="the layers of ModuleNetwork cannot be run one by one"):
        without_layer(network, graph.x, graph.layers, 0)


def test_layers_by_pattern(graph: Graph) -> None:
    network = make(MODELS + "GIN", layers="convs.*.nn")
    network.check(graph, DropEdge(0.0))
    assert network.depth == DEPTH
    with pytest.raises(UserError, match=r"^no module of GIN has a name like blocks"):
        make(MODELS + "GIN", layers="blocks.*").check(graph, DropEdge(0.0))


def test_a_different_number_of_layers_is_printed_or_refused(graph: Graph, capsys: pytest.CaptureFixture[str]) -> None:
    network = make(Deeper)
    network.check(graph, DropEdge(0.0))
    assert (network.depth, network.findings()) == (DEPTH + 1, {"message_passing_layers": DEPTH + 1})
    assert capsys.readouterr().err == f"{__name__}.Deeper has 4 message-passing layers at depth=3\n"
    make(Fixed, depth=4).check(graph, DropEdge(0.0))
    with pytest.raises(UserError, match=r"Fixed has 4 layers and no argument for depth=3: use depth=4, or name"):
        make(Fixed).check(graph, DropEdge(0.0))


OUTPUTS: list[tuple[Callable[[Tensor], Any], str]] = [
    (lambda out: (out, out), "returns a tuple: let forward return one tensor"),
    (lambda out: out[1:], f"returns {N - 1} x {CLASSES} numbers, the task needs {N} x {CLASSES}: let forward return a"),
    (lambda out: out[:, 1:], f"returns {N} x {CLASSES - 1} numbers, the task needs {N} x {CLASSES}$"),
    (lambda out: out.sum(), f"returns single numbers, the task needs {N} x {CLASSES}: let forward return a row"),
    (lambda out: out * torch.nan, "returns NaN before training"),
    (lambda out: out @ out, r"^the forward pass of .* fails: RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
    (lambda out: dict[str, Any]()["key"], r"^the forward pass of .* fails: KeyError: 'key'$"),
]


@pytest.mark.parametrize(("action", "sentence"), OUTPUTS, ids=[sentence[:40] for _, sentence in OUTPUTS])
def test_invalid_outputs_are_refused(
    action: Callable[[Tensor], Any], sentence: str, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Broken, "action", staticmethod(action))
    with pytest.raises(UserError, match=sentence):
        make(Broken, depth=1).check(graph, DropEdge(0.0))


def test_modules_that_cannot_be_trained_or_observed(graph: Graph) -> None:
    with pytest.raises(UserError, match=r"Unlearned has no parameters to train$"):
        make(Unlearned).check(graph, DropEdge(0.0))
    with pytest.raises(UserError, match=r"Uncalled calls none of its message-passing layers: call them in forward$"):
        make(Uncalled).check(graph, DropEdge(0.0))
    with pytest.raises(UserError, match=r"WithoutWeights ignores edge weights, which drop_edge\.mode=rescale changes"):
        make(WithoutWeights, depth=1).check(graph, DropEdge(0.1, "rescale"))
    with pytest.raises(UserError, match=r"^GraphSAGE ignores edge weights"):
        make(MODELS + "GraphSAGE").check(graph, DropEdge(0.1, "rescale"))


def test_the_number_of_layers_may_not_change(graph: Graph) -> None:
    network = make(MODELS + "GCN")
    network.check(graph, DropEdge(0.0))
    network.depth = 2
    with pytest.raises(UserError, match=r"^GCN called 3 layers in this pass, and 2 before$"):
        network(graph.x, graph.layers)


def test_the_example_agrees_with_gcnii(graph: Graph) -> None:
    """With equal weights, also its states."""
    from depthlab.nn.gcnii import GCNII

    example = str(Path(__file__).parents[2] / "examples" / "gcn2.py")
    theirs = make(f"{example}:GCN2").eval()
    ours = GCNII(FEATURES, CLASSES, DEPTH, HIDDEN).eval()
    with torch.no_grad():
        for part in ("encoder", "decoder"):
            getattr(ours, part).weight.copy_(getattr(theirs.module, part).weight.T)
            getattr(ours, part).bias.copy_(getattr(theirs.module, part).bias)
        for number, conv in enumerate(theirs.module.convs):
            ours.weights[number].copy_(conv.weight1)
    theirs.check(graph, DropEdge(0.0))
    found, expected = (list(states(network, graph.x, graph.layers)) for network in (theirs, ours))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(theirs(graph.x, graph.layers), ours(graph.x, graph.layers), rtol=1e-4, atol=1e-5)
