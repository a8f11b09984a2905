"""What a training step of an architecture must not do on a GPU, looked for on a CPU."""

import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from depthlab.compiler import KERNEL
from depthlab.config.compose import compose_settings
from depthlab.data.prepare import load
from depthlab.data.rewire import rewire
from depthlab.folders import CHECKOUT
from depthlab.graph.graph import Graph
from depthlab.tasks.task import make_task
from depthlab.training.build import build_model
from depthlab.training.module import TrainingModule
from tests.settings import ARCHITECTURES

FLOWS = ("acmp", "diffusion")
WAITING = {"_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "_unique2", "unique_dim"}
MAKING = {
    torch.zeros, torch.ones, torch.full, torch.empty, torch.arange, torch.eye, torch.tensor, torch.rand, torch.randn,
    torch.randperm, torch.linspace, torch.as_tensor,
}  # fmt: skip


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled runs on a CPU alone."""
    monkeypatch.setenv(KERNEL, "plain")


def network(model: str, *typed: str) -> tuple[TrainingModule, Graph]:
    small = ["dataset=csbm", "dataset.nodes=60", "depth=3", "hidden=8", "recipe=none"]
    settings = compose_settings([*small, f"model={model}", *typed])
    dataset, data_hash = load(settings.dataset)
    graph = rewire(dataset, data_hash, settings).graph
    made = build_model(replace(settings, memory="full"), graph, make_task(settings, dataset))
    made.train()
    return made, graph


def place() -> str | None:
    """The line of the program that is being run."""
    lines = (frame for frame in reversed(traceback.extract_stack()) if str(CHECKOUT / "src") in frame.filename)
    frame = next(lines, None)
    return frame and f"{Path(frame.filename).name}:{frame.lineno}"


class Waits(TorchDispatchMode):
    """Notes where the processor has to wait for the device to know a value."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str | None] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.partition(".")[0]
        by_mask = name == "index" and any(index is not None and index.dtype == torch.bool for index in args[1])
        if name in WAITING or by_mask:
            self.found.add(place())
        return func(*args, **(kwargs or {}))


class Makes(TorchFunctionMode):
    """Notes where the program makes a tensor and does not say on which device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str | None] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in MAKING and "device" not in (kwargs or {}):
            self.found.add(place())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_a_training_step_stays_on_its_device_and_does_not_wait(model: str) -> None:
    made, graph = network(model, "p_drop=0.2")
    with Waits() as waits, Makes() as makes:
        made.training_step(graph).backward()
    assert makes.found - {None} == set()
    if model not in FLOWS:  # these look whether states are finite
        assert waits.found == set()


def gradient(made: TrainingModule, loss: Tensor) -> Tensor:
    weights = [p for p in made.parameters() if p.requires_grad]
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)])


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_bfloat16_changes_a_step_by_its_rounding_alone(model: str) -> None:
    made, graph = network(model, "p_drop=0.2", "dropout=0.3")
    exact = made.training_step(graph)
    wanted = gradient(made, exact)
    made.precision = "bf16"
    rounded = made.training_step(graph)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.02)
    assert F.cosine_similarity(gradient(made, rounded), wanted, dim=0) > 0.98
    assert not torch.equal(rounded, exact)


def test_bfloat16_reaches_the_dense_products(monkeypatch: pytest.MonkeyPatch) -> None:
    made, graph = network("gcnii")
    made.precision = "bf16"
    types: set[torch.dtype] = set()

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, func: Callable[..., Any], types_: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func.__name__.startswith("mm"):
                types.update(a.dtype for a in args if a.layout == torch.strided)
            return func(*args, **(kwargs or {}))

    with Products():
        made.training_step(graph)
    assert torch.bfloat16 in types
