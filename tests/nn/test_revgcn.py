"""The reversible pass; that it equals the plain one is tested for all networks in `test_execution`."""

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
from depthlab.nn import revgcn
from depthlab.nn.execution import run, states
from depthlab.nn.gcnii import GCNII
from depthlab.nn.revgcn import RevGCN
from depthlab.tasks.task import Classification
from depthlab.training.module import TrainingModule

Make = Callable[..., dict[str, Any]]
TASK = Classification("acc", ("acc",), 3)
GROUPS = pytest.mark.parametrize("groups", [2, 3])  # of the five hidden channels 4 and 3 are used


@pytest.fixture
def make(settings: Make) -> Callable[..., RevGCN]:
    def build(depth: int, groups: int = 2, **changes: Any) -> RevGCN:
        torch.manual_seed(depth)
        return RevGCN(**settings(depth, **changes), groups=groups).double()

    return build


def module(network: Any, **knobs: Any) -> TrainingModule:
    return TrainingModule(network, TASK, 7, 5, **knobs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_backward_pass_recovers_the_states_of_the_forward_pass(
    dtype: torch.dtype, make: Callable[..., RevGCN], graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[int, Tensor] = {}

    class Watched(revgcn._Outputs):
        def output(self, layer: int) -> Tensor:
            found[layer] = super().output(layer)
            return found[layer]

    monkeypatch.setattr(revgcn, "_Outputs", Watched)
    model = make(40, 2, norm="layer", dropout=0.5).to(dtype).train()
    x: Any = graph.x
    x, adjacency = x.to(dtype), graph.adjacency.with_values(graph.adjacency.values.to(dtype))
    run(model, x, adjacency).sum().backward()
    model.masks.restart(0)
    _, *seen = (state.detach() for state in states(model, x, adjacency))
    assert sorted(found) == [*range(40)]
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12  # times the largest entry
    for layer, state in found.items():
        assert (state - seen[layer]).abs().max() <= tolerance * seen[layer].abs().max()
    assert max(float((found[layer] - seen[layer]).abs().max()) for layer in range(39)) > 0, "nothing was recovered"


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
        logits = run(model.network, graph.x, model.training_graph(graph, 0))
    new = [o for o in gc.get_objects() if type(o) is Tensor and id(o) not in before and o.layout == torch.strided]
    visible = {o.untyped_storage().data_ptr(): o.untyped_storage().nbytes() for o in new}
    logits.sum().backward()
    return sum(storages.values()), sum(size for where, size in visible.items() if where not in weights)


@pytest.mark.slow
@pytest.mark.parametrize("per_layer", [False, True])
def test_saved_memory_does_not_grow_with_depth(
    per_layer: bool, make: Callable[..., RevGCN], settings: Make, graph: Graph
) -> None:
    options = {"drop_edge": DropEdge(0.3, per_layer=per_layer)}
    shallow, deep = (kept_bytes(module(make(depth, norm="layer", dropout=0.5), **options), graph) for depth in (3, 30))
    assert shallow == deep
    shallow, deep = (
        kept_bytes(module(GCNII(**settings(depth, dropout=0.5)).double(), **options), graph) for depth in (3, 30)
    )
    assert deep[0] > 4 * shallow[0], "the measure sees nothing"


def test_batch_norm_counts_a_step_once(make: Callable[..., RevGCN], graph: Graph) -> None:
    stepped, passed = (module(make(3, norm="batch", dropout=0.5)).train() for _ in range(2))
    stepped.training_step(graph).backward()
    with torch.no_grad():
        passed.training_step(graph)
    after = [dict(model.named_buffers()) for model in (stepped, passed)]
    torch.testing.assert_close(*after, rtol=0, atol=0)
    counts = [int(value) for name, value in after[0].items() if name.endswith("num_batches_tracked")]
    assert counts == [1] * 7


def test_two_backward_passes_give_equal_gradients(make: Callable[..., RevGCN], graph: Graph) -> None:
    model = module(make(3, dropout=0.5), drop_edge=DropEdge(0.3, per_layer=True)).train()
    loss = model.training_step(graph)
    first = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(loss, list(model.parameters())), first, rtol=0, atol=0)


def test_two_hundred_layers_can_be_trained(make: Callable[..., RevGCN], graph: Graph) -> None:
    model = make(200, norm="layer", dropout=0.1).train()
    x: Any = graph.x
    optimizer, losses = module(model).configure_optimizers(), []
    for _ in range(2):
        optimizer.zero_grad()
        losses.append(F.cross_entropy(run(model, x, graph.adjacency), graph.y))
        losses[-1].backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("groups", [1, 0, -2])
def test_fewer_than_two_groups_are_refused_in_one_sentence(groups: int, settings: Make) -> None:
    with pytest.raises(
        UserError, match=f"^a reversible layer needs two groups or more, got {groups}: use model.groups=2$"
    ):
        RevGCN(**settings(3), groups=groups)
