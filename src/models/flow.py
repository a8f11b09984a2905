"""Depth as time: an architecture that is a differential equation on the graph, integrated by torchdiffeq."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchdiffeq import odeint, odeint_adjoint

from src.errors import UserError
from src.graph.adjacency import Adjacency
from src.graph.graph import Graph
from src.models.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from src.models.linear import Linear

Velocity = tuple[Callable[[Tensor], Tensor], tuple[Tensor, ...]]  # x -> dx/dt, and the learned tensors it reads
REACH = {"euler": 2.0, "rk4": 2.785}  # rate * step up to which an explicit method lets a decaying mode decay
OVERFLOW = 80.0  # e^88 is the largest float32


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
        stability_check: `on` refuses a step that overflows on the graph (`check`).
    """

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
        self.evaluations = 0
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
        self.evaluations = 0
        totals = [state.detach().sum()]
        for layer in range(1, self.settings.depth + 1):
            state = self._advance(velocity, state)
            totals.append(state.detach().sum())
            observe(layer, state)
        self._remember_break(torch.stack(totals))
        h, scale = self.relu_drop(state)
        return self.decoder(h, scale)

    def _advance(self, velocity: Velocity, state: Tensor) -> Tensor:
        """The state one `step_size` later; not a number where an adaptive solver cannot proceed."""

        function, learned = velocity

        def right_hand_side(_: Tensor, x: Tensor) -> Tensor:
            self.evaluations += 1
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

    def _remember_break(self, totals: Tensor) -> None:
        finite = totals.isfinite()
        if self.broke_at is None and not finite[-1]:
            self.broke_at = float(finite.long().argmin()) * self.step_size

    def findings(self) -> dict[str, float]:
        """Time integrated, evaluations of the equation in one pass and, if it ever broke, the time when it did."""
        found = {"time": self.settings.depth * self.step_size, "function_evaluations": float(self.evaluations)}
        return found if self.broke_at is None else found | {"broke_at_time": self.broke_at}

    # Stability -------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def check(self, graph: Graph) -> None:
        r"""Refuse a fixed step that overflows on this graph with the initial weights.

        By Gershgorin's theorem the eigenvalues of L have real parts between :math:`L_{ii} - R_i` and
        :math:`L_{ii} + R_i` for some node i, :math:`R_i = \sum_{j \ne i} |L_{ij}|`: modes decay at most at the rate
        :math:`a_i = \alpha \max(0, R_i - L_{ii})` and grow at most at :math:`g_i = \alpha \max(0, R_i + L_{ii})`.
        A well of strength delta holds growth at :math:`x^2 = 1 + g_i / \delta`, where its own rate is
        :math:`2 (g_i + \delta)`. The step has to keep the sum, times the step, within the reach of the method.

        Raises:
            UserError: it does not, or nothing holds a growth that overflows within the time.
        """
        if not self.checked or self.solver not in REACH:
            return
        operator = self.freeze(self.encoder(graph.x), graph.adjacency)
        alpha, delta = self.rates()
        decay, growth = gershgorin(operator)
        growth, decay = alpha * growth, alpha * decay
        rate = decay + 2 * (growth + delta) * (delta > 0)
        node = int(rate.argmax())
        longest = REACH[self.solver] / float(rate[node])
        run_anyway = "model.stability_check=off runs it all the same"
        if self.step_size > longest:
            neighbours = int(graph.adjacency.neighbours[graph.adjacency.row == node].sum())
            raise UserError(
                f"{self.solver} with model.step_size={self.step_size:g} overflows on this graph: node {node} with "
                f"{neighbours} neighbours changes at a rate of up to {float(rate[node]):.3g} per unit of time; use "
                f"model.step_size={_round_down(longest)} or less{self.milder()}; {run_anyway}"
            )
        strongest = float(growth.max())
        if delta == 0 and strongest * self.settings.depth * self.step_size > OVERFLOW:
            raise UserError(
                f"without the well repulsion grows like exp({strongest:.3g} t) and overflows before t="
                f"{self.settings.depth * self.step_size:g}: use model.well=on, or less depth or repulsion; {run_anyway}"
            )

    def milder(self) -> str:
        """What else than a shorter step would hold, in words."""
        return ""


def gershgorin(operator: Adjacency) -> tuple[Tensor, Tensor]:
    """How fast, at most, modes of dx/dt = L x can decay and grow: two rates >= 0 per node, shape (n,) each."""
    loops = operator.loops
    diagonal = operator.values[loops]
    radius = operator.row_sums(operator.values.abs().masked_fill(loops, 0))
    return (radius - diagonal).clamp_min(0), (radius + diagonal).clamp_min(0)


def _round_down(value: float) -> str:
    """Two significant digits, not more than the value."""
    text = f"{value:.2g}"
    return text if float(text) <= value else f"{float(text) * 0.95:.2g}"
