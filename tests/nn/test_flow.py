from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from depthlab.graph.graph import Graph
from depthlab.nn.acmp import ACMP
from depthlab.nn.diffusion import Diffusion
from depthlab.nn.execution import states
from depthlab.nn.flow import Flow
from depthlab.tasks.task import Classification
from depthlab.training.gradients import training_gradient_norms
from depthlab.training.module import TrainingModule

TASK = Classification("acc", ("acc",), 3)
SOLVER = pytest.mark.parametrize("solver", ["euler", "rk4", "dopri5"])
WEIGHTS = pytest.mark.parametrize("weights", ["gcn", "attention"])
TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def states_of(model: Flow, graph: Graph) -> list[Tensor]:
    return [state.detach() for state in states(model, graph.x, graph.adjacency)]


def diffusion(settings: Any, time: float, depth: int, **knobs: Any) -> Diffusion:
    """In float64, always with the same weights."""
    torch.manual_seed(0)
    return Diffusion(**settings(depth), step_size=time / depth, **knobs).double()


def exact(model: Flow, graph: Graph, time: float) -> Tensor:
    """x(t) of dx/dt = L x, by the matrix exponential."""
    assert isinstance(graph.x, Tensor)
    x0 = graph.x @ model.encoder.weight.detach() + model.encoder.bias.detach()
    operator = model.freeze(x0, graph.adjacency).matrix.to_dense()
    return torch.matrix_exp(time * operator) @ x0


def error(model: Flow, graph: Graph, time: float) -> float:
    return float((states_of(model, graph)[-1] - exact(model, graph, time)).abs().max())


def single(graph: Graph) -> Graph:
    """In float32, as runs are."""
    assert isinstance(graph.x, Tensor)
    return replace(graph, x=graph.x.float(), adjacency=graph.adjacency.with_values(graph.adjacency.values.float()))


