"""Networks whose layers are compiled, in training, against their own layers one by one with equal masks."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from depthlab import compiler
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.nn.appnp import APPNP
from depthlab.nn.execution import run
from depthlab.nn.gcn import GCN
from depthlab.nn.gcnii import GCNII
from depthlab.nn.network import Network
from depthlab.nn.residual_gcn import ResidualGCN
from depthlab.ops import MaskSource
from depthlab.ops.kernel import Family, random_bytes

NODES, FEATURES, CLASSES = 100, 6, 3

NETWORKS: list[Callable[..., Network]] = [GCNII, GCN, ResidualGCN, APPNP]


@pytest.fixture
def graph() -> Graph:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, NODES, (2, 300), generator=generator)
    nodes = torch.arange(NODES)
    return Graph(
        torch.randn(NODES, FEATURES, generator=generator),
        gcn_adjacency(edges, NODES),
        nodes % CLASSES,
        nodes,
        nodes,
        nodes,
    )


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The random numbers of a pass as they are drawn, also those of masks that the kernel draws itself."""
    numbers: list[Tensor] = []
    bits, forward = MaskSource.bits, Family.forward

    def noted_bits(self: MaskSource, *of: Any) -> Tensor:
        numbers.append(bits(self, *of))
        return numbers[-1]

    def noted_forward(self: Family, layers: range, *of: Any, **more: Any) -> None:
        forward(self, layers, *of, **more)
        if self.dropped:
            drawn = [random_bytes(self.key, layer, self.nodes, self.channels) for layer in layers]
            numbers.extend((one.int() - 128).to(torch.int8) for one in drawn)

    monkeypatch.setattr(MaskSource, "bits", noted_bits)
    monkeypatch.setattr(Family, "forward", noted_forward)
    return numbers


class Given(MaskSource):
    """A source that returns given numbers."""

    def __init__(self, numbers: list[Tensor]) -> None:
        super().__init__(0)
        self.numbers = list(numbers)

    def bits(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        numbers = self.numbers.pop(0)
        assert numbers.shape == shape
        return numbers


@pytest.mark.skipif(compiler.kernel() is None, reason="layers cannot be compiled here")
@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("kind", NETWORKS)
def test_training_is_that_of_its_layers(
    kind: Callable[..., Network], depth: int, graph: Graph, drawn: list[Tensor]
) -> None:
    torch.manual_seed(0)
    network, drop_edge = kind(FEATURES, CLASSES, depth=depth, hidden=20, dropout=0.4).train(), DropEdge(0.3)

    def gradients(out: Tensor) -> list[Tensor]:
        loss = F.cross_entropy(out, graph.y)
        return [out.detach(), *torch.autograd.grad(loss, list(network.parameters()))]

    compiled = gradients(run(network, graph.x, drop_edge(graph.layers, network.masks)))
    network.masks = masks = Given(drawn)
    one_by_one = gradients(network(graph.x, drop_edge(graph.layers, network.masks)))
    assert not masks.numbers
    torch.testing.assert_close(compiled, one_by_one)


@pytest.mark.skipif(compiler.kernel() is None, reason="layers cannot be compiled here")
@pytest.mark.parametrize("kind", [GCN, ResidualGCN])
def test_a_gcn_with_two_layers_is_not_compiled(kind: Callable[..., Network], graph: Graph) -> None:
    made = [kind(FEATURES, CLASSES, depth=depth).fused(graph.x, graph.layers, 1) is None for depth in (1, 2, 3)]
    assert made == [True, True, False]


@pytest.mark.parametrize("kind", NETWORKS)
def test_without_a_compiler_torch_runs_them(
    kind: Callable[..., Network], graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(compiler.KERNEL, "plain")
    monkeypatch.setattr(Family, "forward", lambda *_, **__: pytest.fail("the kernel was called"))
    network = kind(FEATURES, CLASSES, depth=3, hidden=20, dropout=0.4).train()
    alone = run(network, graph.x, graph.layers)
    network.masks.restart(0)
    torch.testing.assert_close(network(graph.x, graph.layers), alone)
