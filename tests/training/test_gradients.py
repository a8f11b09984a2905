"""How much gradient arrives at each layer: against a chain of products written out."""

import pytest
import torch
from torch.nn import functional as F

from depthlab.config.errors import UserError
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.nn.gcn import GCN
from depthlab.tasks.task import Classification
from depthlab.training.gradients import training_gradient_norms
from depthlab.training.module import TrainingModule

NODES = 12
TASK = Classification("acc", ("acc",), 3)


@pytest.fixture
def graph() -> Graph:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, NODES, (2, 30), generator=generator)
    x, y = torch.randn(NODES, 5, generator=generator), torch.randint(0, 3, (NODES,), generator=generator)
    parts = torch.arange(NODES).split(4)
    return Graph(x, gcn_adjacency(torch.cat([edges, edges.flip(0)], 1), NODES), y, *parts)


def test_norms_are_those_of_the_states_of_the_whole_pass(graph: Graph) -> None:
    model = TrainingModule(GCN(5, 3, depth=3, hidden=4, dropout=0.5), TASK, 5, 4).train()
    assert isinstance(graph.x, torch.Tensor)
    states = [graph.x.clone().requires_grad_()]
    dense = graph.adjacency.matrix.to_dense()
    for number, weight in enumerate(model.network.weights, 1):
        z = dense @ states[-1] @ weight
        states.append(z if number == 3 else z.relu())
        states[-1].retain_grad()
    F.cross_entropy(states[-1][graph.train], graph.y[graph.train]).backward()
    found = training_gradient_norms(model, graph)
    assert len(found) == 4 and model.training
    norms = [float(state.grad.norm()) for state in states if state.grad is not None]
    ratios = [one / other for one, other in zip(found, norms, strict=True)]
    assert min(norms) > 0
    assert ratios == pytest.approx([ratios[0]] * 4, rel=1e-4)  # of one definition, whatever it divides by


def test_an_output_without_a_gradient(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    network = GCN(5, 3, depth=2, hidden=4)
    monkeypatch.setattr(network, "decode", lambda state: state[0].detach())
    with pytest.raises(UserError, match=r"^the output of the network has no gradient: leave detach\(\) and no_grad"):
        training_gradient_norms(TrainingModule(network, TASK, 5, 4), graph)


def test_nothing_is_left_behind(graph: Graph) -> None:
    model = TrainingModule(GCN(5, 3, depth=2, hidden=4), TASK, 5, 4).eval()
    first = training_gradient_norms(model, graph)
    assert training_gradient_norms(model, graph) == first and not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
