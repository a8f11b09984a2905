"""Training steps of both sides."""

from collections.abc import Callable

import pytest
import torch

from benchmarks import steps
from benchmarks.timing import UnavailableError
from depthlab import compiler
from depthlab.config.compose import compose_settings
from depthlab.training.experiment import Experiment, experiment


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Experiment]:
    """Small networks on a generated graph, in place of those on Cora."""

    def made(name: str, depth: int = 2, hidden: int = 4) -> Experiment:
        words = ("dataset=csbm", "dataset.nodes=60", f"model={name}", f"depth={depth}", f"hidden={hidden}")
        return experiment(compose_settings([*words, "memory=full"]))

    monkeypatch.setenv(compiler.KERNEL, "plain")  # `ours` sets it, and it is restored after the test
    monkeypatch.setattr(steps, "network", made)
    return made


@pytest.mark.parametrize("kernel", compiler.CHOICES)
def test_our_step_runs_the_layers_that_it_says(kernel: str, small: Callable[[str], Experiment]) -> None:
    if kernel == "auto" and compiler._loaded() is None:
        with pytest.raises(UnavailableError, match="no C"):
            steps.ours("gcnii", 2, 4, kernel)
        return
    steps.ours("gcnii", 2, 4, kernel)()
    assert (compiler.kernel() is None) == (kernel == "plain")


def test_a_network_without_compiled_layers_is_not_timed_with_them(small: Callable[[str], Experiment]) -> None:
    with pytest.raises(UnavailableError, match="acmp has no compiled layers"):
        steps.ours("acmp", 2, 4, "auto")


@pytest.mark.parametrize(("name", "csr"), [("gcn", False), ("gcnii", True), ("appnp", True), ("acmp", False)])
def test_a_step_of_pyg_gives_every_weight_a_gradient(name: str, csr: bool, small: Callable[[str], Experiment]) -> None:
    step = steps.pyg_step(name, small(name), csr, compiled=False)
    step()
    weights = [weight for group in _optimizer(step).param_groups for weight in group["params"]]
    assert weights and all(weight.grad is not None and weight.grad.isfinite().all() for weight in weights)


def _optimizer(step: Callable[[], None]) -> torch.optim.Optimizer:
    cells = [cell.cell_contents for cell in step.__closure__ or ()]
    return next(cell for cell in cells if isinstance(cell, torch.optim.Optimizer))


def test_what_torch_does_not_compile_is_left_out_with_its_reason(
    small: Callable[[str], Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(model: object) -> Callable[..., object]:
        def call(*_: object) -> object:
            raise RuntimeError("no C++ compiler found\nand more")

        return call

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(UnavailableError, match=r"^torch\.compile: RuntimeError: no C\+\+ compiler found$"):
        steps.pyg_step("gcn", small("gcn"), csr=False, compiled=True)


def test_deep_networks_have_fewer_sides() -> None:
    with pytest.raises(UnavailableError, match="beyond 512 layers"):
        steps.pyg("gcnii", 1024, 4)
    with pytest.raises(UnavailableError, match="beyond 16 layers"):
        steps.left_out(16)
