import torch

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.nn.g2 import gate_speed


def test_speed_is_zero_where_neighbours_are_alike_and_without_neighbours() -> None:
    adjacency = gcn_adjacency(torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]]), 5)
    x = torch.tensor([[1.0], [3.0], [2.0], [2.0], [7.0]])
    expected = torch.tensor([4.0, 4.0, 0.0, 0.0, 0.0]).tanh()
    torch.testing.assert_close(gate_speed(adjacency, x).squeeze(1), expected)
