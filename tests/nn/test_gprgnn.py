from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from depthlab.graph.graph import Graph
from depthlab.nn.appnp import APPNP
from depthlab.nn.gprgnn import GPRGNN
from depthlab.tasks.task import Classification
from depthlab.training.module import TrainingModule

TASK = Classification("acc", ("acc",), 3)
DEPTH = pytest.mark.parametrize("depth", [1, 2, 10])


def dense(model: Any, x: Tensor, p: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
    first, second = model.encoder
    z = drop(drop(F.relu(drop(x) @ first.weight + first.bias)) @ second.weight + second.bias)
    powers = [torch.linalg.matrix_power(p, k) @ z for k in range(model.depth + 1)]
    return torch.einsum("k,knc->nc", model.gamma, torch.stack(powers))


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@DEPTH
def test_equals_the_dense_polynomial(depth: int, dropout: float, settings: Any, assert_same_as_dense: Any) -> None:
    model = GPRGNN(**settings(depth, dropout=dropout))
    torch.nn.init.normal_(model.gamma)
    assert_same_as_dense(model, dense)


@DEPTH
def test_initial_weights_are_those_of_personalised_pagerank(depth: int, settings: Any, graph: Graph) -> None:
    torch.manual_seed(0)
    ours = GPRGNN(**settings(depth), alpha=0.2).double()
    torch.manual_seed(0)
    pagerank = APPNP(**settings(depth), alpha=0.2).double()
    torch.testing.assert_close(ours(graph.x, graph.adjacency), pagerank(graph.x, graph.adjacency))
    assert float(ours.gamma.detach().sum()) == pytest.approx(1)


def test_the_filter_is_not_decayed(settings: Any) -> None:
    model = GPRGNN(**settings(2))
    module = TrainingModule(model, TASK, 7, 5, weight_decay=0.5, weight_decay_linear=0.25)
    groups = module.configure_optimizers().param_groups
    assert {group["weight_decay"]: len(group["params"]) for group in groups} == {0.25: 4, 0.0: 1}
    assert groups[1]["params"][0] is model.gamma
