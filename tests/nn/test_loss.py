"""The loss of a batch, whole and in shares, and accuracy."""

from dataclasses import replace

import pytest
import torch

from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.nn.loss import accuracy, training_loss

EDGES = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])
Y = torch.tensor([0, 1, 2, 1, 0, 2])
LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def graph(train: list[int], weight: float | None = None) -> Graph:
    nodes = torch.tensor(train, dtype=torch.long)
    made = Graph(torch.zeros(6, 2), gcn_adjacency(EDGES, 6), Y, nodes, nodes, nodes)
    return replace(made, weight=weight)


def test_the_loss_is_the_mean_cross_entropy_of_the_training_nodes() -> None:
    train = [0, 2, 5]
    expected = sum(LOGITS[node].logsumexp(0) - LOGITS[node, Y[node]] for node in train) / 3
    assert float(training_loss(LOGITS, graph(train))) == pytest.approx(float(expected))


@pytest.mark.parametrize("shares", [[[0, 2], [3, 5]], [[0, 2, 3, 5], []], [[3], [0, 2, 5]]])
def test_the_mean_over_processes_is_the_loss_of_the_whole_batch(shares: list[list[int]]) -> None:
    whole = training_loss(LOGITS, graph([0, 2, 3, 5]))
    parts = [training_loss(LOGITS, graph(share, weight=len(shares) / 4)) for share in shares]
    assert float(sum(parts) / len(shares)) == pytest.approx(float(whole))


def test_accuracy_counts_the_largest_logit() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 0.5], [0.0, 0.1, 0.2]])
    assert float(accuracy(logits, torch.tensor([0, 1, 2, 2]))) == 0.75
