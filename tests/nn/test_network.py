"""The base class: forward follows from encode, layer and decode, and cannot be replaced."""

import pytest
import torch
from torch import Tensor, nn

from depthlab.config.errors import UserError
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.nn.network import Adjacency, Features, LayerGraphs, Network, State
from depthlab.nn.probe import NODES, ring
from depthlab.ops import SparseFeatures


class Trace(Network):
    """Writes down what is called, and adds the number of the layer."""

    def __init__(self, depth: int, dropout: float = 0.0) -> None:
        super().__init__(depth, dropout)
        self.calls: list[object] = []

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        self.calls.append("encode")
        return (x, "rides along"), graph

    def layer(self, number: int, state: State, graph: Adjacency) -> State:
        self.calls.append(number)
        return state[0] + number, state[1]


def test_forward_calls_every_layer_in_order_and_decodes_the_first_tensor() -> None:
    network, x = Trace(3), torch.zeros(NODES, 2)
    assert torch.equal(network(x, gcn_adjacency(ring(), NODES)), torch.full((NODES, 2), 3.0))
    assert network.calls == ["encode", 0, 1, 2]


def test_optional_methods_of_a_network() -> None:
    network = Trace(1)
    graph = gcn_adjacency(ring(), NODES)
    assert network.fused(torch.zeros(NODES, 2), graph, 1) is None
    assert network.findings() == {} and network.divergence() == "" and network.without_decay == ()


def test_a_network_that_defines_forward_is_refused() -> None:
    class Own(Trace):
        def forward(self, x: Features, graph: LayerGraphs) -> Tensor:
            return self.decode((x,))

    with pytest.raises(UserError, match=r"^Own defines forward, which may differ from its layers: define encode, "):
        Own(1)


def test_dropout_acts_only_in_training_on_dense_and_sparse_features() -> None:
    network = Trace(1, dropout=0.5)
    x = torch.ones(40, 5)
    csr = x.to_sparse_csr()
    sparse = SparseFeatures.from_csr(csr.crow_indices(), csr.col_indices(), csr.values(), (40, 5))
    for function in (network.dropout, network.relu_dropout):
        assert set(function(x).unique().tolist()) == {0.0, 2.0}
    assert set(network.dropout(sparse).matrix.values().unique().tolist()) == {0.0, 2.0}
    network.eval()
    assert network.dropout(x) is x and network.dropout(sparse) is sparse
    assert torch.equal(network.relu_dropout(-x), torch.zeros_like(x))


def test_it_is_a_plain_module() -> None:
    assert issubclass(Network, nn.Module) and list(Trace(2).parameters()) == []
