import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from depthlab.config.errors import UserError
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.measures.layers import Observer, gradient_norms
from depthlab.nn import revgcn
from depthlab.nn.base import Adjacencies, Settings
from depthlab.nn.gcnii import GCNII
from depthlab.nn.revgcn import RevGCN
from depthlab.ops import MaskSource
from depthlab.ops.masks import draw_threshold

Make = Callable[..., Settings]
GROUPS = pytest.mark.parametrize("groups", [2, 3])  # of the five hidden channels 4 and 3 are used


@pytest.fixture
def make(settings: Make) -> Callable[..., RevGCN]:
    def build(depth: int, groups: int = 2, **changes: Any) -> RevGCN:
        torch.manual_seed(depth)
        return RevGCN(settings(depth, **changes), groups=groups).double()

    return build


def reference(
    model: RevGCN, x: Tensor, adjacency: Adjacencies, masks: MaskSource, observe: Observer = lambda layer, state: None
) -> Tensor:
    """The equations with dense operators, by ordinary autograd; draws its masks in the order of the network."""
    p = model.settings.dropout

    def drop(h: Tensor) -> Tensor:
        if p == 0.0:
            return h
        threshold, scale = draw_threshold(p)
        return h * (masks.lanes(tuple(h.shape), h.device) > threshold) * scale

    state = drop(x) @ model.encoder.weight + model.encoder.bias
    observe(0, state)
    shared = drop(torch.ones_like(state)).chunk(model.groups, 1)
    norms = iter(model.norms)
    for layer in range(1, model.settings.depth + 1):
        operator = adjacency.at(layer).matrix.to_dense()
        parts = list(state.chunk(model.groups, 1))
        entering = torch.stack(parts[1:]).sum(0)
        for i, weight in enumerate(model.weights[layer - 1]):
            entering = parts[i] = operator @ (next(norms)(entering).relu() * shared[i]) @ weight + parts[i]
        state = torch.cat(parts, 1)
        observe(layer, state)
    return drop(model.last_norm(state).relu()) @ model.decoder.weight + model.decoder.bias


@pytest.mark.parametrize("per_layer", [False, True])
@pytest.mark.parametrize("norm", ["none", "layer", "batch", "pair"])
@pytest.mark.parametrize(("dropout", "p_drop"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.4, 0.3)])
@GROUPS
def test_logits_and_gradients_are_those_of_ordinary_autograd(
    groups: int, dropout: float, p_drop: float, norm: str, per_layer: bool, make: Callable[..., RevGCN], graph: Graph
) -> None:
    drop_edge = DropEdge(p_drop, per_layer=per_layer)
    model = make(4, groups, dropout=dropout, norm=norm, drop_edge=drop_edge).train()
    assert isinstance(graph.x, Tensor)
    masks = MaskSource(model.settings.seed)
    expected = reference(model, graph.x, drop_edge(graph.layers, masks), masks)
    logits = model(graph.x, model.training_adjacency(graph, 0))
    torch.testing.assert_close(logits, expected)
    learned = list(model.parameters())
    theirs = torch.autograd.grad(F.cross_entropy(expected, graph.y), learned)
    torch.testing.assert_close(torch.autograd.grad(F.cross_entropy(logits, graph.y), learned), theirs)


