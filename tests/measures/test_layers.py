import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from depthlab.measures.layers import Watch, gradient_norms, layer_measures
from depthlab.measures.registry import MEASURES, selectable
from depthlab.ops import SparseFeatures

NAMES = selectable("layer")
EDGES = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])


def states(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_every_measure_of_every_layer_in_order() -> None:
    seen = [states(3, 4, seed=k) for k in range(4)]

    curves = layer_measures(iter(seen), EDGES, NAMES)
    assert list(curves) == NAMES
    for name in NAMES:
        assert curves[name] == [MEASURES[name].load()(state, EDGES) for state in seen]
        assert len(set(curves[name])) == 4


def test_only_what_was_asked_for_is_measured() -> None:
    names = ["stable_rank", "dirichlet_energy"]
    curves = layer_measures([torch.eye(3)], EDGES, iter(names))
    assert curves == {"stable_rank": [pytest.approx(3)], "dirichlet_energy": [pytest.approx(8 / 3)]}


def test_sparse_features_count_as_their_dense_form() -> None:
    dense = torch.tensor([[1.0, 0, 2], [0, 0, 1], [0, 3, 0]])
    csr = dense.to_sparse_csr()
    sparse = SparseFeatures.from_csr(csr.crow_indices(), csr.col_indices(), csr.values(), (3, 3))
    curves = layer_measures([sparse], EDGES, NAMES)
    assert curves == layer_measures([dense], EDGES, NAMES)


def test_measuring_records_no_graph() -> None:
    weight = torch.ones(2, 2, requires_grad=True)
    outputs: list[Tensor] = []

    def made() -> Iterator[Tensor]:
        outputs.append(torch.ones(3, 2) @ weight)
        yield outputs[-1]

    layer_measures(made(), EDGES, ["effective_rank"])
    assert not outputs[0].requires_grad


def test_nodes_that_a_rewiring_added_are_not_measured() -> None:
    state = states(3, 4)
    wider = torch.cat([state, 100 * states(2, 4, seed=1)])
    curves = layer_measures([wider], EDGES, NAMES, num_nodes=3)
    assert curves == layer_measures([state], EDGES, NAMES)

    def loss(watch: Watch) -> Tensor:
        leaf = wider.clone().requires_grad_()
        watch(0, leaf)
        return leaf[:3].sum() + 50 * leaf[3:].sum()

    assert gradient_norms(loss, num_nodes=3) == pytest.approx([math.sqrt(12)])


def test_gradient_norms_of_a_linear_chain() -> None:
    x, first, second, weight = states(3, 4), states(4, 5, seed=1), states(5, 2, seed=2), states(3, 2, seed=3)

    def loss(watch: Watch) -> Tensor:
        state = x.clone().requires_grad_()
        watch(0, state)
        for layer, factor in enumerate((first, second), start=1):
            state = state @ factor
            watch(layer, state)
        return (state * weight).sum()

    expected = [weight @ second.T @ first.T, weight @ second.T, weight]
    by_hand = [math.sqrt(float((grad**2).sum())) for grad in expected]
    assert gradient_norms(loss) == pytest.approx(by_hand, rel=1e-12)
    with torch.no_grad():
        assert gradient_norms(loss) == pytest.approx(by_hand, rel=1e-12)


def test_branches_add_up_and_an_unused_state_gets_zero() -> None:
    x = states(3, 4)

    def loss(watch: Watch) -> Tensor:
        state = x.clone().requires_grad_()
        watch(0, state)
        watch(1, state * 3)
        used = state * 2
        watch(2, used)
        return used.sum() + state.sum()

    root = math.sqrt(12)
    assert gradient_norms(loss) == pytest.approx([3 * root, 0.0, root])


def test_gradients_leave_the_parameters_alone() -> None:
    weight = states(4, 2).requires_grad_()

    def loss(watch: Watch) -> Any:
        state = states(3, 4, seed=1) @ weight
        watch(0, state)
        return state.pow(2).sum()

    assert gradient_norms(loss)[0] > 0
    assert weight.grad is None
