"""Depth as time: an architecture that is a differential equation on the graph, integrated by torchdiffeq."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchdiffeq import odeint, odeint_adjoint

from src.graph.adjacency import Adjacency
from src.graph.graph import Graph
from src.models.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from src.models.linear import Linear
from src.models.stability import REACH, refuse_overflow

Velocity = tuple[Callable[[Tensor], Tensor], tuple[Tensor, ...]]  # x -> dx/dt, and the learned tensors it reads


class Flow(NodeClassifier):
    r"""Base of the continuous architectures: encoder, :math:`dx/dt = v(x)` from x(0) for the time T, decoder.

    .. math:: x(0) = X W_{\mathrm{in}} + b, \qquad \mathrm{logits} = \mathrm{relu}(x(T)) W_{\mathrm{out}} + b', \qquad
        T = \mathrm{depth} \cdot \mathrm{step\_size}

    State l is x(l * step_size). A fixed-step solver makes one step from each state to the next, an adaptive one as many
    as its tolerances need. Dropout acts on X and before the decoder, never inside the equation; a DropEdge sample holds
    for the whole time, also with `drop_edge.per_layer`. A subclass defines `freeze` (what is fixed at t = 0) and may
    define `well`.

    Args:
        settings: what every architecture is told.
        solver: `euler`, `rk4` (fixed steps) or `dopri5` (adaptive).
        step_size: time between two states, > 0.
        rtol, atol: tolerances of `dopri5`.
        adjoint: gradients by integrating backwards in time (Chen et al. 2018): memory that does not grow with the time,
            about twice the work, gradients within the tolerances.
        stability_check: `on` refuses a fixed step that overflows on the graph (`src.models.stability`).
    """

    repels = False  # whether states can grow without a well

    def __init__(
        self,
        settings: Settings,
        solver: str,
        step_size: float,
        rtol: float,
        atol: float,
        adjoint: bool,
        stability_check: str,
    ) -> None:
        super().__init__(settings)
        self.solver, self.step_size, self.adjoint = solver, step_size, adjoint
        self.tolerances = {"rtol": rtol, "atol": atol}
        self.checked = stability_check == "on"
        self.encoder = Linear(settings.in_channels, settings.hidden)
        self.decoder = Linear(settings.hidden, settings.out_channels)
        self.calls = self.evaluations = 0
        self.broke_at: float | None = None

    def freeze(self, x0: Tensor, adjacency: Adjacency) -> Adjacency:
        """The operator L whose product L x drives the states: weights off the diagonal, frozen at t = 0."""
        raise NotImplementedError("a flow defines its operator")  # pragma: no cover

    def velocity(self, operator: Adjacency) -> Velocity:
        """The equation with that operator: x -> dx/dt, and the tensors it reads that may need a gradient."""
        raise NotImplementedError("a flow defines its velocity")  # pragma: no cover

    def rates(self) -> tuple[float, float]:
        """Largest factor of L x, and strength of the well, as they are now."""
        return 1.0, 0.0

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        h, scale = self.drop(x)
        state = self.encoder(h, scale)
        velocity = self.velocity(self.freeze(state, adjacency.at(1)))
        observe(0, state)
        before, largest = self.calls, [state.detach().abs().amax()]
        for layer in range(1, self.settings.depth + 1):
            state = self._advance(velocity, state)
            largest.append(state.detach().abs().amax())
            observe(layer, state)
        self.evaluations = self.calls - before
        self._remember_break(torch.stack(largest))
        h, scale = self.relu_drop(state)
        return self.decoder(h, scale)

    def _advance(self, velocity: Velocity, state: Tensor) -> Tensor:
        """The state one `step_size` later; not a number where an adaptive solver cannot proceed."""

        function, learned = velocity

        def right_hand_side(_: Tensor, x: Tensor) -> Tensor:
            self.calls += 1
            return function(x)

        span = state.new_tensor([0.0, self.step_size])
        try:
            if self.adjoint:
                states = odeint_adjoint(
                    right_hand_side, state, span, method=self.solver, adjoint_params=learned, **self.tolerances
                )
            else:
                states = odeint(right_hand_side, state, span, method=self.solver, **self.tolerances)
        except AssertionError:  # torchdiffeq's word for a step of length zero and for a state that is not finite
            return torch.full_like(state, torch.nan)
        return states[-1]

    def _remember_break(self, largest: Tensor) -> None:
        finite = largest.isfinite()
        if self.broke_at is None and not finite[-1]:
            self.broke_at = float(finite.long().argmin()) * self.step_size

    def findings(self) -> dict[str, float]:
        """Time integrated, evaluations of the equation in one pass and, if it ever broke, the time when it did."""
        found = {"time": self.settings.depth * self.step_size, "function_evaluations": float(self.evaluations)}
        return found if self.broke_at is None else found | {"broke_at_time": self.broke_at}

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Lightning's, but an adjoint that cannot proceed backwards gives gradients that are not numbers."""
        try:
            super().backward(loss, *args, **kwargs)
        except AssertionError:
            self.broke_at = self.broke_at or self.settings.depth * self.step_size
            for weight in self.parameters():
                weight.grad = torch.full_like(weight, torch.nan)

    @torch.no_grad()
    def check(self, graph: Graph) -> None:
        """Refuse what overflows on this graph with the initial weights; adaptive solvers find a step of their own.

        Raises:
            UserError: as `refuse_overflow`.
        """
        if not self.checked or self.solver not in REACH:
            return
        x0 = self.encoder(graph.x)
        operator = self.freeze(x0, graph.adjacency)
        time = self.settings.depth * self.step_size if self.repels else 0.0
        refuse_overflow(operator, x0, self.rates(), self.solver, self.step_size, time, self.milder())

    def milder(self) -> str:
        """What else than a shorter step would hold, in words."""
        return ""