def repelling(solver: str, **knobs: Any) -> ACMP:
    """Grows by many orders of magnitude at every step."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {"in_channels": 7, "out_channels": 3, "depth": 40, "hidden": 5}
    return ACMP(**settings, repulsion=50.0, well="off", stability_check="off", solver=solver, **knobs)


@pytest.mark.parametrize(("solver", "tolerance"), [("euler", 2e-2), ("rk4", 1e-6), ("dopri5", 1e-8)])
@WEIGHTS
def test_every_state_is_the_matrix_exponential(
    weights: str, solver: str, tolerance: float, settings: Any, graph: Graph
) -> None:
    model = diffusion(settings, 2.0, 40, weights=weights, solver=solver, **TIGHT)
    seen = states_of(model, graph)
    assert len(seen) == 41
    for layer, state in enumerate(seen):
        torch.testing.assert_close(state, exact(model, graph, 0.05 * layer), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("rk4", 4)])
@WEIGHTS
def test_half_the_step_divides_the_error_by_two_to_the_order(
    weights: str, solver: str, order: int, settings: Any, graph: Graph
) -> None:
    coarse, fine = (error(diffusion(settings, 2.0, d, weights=weights, solver=solver), graph, 2.0) for d in (20, 40))
    assert coarse / fine == pytest.approx(2**order, rel=0.15)


def test_a_tighter_tolerance_brings_the_adaptive_solver_closer(settings: Any, graph: Graph) -> None:
    loose, tight = (diffusion(settings, 4.0, 1, solver="dopri5", rtol=t, atol=t) for t in (1e-2, 1e-9))
    assert error(tight, graph, 4.0) < 1e-7 < 1e-4 < error(loose, graph, 4.0)
    for model in (tight, loose):
        model(graph.x, graph.adjacency)
    assert tight.findings()["function_evaluations"] > loose.findings()["function_evaluations"]


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize(("solver", "evaluations"), [("euler", 1), ("rk4", 4)])
def test_findings_are_those_of_the_last_pass(
    solver: str, evaluations: int, adjoint: bool, settings: Any, graph: Graph
) -> None:
    model = diffusion(settings, 3.0, 6, solver=solver, adjoint=adjoint)
    for _ in range(2):
        model(graph.x, graph.adjacency)
        assert model.findings() == {"time": 3.0, "function_evaluations": 6 * evaluations}


def test_a_backward_pass_adds_no_evaluations(settings: Any, graph: Graph) -> None:
    model = diffusion(settings, 3.0, 6, adjoint=True)
    model(graph.x, graph.adjacency).sum().backward()
    assert model.findings()["function_evaluations"] == 24


@pytest.mark.parametrize(("solver", "step_size"), [("euler", 1e-4), ("rk4", 0.02), ("dopri5", 0.3)])
@pytest.mark.parametrize("architecture", [Diffusion, ACMP])
@WEIGHTS
def test_adjoint_gradients_equal_ordinary_ones(
    weights: str, architecture: Any, solver: str, step_size: float, settings: Any, graph: Graph
) -> None:
    knobs = {"learn_repulsion": True, "repulsion": 0.7} if architecture is ACMP else {}

    def gradients(adjoint: bool) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = architecture(
            **settings(4), weights=weights, solver=solver, step_size=step_size, adjoint=adjoint, **TIGHT, **knobs
        ).double()
        F.cross_entropy(model(graph.x, graph.adjacency), graph.y).backward()
        return {name: p.grad for name, p in model.named_parameters()}

    ordinary, adjoint = gradients(False), gradients(True)
    assert all(grad.abs().max() > 0 for grad in ordinary.values())
    torch.testing.assert_close(adjoint, ordinary, rtol=1e-2 if solver == "euler" else 1e-4, atol=1e-8)


def test_an_adjoint_that_cannot_go_back_raises_no_assertion(graph: Graph) -> None:
    torch.manual_seed(0)
    model = ACMP(7, 3, 3, hidden=5, solver="dopri5", adjoint=True, step_size=10.0)
    float32 = single(graph)
    TrainingModule(model, TASK, 7, 5).backward(F.cross_entropy(model(float32.x, float32.adjacency), graph.y))
    assert all(weight.grad is not None and weight.grad.isnan().all() for weight in model.parameters())


@pytest.mark.parametrize("adjoint", [False, True])
@WEIGHTS
@SOLVER
def test_an_overflow_is_found_and_raises_nothing(solver: str, weights: str, adjoint: bool, graph: Graph) -> None:
    model, float32 = repelling(solver, weights=weights, adjoint=adjoint), single(graph)
    logits = model(float32.x, float32.adjacency)
    has_neighbours = torch.isin(torch.arange(len(graph.y)), graph.edge_index[0])
    assert not logits[has_neighbours].isfinite().any()
    F.cross_entropy(logits, graph.y).backward()
    seen = states_of(model, float32)
    assert len(seen) == 41
    healthy = [bool(state.isfinite().all()) for state in seen]
    first = healthy.index(False)
    assert first > 0 and not any(healthy[first:])
    assert model.findings()["broke_at_time"] in (0.25 * (first - 1), 0.25 * first)  # the sum may overflow a step before


@SOLVER
def test_the_time_of_the_first_break_is_remembered(solver: str, graph: Graph) -> None:
    model, float32 = repelling(solver), single(graph)
    model(float32.x, float32.adjacency)
    found = model.findings()["broke_at_time"]
    for repulsion, breaks in ((1e6, True), (0.0, False)):
        model.repulsion.data.fill_(repulsion)
        assert model(float32.x, float32.adjacency).isfinite().all() != breaks
        assert model.findings()["broke_at_time"] == found > 0.25


@SOLVER
def test_states_that_begin_as_no_numbers_did_not_overflow(solver: str, graph: Graph) -> None:
    torch.manual_seed(0)
    model, broken = Diffusion(7, 3, 4, hidden=5, solver=solver), single(graph)
    assert isinstance(broken.x, Tensor)
    broken.x[0, 0] = torch.nan
    assert not model(broken.x, broken.adjacency).isfinite().all()
    assert "broke_at_time" not in model.findings()


@pytest.mark.parametrize("adjoint", [False, True])
def test_a_solver_that_is_stuck_leaves_gradient_norms_to_be_taken(adjoint: bool, graph: Graph) -> None:
    model = repelling("dopri5", adjoint=adjoint)
    norms = training_gradient_norms(TrainingModule(model, TASK, 7, 5), single(graph))
    assert norms == [] or len(norms) == model.depth + 1


def test_other_assertion_errors_are_raised(settings: Any, graph: Graph) -> None:
    model = diffusion(settings, 1.0, 2)

    def broken(_: Tensor) -> Tensor:
        raise AssertionError("something else")

    model.velocity = lambda operator: (broken, ())  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="something else"):
        model(graph.x, graph.adjacency)
