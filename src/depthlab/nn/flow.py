"""Depth as time: an architecture that is a differential equation on the graph, integrated by torchdiffeq."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torchdiffeq import odeint, odeint_adjoint

from depthlab.nn.attention import DotAttention
from depthlab.nn.equation import Equation, Velocity, euler, rk4, stuck
from depthlab.nn.linear import Linear
from depthlab.nn.network import Adjacency, DropEdge, Features, Graph, LayerGraphs, Network, State, UserError
from depthlab.nn.stability import REACH, fastest_rate, gershgorin, refuse_growth, refuse_step, round_down

PASSES = 8  # training steps whose dropout masks are tried before training
MAX_STEPS = 1000  # of an adaptive solver from one state to the next


class Flow(Network):
    r"""Base of the continuous architectures: encoder, :math:`dx/dt = v(x)` from x(0) for the time T, decoder.

    .. math:: x(0) = X W_{\mathrm{in}} + b, \qquad \mathrm{logits} = \mathrm{relu}(x(T)) W_{\mathrm{out}} + b', \qquad
        T = \mathrm{depth} \cdot \mathrm{step\_size}

    State l is x(l * step_size). A fixed-step solver takes one step per layer, an adaptive one as many as it needs.
    Dropout acts on X and before the decoder, not inside the equation. One DropEdge sample is used for the whole
    integration, also with `drop_edge.per_layer`. A subclass defines `freeze` and `velocity`.

    Args:
        weights: of the neighbours, fixed at t = 0: `gcn` (entries of P) or `attention` (`DotAttention` of x(0)).
        heads: attention heads.
        solver: `euler`, `rk4` (fixed steps) or `dopri5` (adaptive).
        step_size: time between two states, > 0.
        rtol, atol: tolerances of `dopri5`.
        adjoint: compute gradients by integrating backwards in time (Chen et al. 2018). Stores two states per layer
            instead of those of every stage, for about twice the work; gradients have the error of the solver.
        stability_check: `on` refuses settings whose states overflow on this graph before training (`check`).

    Shapes: x (n, in_channels), adjacency (n, n), states (n, hidden), logits (n, out_channels).
    """

    milder = ""  # an alternative to a shorter step, for error messages

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        weights: str = "gcn", heads: int = 4, solver: str = "rk4", step_size: float = 0.25, rtol: float = 1e-3,
        atol: float = 1e-5, adjoint: bool = False, stability_check: str = "on",
    ) -> None:  # fmt: skip
        super().__init__(depth, dropout)
        self.attention = DotAttention(hidden, heads) if weights == "attention" else None
        self.solver, self.step_size, self.adjoint = solver, step_size, adjoint
        self.options: dict[str, Any] = {"rtol": rtol, "atol": atol, "method": solver}
        if solver == "dopri5":
            self.options["options"] = {"max_num_steps": MAX_STEPS}
        self.checked = stability_check == "on"
        self.encoder = Linear(in_channels, hidden)
        self.decoder = Linear(hidden, out_channels)
        self.evaluations = self.calls = 0
        self._start: tuple[Tensor, Equation] | None = None
        self.broke_at: float | None = None
        self.broke_from = 0.0
        self.stable_step: float | None = None

    @property
    def time(self) -> float:
        """T, when the decoder reads the states."""
        return self.depth * self.step_size

    def freeze(self, x0: Tensor, adjacency: Adjacency) -> Adjacency:
        """The operator L whose product L x drives the states, fixed at t = 0."""
        raise NotImplementedError("a flow defines its operator")  # pragma: no cover

    def velocity(self, operator: Adjacency) -> tuple[Velocity, tuple[Tensor, ...]]:
        """The right-hand side x -> dx/dt, and learned tensors in it besides the operator's values."""
        raise NotImplementedError("a flow defines its velocity")  # pragma: no cover

    @property
    def uses_weights(self) -> bool:
        return self.attention is None

    def encode(self, x: Features, graph: LayerGraphs) -> tuple[State, LayerGraphs]:
        x0 = self.encoder(self.dropout(x))
        operator = self.freeze(x0, graph.at(0))
        equation = self._equation(operator)
        with torch.no_grad():
            self._start = x0.detach(), self._equation(replace(operator, learned=None))
        self.calls = 0
        return (x0,), equation

    def _equation(self, operator: Adjacency) -> Equation:
        velocity, learned = self.velocity(operator)
        if operator.learned is not None:
            learned = (*learned, operator.learned)
        return Equation(self, operator, velocity, learned)

    def layer(self, number: int, state: State, graph: Any) -> State:
        """The state one `step_size` later; not a number where an adaptive solver cannot proceed."""
        x, equation, step = state[0], graph, self.step_size
        if self.solver != "dopri5" and not self.adjoint:
            return ((euler if self.solver == "euler" else rk4)(equation, x, step),)
        span = x.new_tensor([0.0, step])
        try:
            if self.adjoint:
                return (odeint_adjoint(equation, x, span, adjoint_params=equation.learned, **self.options)[-1],)
            return (odeint(equation, x, span, **self.options)[-1],)
        except AssertionError as error:
            if not stuck(error):
                raise
            return (torch.full_like(x, torch.nan).requires_grad_(x.requires_grad),)

    def decode(self, state: State) -> Tensor:
        self.evaluations = self.calls
        self._remember_break(state[0].detach())
        return self.decoder(self.relu_dropout(state[0]))

    @torch.no_grad()
    def _remember_break(self, last: Tensor) -> None:
        """After an overflow: its time, the largest |x| at the start, and a step size that would have been stable."""
        start, self._start = self._start, None
        if start is None or self.broke_at is not None or last.abs().amax().isfinite():
            return
        x, equation = start
        largest = float(x.abs().amax())
        if not math.isfinite(largest):
            return
        number = 0
        while x.isfinite().all() and number < self.depth:
            (x,), number = self.layer(number, (x,), equation), number + 1
        self.broke_at, self.broke_from = number * self.step_size, largest
        if self.solver != "dopri5":
            longest = self._longest_step(equation.operator, largest)
            self.stable_step = longest if longest < self.step_size else None

    def findings(self) -> dict[str, float]:
        """Integration time, evaluations of the equation per pass and, if states overflowed, three more values.

        `broke_at_time` is the time of the overflow, `broke_from_max_abs` the largest |x| at t = 0, and
        `stable_step_size` the longest step that would have been stable, if it is shorter than `step_size`.
        """
        values = {"time": self.time, "function_evaluations": float(self.evaluations)}
        if self.broke_at is not None:
            values |= {"broke_at_time": self.broke_at, "broke_from_max_abs": self.broke_from}
        return values if self.stable_step is None else values | {"stable_step_size": self.stable_step}

    def divergence(self) -> str:
        """When states overflowed, and which step would have been stable."""
        if self.broke_at is None:
            return ""
        when = f"states overflowed at t={self.broke_at:g}"
        if self.stable_step is None:
            return when
        return (
            f"{when}: training had enlarged them to |x|={self.broke_from:.3g} at t=0, where {self.solver} needs"
            f" model.step_size={round_down(self.stable_step)} or less, not {self.step_size:g}; if training enlarges"
            " them further, use model.solver=dopri5, which takes longer"
        )

    # Stability -------------------------------------------------------------------------------------------------------

    def rates(self) -> tuple[float, float]:
        """alpha, the largest factor of L x, and delta, the strength of the well, as they are now."""
        return 1.0, 0.0

    def bounds(self, operator: Adjacency) -> tuple[Tensor, Tensor]:
        """How fast, at most, modes of dx/dt = L x decay and grow, per node."""
        return gershgorin(operator)

    def _longest_step(self, operator: Adjacency, start: float) -> float:
        """The longest fixed step within the solver's reach, with the present weights and |x(0)| up to `start`."""
        alpha, delta = self.rates()
        decay, growth = (alpha * bound for bound in self.bounds(operator))
        rate = fastest_rate(decay, growth, start, delta)
        return REACH[self.solver] / rate if rate else math.inf

    def _largest_start(self, graph: Graph) -> float:
        """The largest |x(0)|, also in the first steps of training, since dropout scales what it keeps."""
        starts = [self.encoder(graph.x)]
        for step in range(PASSES if self.p_dropout else 0):
            self.masks.restart(step)
            starts.append(self.encoder(self.dropout(graph.x)))
        return max(float(x0.abs().max()) for x0 in starts)

    @torch.no_grad()
    def check(self, graph: Graph, drop_edge: DropEdge) -> None:
        """Refuse a fixed step with which states may overflow on this graph with the initial weights.

        Adaptive solvers choose their own step. Weights grow in training, without a known bound: an accepted run may
        still overflow later, and then reports the step that would have been stable (`divergence`).

        Raises:
            UserError: as `refuse_step` and `refuse_growth`; or DropEdge is to scale the weights of the equation; or a
                layer is to have a graph of its own: the equation has one operator for all of its time.
        """
        if graph.last is not None:
            name = type(self).__name__
            raise UserError(
                f"{name} does not support rewiring.layers=last, its layers share one graph: use rewiring.layers=all"
            )
        if drop_edge.p > 0 and drop_edge.mode == "rescale":
            raise UserError("drop_edge.mode=rescale makes attraction outweigh x itself: use drop_edge.mode=renormalize")
        if not self.checked:
            return
        x0 = self.encoder(graph.x)
        alpha, delta = self.rates()
        decay, growth = (alpha * bound for bound in self.bounds(self.freeze(x0, graph.adjacency)))
        if self.solver != "dopri5":
            start = self._largest_start(graph)
            refuse_step(decay, growth, start, delta, self.solver, self.step_size, graph.adjacency, self.milder)
        if delta == 0:
            refuse_growth(growth, self.time)
