from math import exp, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers import PygACMP
from depthlab.config.errors import UserError
from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.nn import execution
from depthlab.nn.acmp import ACMP
from depthlab.nn.diffusion import Diffusion
from depthlab.ops import MaskSource, propagate

N, HUB, LONELY = 12, 3, 11
WEIGHTS = pytest.mark.parametrize("weights", ["gcn", "attention"])
NORMALIZATION = pytest.mark.parametrize("normalization", ["sum", "mean", "symmetric"])
DROPPED = pytest.mark.parametrize("dropped", [False, True])
RING = torch.stack([torch.arange(8), (torch.arange(8) + 1) % 8])


def in_float64(edges: Tensor, num_nodes: int) -> Adjacency:
    adjacency = gcn_adjacency(torch.cat([edges, edges.flip(0)], 1), num_nodes)
    return adjacency.normalized(torch.ones(adjacency.num_edges, dtype=torch.float64))


def hub_and_hermit(dropped: bool) -> Adjacency:
    """A hub joined to all but one node, a path beside it and a node alone; some edges dropped, or none."""
    leaves = torch.tensor([node for node in range(LONELY) if node != HUB])
    spokes, path = torch.stack([torch.full_like(leaves, HUB), leaves]), torch.stack([leaves[:5], leaves[1:6]])
    adjacency = in_float64(torch.cat([spokes, path], 1), N)
    return DropEdge(0.3).sample(adjacency, MaskSource(0)) if dropped else adjacency


