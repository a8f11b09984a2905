import pytest
import torch

from depthlab.graph.graph import Graph
from depthlab.nn.fagcn import signed
from tests.nn.conftest import N


@pytest.mark.parametrize("sign", [-1, 1])
def test_neighbours_can_be_added_and_subtracted(sign: int, graph: Graph) -> None:
    weights = signed(graph.adjacency, torch.full((N, 2), sign * 50.0, dtype=torch.float64))
    a = torch.zeros(N, N, dtype=torch.float64)
    a[tuple(graph.edge_index)] = 1
    degree = a.sum(1).clamp_min(1)
    torch.testing.assert_close(weights.matrix.to_dense(), sign * a / (degree * degree[:, None]).sqrt())
