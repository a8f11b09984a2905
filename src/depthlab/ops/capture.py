"""A whole training step, from zeroed gradients to Adam's update, as one CUDA graph that is replayed."""

from collections.abc import Callable
from typing import Any

import torch

from depthlab.config.errors import UserError

WARM_UP = 3  # steps that run kernel by kernel before: libraries take their memory, Adam makes its moments


def cuda_graph(function: Callable[[], object], generators: list[torch.Generator]) -> Callable[[], None]:
    """Records what the function does on the GPU, without doing it; the result does it, from the same memory.

    Args:
        function: of fixed shapes, that never waits for the GPU.
        generators: that it draws from: each replay goes on with the seed and offset that they have then.
    """
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        function()
    return graph.replay


class CapturedAdam(torch.optim.Adam):
    """Adam whose `step(closure)` is closure and update together, recorded once and replayed from then on.

    The first steps are taken one by one on a stream of their own, as capture wants it; they count as any other. The
    closure draws masks, and zeroes and computes gradients: after the recording its Python code is not run again.

    Args:
        groups, lr: as of `torch.optim.Adam`.
        generators: gives what the closure draws from, asked at the recording.

    Raises:
        UserError: the step cannot be recorded.
    """

    def __init__(self, groups: Any, lr: float, generators: Callable[[], list[torch.Generator]] = list) -> None:
        super().__init__(groups, lr=lr, fused=True, capturable=True)
        self._warned_capturable_if_run_uncaptured = True  # the first steps do
        self._generators, self._taken = generators, 0
        self._replay: Callable[[], None] | None = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Also that of the ordinary Adam, of a run that began on a processor."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["fused"] = group["capturable"] = True

    def step(self, closure: Any = None) -> Any:
        if self._replay is not None:
            return self._replay()
        self._taken += 1
        if self._taken > WARM_UP:
            whole = super().step
            try:
                self._replay = cuda_graph(lambda: whole(closure), self._generators())
            except RuntimeError as error:
                cause = error.__context__ or error  # the end of a recording that failed raises again, without a reason
                why = (str(cause) or type(cause).__name__).splitlines()[0]
                raise UserError(f"a step cannot become a CUDA graph ({why}): use trainer.capture=false") from cause
            return self._replay()
        if not torch.cuda.is_available():
            return super().step(closure)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            loss = super().step(closure)
        torch.cuda.current_stream().wait_stream(aside)
        return loss