def states(seed: int, num_nodes: int = N, channels: int = 5) -> Tensor:
    return torch.randn(num_nodes, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def acmp(settings: Any, depth: int = 1, **knobs: Any) -> ACMP:
    torch.manual_seed(0)
    return ACMP(**settings(depth), **knobs).double()


def entries(model: ACMP, x0: Tensor, adjacency: Adjacency) -> Tensor:
    """The matrix a of the docstring."""
    if model.attention is None:
        return adjacency.matrix.to_dense()
    weights = model.attention(x0, adjacency).detach()
    return torch.zeros(N, N, dtype=torch.float64).index_put((adjacency.row, adjacency.col), weights)


@DROPPED
@pytest.mark.parametrize("repulsion", [0.0, 0.7])
@NORMALIZATION
@WEIGHTS
def test_the_force_is_the_sum_over_neighbours(
    weights: str, normalization: str, repulsion: float, dropped: bool, settings: Any
) -> None:
    adjacency, x0, x = hub_and_hermit(dropped), states(0), states(1)
    model = acmp(settings, repulsion=repulsion, weights=weights, normalization=normalization)
    a, alive = entries(model, x0, adjacency), adjacency.matrix.to_dense() != 0
    neighbours = [[j for j in range(N) if j != i and alive[i, j]] for i in range(N)]
    s = [sum(float(a[i, j]) for j in neighbours[i]) for i in range(N)]
    d = [len(found) for found in neighbours]
    force = torch.zeros_like(x)
    for i in range(N):
        for j in neighbours[i]:
            w = float(a[i, j]) - repulsion
            if normalization == "mean":
                w = float(a[i, j]) / s[i] - repulsion / d[i]
            elif normalization == "symmetric":
                w = float(a[i, j]) / sqrt(s[i] * s[j]) - repulsion / sqrt(d[i] * d[j])
            force[i] += w * (x[j] - x[i])
    operator = model.freeze(x0, adjacency)
    torch.testing.assert_close(operator.matrix @ x, force)
    torch.testing.assert_close(operator.transpose.to_dense(), operator.matrix.to_dense().T)
    assert (force[LONELY] == 0).all() and max(d) > 4 * min(found for found in d if found)


@DROPPED
@WEIGHTS
def test_the_released_force_is_the_sum_over_neighbours_and_the_node_itself(
    weights: str, dropped: bool, settings: Any
) -> None:
    adjacency, x0, x = hub_and_hermit(dropped), states(0), states(1)
    model = acmp(settings, repulsion=0.7, weights=weights, form="released", normalization="sum")
    a, alive = entries(model, x0, adjacency), adjacency.matrix.to_dense() != 0
    if weights == "gcn":
        a = alive.double() / alive.sum(0)
    force = torch.zeros_like(x)
    for i in range(N):
        for j in range(N):
            if alive[i, j]:
                force[i] += (float(a[i, j]) - 0.7) * x[j]
        force[i] -= x[i]
    torch.testing.assert_close(model.freeze(x0, adjacency).matrix @ x, force)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_attraction_alone_is_diffusion_with_the_same_attention(dropout: float, settings: Any, graph: Graph) -> None:
    diffusion = Diffusion(**settings(4, dropout=dropout), weights="attention").double()
    model = ACMP(**settings(4, dropout=dropout), repulsion=0.0, well="off", weights="attention").double()
    missing, unexpected = model.load_state_dict(diffusion.state_dict(), strict=False)
    assert sorted(missing) == ["raw_alpha", "raw_delta", "repulsion"] and not unexpected
    torch.testing.assert_close(model(graph.x, graph.adjacency), diffusion(graph.x, graph.adjacency))


@torch.no_grad()
def test_rates_begin_at_their_settings_and_stay_below_twice_those(settings: Any) -> None:
    model = acmp(settings, alpha=0.5, delta=3.0)
    assert model.alpha.tolist() == [0.5] * 5 and model.delta.tolist() == [3.0] * 5
    assert model.rates() == (0.5, 3.0)
    for raw in (model.raw_alpha, model.raw_delta):
        raw.data = torch.tensor([-30.0, -1.0, 0.0, 1.0, 30.0], dtype=torch.float64)
    for rate, initial in ((model.alpha, 0.5), (model.delta, 3.0)):
        assert (rate > 0).all() and (rate < 2 * initial).all() and (rate.diff() > 0).all()
    assert model.rates() == (float(model.alpha[-1]), float(model.delta[-1]))


def alternating(size: float) -> Tensor:
    return size * torch.tensor([1.0, -1.0]).double().repeat(4)[:, None].repeat(1, 5)


def end_state(model: ACMP, x0: Tensor) -> Tensor:
    """x(T) of a ring of eight that begins at x0."""
    model.encoder.weight.data, model.encoder.bias.data = torch.eye(5).double(), torch.zeros(5).double()
    with torch.no_grad():
        return list(execution.states(model, x0, in_float64(RING, 8)))[-1]


@pytest.mark.parametrize("repulsion", [0.75, 1.0, 2.0])
@NORMALIZATION
def test_the_well_holds_two_repelling_sides_where_the_forces_balance(
    normalization: str, repulsion: float, settings: Any
) -> None:
    """Sides at +v and -v: 2 (r - a) v + delta v (1 - v^2) = 0, a and r the sums of attraction and repulsion."""
    model = acmp(settings, 200, repulsion=repulsion, normalization=normalization, delta=2.0, step_size=0.1)
    a, r = (2 / 3, 2 * repulsion) if normalization == "sum" else (1.0, repulsion)
    torch.testing.assert_close(end_state(model, alternating(0.3)), alternating(sqrt(1 + (r - a))))


def test_without_the_well_the_two_sides_part_exponentially(settings: Any) -> None:
    model = acmp(settings, 100, repulsion=2.0, well="off", step_size=0.05, stability_check="off")
    torch.testing.assert_close(end_state(model, alternating(0.3)), alternating(0.3 * exp(10)), rtol=1e-3, atol=0)


@pytest.mark.parametrize("repulsion", [0.0, 0.3])
def test_the_well_alone_sends_a_state_shared_by_all_to_the_nearer_bottom(repulsion: float, settings: Any) -> None:
    shared = torch.tensor([-1.5, -0.2, 0.0, 0.2, 1.5]).double().repeat(8, 1)
    model = acmp(settings, 200, repulsion=repulsion, step_size=0.1)
    torch.testing.assert_close(end_state(model, shared), shared.sign())


@NORMALIZATION
@WEIGHTS
def test_a_long_time_keeps_any_start_near_the_wells(weights: str, normalization: str, settings: Any) -> None:
    knobs = {"repulsion": 1.5, "weights": weights, "normalization": normalization, "step_size": 0.1}
    start = states(2, 8)
    held, free = (
        end_state(acmp(settings, 300, well=well, stability_check="off", **knobs), start) for well in ("on", "off")
    )
    assert 0.5 < held.abs().mean() < held.abs().max() < 3
    assert free.abs().max() > 1e3


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("well", ["on", "off"])
def test_gradients_reach_what_is_learned_alone(learn: bool, well: str, settings: Any, graph: Graph) -> None:
    model = acmp(settings, 3, learn_repulsion=learn, well=well)
    model(graph.x, graph.adjacency).sum().backward()
    reached = {name for name in ("repulsion", "raw_alpha", "raw_delta") if getattr(model, name).grad is not None}
    assert reached == {"raw_alpha"} | ({"repulsion"} if learn else set()) | ({"raw_delta"} if well == "on" else set())
    assert all(getattr(model, name).grad.abs().max() > 1e-6 for name in reached)


@NORMALIZATION
@WEIGHTS
def test_the_force_is_linear_in_the_repulsion_and_so_is_its_gradient(
    weights: str, normalization: str, settings: Any
) -> None:
    adjacency, x0, x = hub_and_hermit(dropped=False), states(0), states(1)
    model = acmp(settings, repulsion=0.0, learn_repulsion=True, weights=weights, normalization=normalization)

    def total() -> Tensor:
        return (propagate(model.freeze(x0, adjacency), x) * states(2)).sum()

    (slope,) = torch.autograd.grad(without := total(), model.repulsion)
    model.repulsion.data.fill_(1.0)
    torch.testing.assert_close(slope, (total() - without).detach())


@pytest.mark.parametrize("normalization", ["mean", "symmetric"])
def test_the_released_form_has_no_normalization(normalization: str, settings: Any) -> None:
    with pytest.raises(UserError, match=r"^model\.form=released is a plain sum: add model\.normalization=sum$"):
        acmp(settings, form="released", normalization=normalization)


@pytest.mark.parametrize("well", ["on", "off"])
def test_findings_tell_the_learned_strengths(well: str, settings: Any, graph: Graph) -> None:
    model = acmp(settings, 4, repulsion=0.5, alpha=0.25, delta=0.5, well=well)
    model(graph.x, graph.adjacency)
    assert model.findings() == {
        "time": 1.0, "function_evaluations": 16.0,
        "repulsion": 0.5, "alpha_mean": 0.25, "delta_mean": 0.5 if well == "on" else 0.0,
    }  # fmt: skip


def test_results_equal_those_of_message_passing_by_edges(graph: Graph, settings: Any) -> None:
    knobs: dict[str, Any] = {"repulsion": 0.4, "solver": "rk4", "step_size": 0.1, "alpha": 1.0, "delta": 0.5}
    model = acmp(settings, depth=6, **knobs)
    peer = PygACMP(7, 3, 6, 5, 0.0, knobs).double()
    with torch.no_grad():
        for ours, theirs in ((model.encoder, peer.encoder), (model.decoder, peer.decoder)):
            theirs.weight.copy_(ours.weight.T)
            theirs.bias.copy_(ours.bias)
    assert isinstance(graph.x, Tensor)
    logits, expected = model(graph.x, graph.adjacency), peer(graph.x, graph.edge_index)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-7)  # the peer's degrees are float32
    (of_ours,) = torch.autograd.grad(F.cross_entropy(logits, graph.y), [model.encoder.weight])
    (of_theirs,) = torch.autograd.grad(F.cross_entropy(expected, graph.y), [peer.encoder.weight])
    torch.testing.assert_close(of_ours, of_theirs.T, rtol=1e-5, atol=1e-7)