@GROUPS
def test_states_and_their_gradients_are_those_of_ordinary_autograd(
    groups: int, make: Callable[..., RevGCN], graph: Graph
) -> None:
    model, seen = make(3, groups, norm="layer").eval(), list[list[Tensor]]()

    def states_and_norms(forward: Callable[[Observer], Tensor]) -> list[float]:
        states: list[Tensor] = []
        seen.append(states)

        def loss(observe: Observer) -> Tensor:
            def both(layer: int, state: Any) -> None:
                states.append(state.detach())
                observe(layer, state)

            return F.cross_entropy(forward(both), graph.y)

        return gradient_norms(loss)

    x: Any = graph.x
    ours = states_and_norms(lambda observe: model(x, graph.layers, observe))
    theirs = states_and_norms(lambda observe: reference(model, x, graph.layers, MaskSource(0), observe))
    torch.testing.assert_close(*seen)
    assert ours == pytest.approx(theirs) and len(ours) == 4 and min(ours) > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_backward_pass_finds_the_states_of_the_forward_pass(
    dtype: torch.dtype, make: Callable[..., RevGCN], graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[int, Tensor] = {}

    class Watched(revgcn._Outputs):
        def of(self, layer: int) -> Tensor:
            found[layer] = super().of(layer)
            return found[layer]

    monkeypatch.setattr(revgcn, "_Outputs", Watched)
    model, states = make(40, 2, norm="layer", dropout=0.5).to(dtype).train(), dict[int, Tensor]()
    x: Any = graph.x
    adjacency = graph.adjacency.with_values(graph.adjacency.values.to(dtype))
    model(x.to(dtype), adjacency, lambda layer, state: states.update({layer: state.detach()})).sum().backward()
    assert sorted(found) == [*range(1, 41)]
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12  # times the largest entry
    for layer, state in found.items():
        assert (state - states[layer]).abs().max() <= tolerance * states[layer].abs().max()
    assert max(float((found[layer] - states[layer]).abs().max()) for layer in range(1, 40)) > 0, "nothing was found"


def kept_bytes(model: Any, graph: Graph) -> tuple[int, int]:
    """Bytes that a forward pass keeps for its backward pass: in saved tensors, and in all that Python can see."""
    weights, storages = {p.untyped_storage().data_ptr() for p in model.parameters()}, dict[int, int]()
    gc.collect()
    before = {id(found) for found in gc.get_objects() if type(found) is Tensor}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model(graph.x, model.training_adjacency(graph, 0))
    new = [o for o in gc.get_objects() if type(o) is Tensor and id(o) not in before and o.layout == torch.strided]
    visible = {o.untyped_storage().data_ptr(): o.untyped_storage().nbytes() for o in new}
    logits.sum().backward()
    return sum(storages.values()), sum(size for where, size in visible.items() if where not in weights)


@pytest.mark.parametrize("per_layer", [False, True])
def test_what_is_kept_does_not_grow_with_depth(
    per_layer: bool, make: Callable[..., RevGCN], settings: Make, graph: Graph
) -> None:
    options: dict[str, Any] = {"dropout": 0.5, "drop_edge": DropEdge(0.3, per_layer=per_layer)}
    shallow, deep = (kept_bytes(make(depth, norm="layer", **options), graph) for depth in (3, 30))
    assert shallow == deep
    shallow, deep = (kept_bytes(GCNII(settings(depth, **options)).double(), graph) for depth in (3, 30))
    assert deep[0] > 5 * shallow[0], "the measure sees nothing"


def test_batch_norm_counts_a_step_once(make: Callable[..., RevGCN], graph: Graph) -> None:
    stepped, passed = (make(3, norm="batch", dropout=0.5).train() for _ in range(2))
    stepped.training_step(graph).backward()
    with torch.no_grad():
        passed.training_step(graph)
    after = [dict(model.named_buffers()) for model in (stepped, passed)]
    torch.testing.assert_close(*after, rtol=0, atol=0)
    counts = [int(value) for name, value in after[0].items() if name.endswith("num_batches_tracked")]
    assert counts == [1] * 7


def test_a_graph_that_was_kept_is_gone_back_twice(make: Callable[..., RevGCN], graph: Graph) -> None:
    model = make(3, dropout=0.5, drop_edge=DropEdge(0.3, per_layer=True)).train()
    loss = model.training_step(graph)
    first = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(loss, list(model.parameters())), first, rtol=0, atol=0)


def test_a_gradient_that_starts_at_another_state_is_an_error(make: Callable[..., RevGCN], graph: Graph) -> None:
    model, states = make(3), list[Any]()
    model(graph.x, graph.adjacency, lambda layer, state: states.append(state))
    with pytest.raises(RuntimeError, match="start at its last state"):
        states[2].sum().backward()


def test_two_hundred_layers_can_be_trained(make: Callable[..., RevGCN], graph: Graph) -> None:
    model = make(200, norm="layer", dropout=0.1).train()
    x: Any = graph.x
    optimizer, losses = model.configure_optimizers(), []
    for _ in range(2):
        optimizer.zero_grad()
        losses.append(F.cross_entropy(model(x, graph.adjacency), graph.y))
        losses[-1].backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("groups", [1, 0, -2])
def test_fewer_than_two_groups_are_refused_in_one_sentence(groups: int, settings: Make) -> None:
    with pytest.raises(
        UserError, match=f"^a reversible layer needs two groups or more, got {groups}: use model.groups=2$"
    ):
        RevGCN(settings(3), groups=groups)
