import pytest
import torch

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.nn.mlp import MLP

N, FEATURES, HIDDEN, CLASSES = 15, 7, 5, 3
DEPTH = pytest.mark.parametrize("depth", [1, 2, 6])
X = torch.randn(N, FEATURES, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(N) % CLASSES
ADJACENCY = gcn_adjacency(torch.tensor([[0, 1], [1, 0]]), N)


def make_model(depth: int, dropout: float = 0.0) -> MLP:
    torch.manual_seed(depth)
    return MLP(FEATURES, CLASSES, depth, hidden=HIDDEN, dropout=dropout).double()


@DEPTH
def test_the_graph_is_not_read(depth: int) -> None:
    model = make_model(depth)
    edgeless = gcn_adjacency(torch.empty(2, 0, dtype=torch.long), N)
    broken = ADJACENCY.with_values(torch.full_like(ADJACENCY.values, float("nan")))
    assert torch.equal(model(X, ADJACENCY), model(X, edgeless))
    assert torch.equal(model(X, ADJACENCY), model(X, broken))
