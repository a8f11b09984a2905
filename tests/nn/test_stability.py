"""Which steps a flow accepts on a graph, and whether they hold what it promises."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.nn.acmp import ACMP
from depthlab.nn.diffusion import Diffusion
from depthlab.nn.execution import states
from depthlab.nn.flow import Flow
from depthlab.nn.stability import gershgorin

N = 13
STEP = pytest.mark.parametrize("solver", ["euler", "rk4"])
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "diffusion": (Diffusion, {}),
    "attention": (Diffusion, {"weights": "attention"}),
    "acmp mean": (ACMP, {}),
    "acmp symmetric": (ACMP, {"normalization": "symmetric", "alpha": 2.0}),
    "acmp sum": (ACMP, {"normalization": "sum"}),
    "acmp released": (ACMP, {"form": "released", "normalization": "sum"}),
    "acmp repelling": (ACMP, {"repulsion": 1.5, "weights": "attention"}),
    "acmp without well": (ACMP, {"well": "off"}),
}
KIND = pytest.mark.parametrize("kind", KINDS)


def make_graph(edges: Tensor, size: float = 0.3) -> Graph:
    """Features of such a size that states begin well inside the well."""
    adjacency = gcn_adjacency(torch.cat([edges, edges.flip(0)], 1), N)
    x = size * torch.randn(N, 4, generator=torch.Generator().manual_seed(2))
    return Graph(x, adjacency, torch.zeros(N, dtype=torch.long), *torch.arange(N).split(5))


def star() -> Graph:
    """Node 5 and all others."""
    leaves = torch.tensor([node for node in range(N) if node != 5])
    return make_graph(torch.stack([torch.full_like(leaves, 5), leaves]))


def ring(size: float = 0.3) -> Graph:
    """Nodes 0..11; node 12 is alone."""
    nodes = torch.arange(N - 1)
    return make_graph(torch.stack([nodes, (nodes + 1) % (N - 1)]), size)


def make(kind: str, step_size: float, depth: int = 60, **changes: Any) -> Flow:
    architecture, knobs = KINDS[kind]
    torch.manual_seed(1)
    model: Flow = architecture(4, 2, depth, hidden=8, step_size=step_size, **knobs, **changes)
    return model


def suggested(model: Flow, graph: Graph) -> float:
    with pytest.raises(UserError) as refused:
        model.check(graph, DropEdge(0.0))
    found = re.search(r"use model\.step_size=(\S+) or less", str(refused.value))
    assert found is not None, str(refused.value)
    return float(found[1])


@torch.no_grad()
def largest(model: Flow, graph: Graph) -> float:
    """The largest state after a while; nan and inf are not less than any bound."""
    return float(torch.stack([state.abs().max() for state in states(model, graph.x, graph.adjacency)]).max())


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_no_mode_decays_or_grows_faster_than_the_bounds(seed: int, directed: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, N - 1, (2, 20), generator=generator)
    adjacency = gcn_adjacency(edges if directed else torch.cat([edges, edges.flip(0)], 1), N)
    operator = adjacency.with_values(torch.randn(adjacency.row.numel(), generator=generator, dtype=torch.float64))
    decay, growth = gershgorin(operator)
    dense = operator.matrix.to_dense()
    found = []
    for matrix in (dense, dense.T):
        radii = [sum(abs(float(matrix[i, j])) for j in range(N) if j != i) for i in range(N)]
        found.append([(radius - float(dense[i, i]), radius + float(dense[i, i])) for i, radius in enumerate(radii)])
    narrower = min(found, key=lambda bounds: max(map(max, bounds)))
    for i, (low, high) in enumerate(narrower):
        assert float(decay[i]) == pytest.approx(max(0.0, low))
        assert float(growth[i]) == pytest.approx(max(0.0, high))
    real = torch.linalg.eigvals(dense).real
    assert -decay.max() <= real.min() and real.max() <= growth.max()


@KIND
@STEP
def test_a_refused_step_names_one_that_is_accepted_and_holds(solver: str, kind: str) -> None:
    graph = star()
    step = suggested(make(kind, 50.0, solver=solver), graph)
    with pytest.raises(UserError):
        make(kind, 1.1 * step, solver=solver).check(graph, DropEdge(0.0))
    accepted = make(kind, step, solver=solver)
    accepted.check(graph, DropEdge(0.0))
    assert largest(accepted, graph) < 10


@STEP
def test_where_the_bound_is_reached_a_longer_step_overflows(solver: str) -> None:
    graph = star()  # two sides: the mode that is + on one and - on the other decays at exactly the bound
    step = suggested(make("attention", 50.0, solver=solver), graph)
    assert not largest(make("attention", 1.2 * step, 500, solver=solver), graph) < 1e30


@STEP
def test_rk4_goes_further_than_euler_by_the_ratio_of_their_reaches(solver: str) -> None:
    graph, longest = star(), {"euler": 2.0, "rk4": 2.785}[solver]
    assert suggested(make("attention", 50.0, solver=solver), graph) == pytest.approx(longest / 2, rel=0.1)


def test_the_refusal_names_the_node_and_what_would_be_milder() -> None:
    with pytest.raises(UserError, match="node 5 with 12 neighbours") as refused:
        make("acmp sum", 1.0).check(star(), DropEdge(0.0))
    assert "model.normalization=mean" in str(refused.value) and "model.stability_check=off" in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError) as refused:
        make("acmp mean", 50.0).check(star(), DropEdge(0.0))
    assert "normalization" not in str(refused.value)


@KIND
def test_an_adaptive_solver_and_a_check_turned_off_accept_any_step(kind: str) -> None:
    make(kind, 50.0, 1, solver="dopri5").check(star(), DropEdge(0.0))
    make(kind, 50.0, 1, stability_check="off").check(star(), DropEdge(0.0))


def test_repulsion_without_the_well_is_refused_iff_it_overflows_within_the_time() -> None:
    knobs: dict[str, Any] = {"repulsion": 5.0, "form": "released", "normalization": "sum", "step_size": 0.15}

    def model(depth: int, well: str = "off") -> ACMP:
        torch.manual_seed(1)
        return ACMP(4, 2, depth, hidden=8, **knobs | {"well": well, "delta": 0.2})

    short, long = model(140), model(200)
    short.check(ring(), DropEdge(0.0))
    assert 1e20 < largest(short, ring()) < torch.inf
    with pytest.raises(UserError, match=r"without the well repulsion grows like exp\(3\.67 t\).* before t=30: "):
        long.check(ring(), DropEdge(0.0))
    assert not largest(long, ring()) < torch.inf
    held = model(200, well="on")
    held.step_size = 0.1
    held.check(ring(), DropEdge(0.0))
    assert largest(held, ring()) < 10


@pytest.mark.parametrize("normalization", ["sum", "mean", "symmetric"])
def test_pure_repulsion_without_the_well_is_refused_iff_it_overflows_within_the_time(normalization: str) -> None:
    knobs: dict[str, Any] = {"repulsion": 2.0, "normalization": normalization, "well": "off", "step_size": 0.25}
    ACMP(4, 2, 20, hidden=8, **knobs).check(ring(), DropEdge(0.0))
    with pytest.raises(UserError, match="without the well repulsion grows"):
        ACMP(4, 2, 400, hidden=8, **knobs).check(ring(), DropEdge(0.0))


def test_attraction_alone_is_never_refused_for_growth() -> None:
    model = make("diffusion", 0.25, 400)
    assert largest(model, star()) < 1
    model.check(star(), DropEdge(0.0))


@pytest.mark.parametrize("kind", ["diffusion", "attention", "acmp without well"])
def test_a_graph_without_edges_accepts_any_step(kind: str) -> None:
    make(kind, 50.0).check(make_graph(torch.empty(2, 0, dtype=torch.long)), DropEdge(0.0))


@STEP
def test_an_accepted_step_holds_strong_repulsion(solver: str) -> None:
    def model(step_size: float) -> ACMP:
        torch.manual_seed(1)
        return ACMP(4, 2, 200, hidden=8, repulsion=5.0, delta=0.1, step_size=step_size, solver=solver)

    accepted = model(suggested(model(50.0), ring()))
    accepted.check(ring(), DropEdge(0.0))
    assert largest(accepted, ring()) < 100
    assert not largest(model(4 * accepted.step_size), ring()) < 100


@pytest.mark.parametrize(("solver", "size"), [("euler", 10.0), ("rk4", 1.0)])
def test_an_accepted_step_holds_states_that_begin_far_from_the_well(solver: str, size: float) -> None:
    graph = ring(size)
    accepted = make("acmp mean", suggested(make("acmp mean", 50.0, solver=solver), graph), solver=solver)
    accepted.check(graph, DropEdge(0.0))
    assert largest(accepted, graph) < 1000


def with_dropout(step_size: float, dropout: float, solver: str = "rk4") -> ACMP:
    torch.manual_seed(1)
    settings: dict[str, Any] = {"in_channels": 4, "out_channels": 2, "depth": 20, "hidden": 8, "dropout": dropout}
    return ACMP(**settings, step_size=step_size, solver=solver, stability_check="on")


@STEP
def test_a_step_is_refused_for_states_as_large_as_dropout_makes_them(solver: str) -> None:
    graph = ring(1.0)
    evaluated, trained = (suggested(with_dropout(50.0, dropout, solver), graph) for dropout in (0.0, 0.5))
    assert trained < 0.7 * evaluated
    with_dropout(evaluated, 0.0, solver).check(graph, DropEdge(0.0))
    with pytest.raises(UserError, match="this holds for the weights at the start"):
        with_dropout(evaluated, 0.5, solver).check(graph, DropEdge(0.0))
    model = with_dropout(evaluated, 0.5, solver)
    model.eval().check(graph, DropEdge(0.0))


def training_pass(model: ACMP, graph: Graph) -> Tensor:
    model.masks.restart(3)
    with torch.no_grad():
        return model(graph.x, graph.adjacency)


@STEP
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_pass_that_overflows_names_a_step_that_holds_it(dropout: float, solver: str) -> None:
    graph = ring(1.0)
    model = with_dropout(0.05, dropout, solver)
    model.check(graph, DropEdge(0.0))
    assert training_pass(model, graph).isfinite().all() and model.divergence() == ""
    model.encoder.weight.data.mul_(20)  # as training may
    assert not training_pass(model, graph).isfinite().all()
    found = model.findings()
    assert found["broke_from_max_abs"] > 6 and found["stable_step_size"] < 0.05
    named = re.search(rf"{solver} needs model\.step_size=(\S+) or less, not 0\.05", model.divergence())
    assert named is not None and 0.9 * found["stable_step_size"] <= float(named[1]) <= found["stable_step_size"]
    again = with_dropout(float(named[1]), dropout, solver)
    again.load_state_dict(model.state_dict())
    assert training_pass(again, graph).isfinite().all() and again.divergence() == ""


def test_an_overflow_that_no_step_would_hold_names_none() -> None:
    torch.manual_seed(1)
    knobs: dict[str, Any] = {"repulsion": 3.0, "well": "off", "step_size": 0.5, "stability_check": "off"}
    model = ACMP(4, 2, 400, hidden=8, **knobs)
    assert not training_pass(model, ring()).isfinite().all()
    assert model.divergence() == f"states overflowed at t={model.findings()['broke_at_time']:g}"
    assert "stable_step_size" not in model.findings()
