"""A captured step is the ordinary one: with a stand-in that replays by calling the function once more."""

from collections.abc import Callable

import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.ops.capture import WARM_UP, CapturedAdam


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many generators each recording was given; as a real one, it does nothing at the recording itself."""
    log: list[int] = []

    def record(function: Callable[[], object], generators: list[torch.Generator]) -> Callable[[], None]:
        log.append(len(generators))

        def replay() -> None:
            function()

        return replay

    monkeypatch.setattr("depthlab.ops.capture.cuda_graph", record)
    return log


def trained(steps: int, captured: bool) -> tuple[list[float], torch.Tensor]:
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(3, 2), torch.randn(5, 3)
    groups = [{"params": list(layer.parameters()), "weight_decay": 0.1}]
    losses: list[float] = []
    if captured:
        optimizer: torch.optim.Adam = CapturedAdam(groups, 0.1, lambda: [torch.Generator()])
    else:
        optimizer = torch.optim.Adam(groups, lr=0.1, fused=True)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = layer(x).square().mean()
        loss.backward()
        losses.append(float(loss.detach()))
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return losses, layer.weight.detach()


def test_every_step_is_taken_once_and_one_is_recorded(recorded: list[int]) -> None:
    losses, weight = trained(WARM_UP + 4, captured=True)
    wanted, exact = trained(WARM_UP + 4, captured=False)
    assert recorded == [1]
    assert losses == wanted
    assert torch.equal(weight, exact)


def test_few_steps_are_not_recorded(recorded: list[int]) -> None:
    trained(WARM_UP, captured=True)
    assert recorded == []


def test_what_cannot_be_recorded_says_why_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def record(function: Callable[[], object], generators: object) -> None:
        try:
            raise RuntimeError("operation not permitted when stream is capturing\nfor debugging consider ...")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")  # as torch.cuda.graph ends

    monkeypatch.setattr("depthlab.ops.capture.cuda_graph", record)
    sentence = (
        r"^a step cannot become a CUDA graph \(operation not permitted .* capturing\): use trainer\.capture=false$"
    )
    with pytest.raises(UserError, match=sentence):
        trained(WARM_UP + 1, captured=True)


def test_the_state_of_an_ordinary_adam_can_be_captured() -> None:
    """PyTorch refuses to record a step of groups that are not capturable; a saved state brings its groups along."""
    layer = torch.nn.Linear(3, 2)
    ordinary = torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)
    layer(torch.ones(3)).sum().backward()
    ordinary.step()
    captured = CapturedAdam(layer.parameters(), 0.1)
    captured.load_state_dict(ordinary.state_dict())
    (group,) = captured.param_groups
    assert group["capturable"] and group["fused"]
    assert all(float(state["step"]) == 1 for state in captured.state.values())
