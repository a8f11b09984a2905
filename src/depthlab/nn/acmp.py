"""Attraction and repulsion, held by a double well."""

from typing import Any

import torch
from torch import Tensor, nn

from depthlab.nn.equation import Velocity, generator
from depthlab.nn.flow import Flow
from depthlab.nn.network import Adjacency, UserError
from depthlab.ops import reaction


class ACMP(Flow):
    r"""Allen-Cahn message passing (Wang et al., ICLR 2023, https://arxiv.org/abs/2206.05437).

    .. math:: \frac{dx_i}{dt} = \alpha \sum_{j \in N(i)} w_{ij} (x_j - x_i) + \delta\, x_i (1 - x_i^2)

    products channel-wise. A positive :math:`w_{ij}` attracts, a negative one repels; with a the entries of P or
    attention at t = 0, :math:`\beta` the repulsion, d the number of neighbours and s the sums of a over neighbours:

    ===============  ===============================================================  ==========================
    normalization    :math:`w_{ij}`
    ===============  ===============================================================  ==========================
    `sum`            :math:`a_{ij} - \beta`                                           the paper; stiff at hubs
    `mean`           :math:`a_{ij} / s_i - \beta / d_i`                               two means, 1 against beta
    `symmetric`      :math:`a_{ij} / \sqrt{s_i s_j} - \beta / \sqrt{d_i d_j}`         as P is normalised
    ===============  ===============================================================  ==========================

    :math:`\alpha` and :math:`\delta` are learned per channel, between 0 and twice their initial values. The states that
    the encoder makes have no bound: a step that suits them at the start may be too long later (`Flow.check`). Without
    repulsion and well, with `mean` and attention, this is `Diffusion`.

    `form: released` has the force of the authors' code instead of the sum above:
    :math:`\sum_j (a_{ij} - \beta) x_j - x_i` over neighbours and i itself, a the column-normalised A + I (or attention,
    0 for i itself). It lacks :math:`\beta d_i x_i`, so beta also damps. Their source term is not part of it. Their
    attention is also over i itself; here it is over neighbours in both forms, as the sum of the paper's equation is.

    Args:
        repulsion: beta; 0 is none.
        learn_repulsion: learn beta from there, one number, of either sign.
        form: `paper` or `released`.
        normalization: `sum`, `mean` or `symmetric`.
        well: `on` or `off`.
        alpha, delta: initial values of the learned rates, > 0.
        flow: arguments of `Flow`.

    Raises:
        UserError: a normalization other than `sum` with the released form, which has none.

    States and shapes as in `Flow`.
    """

    without_decay = ("repulsion", "raw_alpha", "raw_delta")

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int = 64, dropout: float = 0.0,
        repulsion: float = 0.5, learn_repulsion: bool = False, form: str = "paper", normalization: str = "mean",
        well: str = "on", alpha: float = 1.0, delta: float = 1.0, **flow: Any,
    ) -> None:  # fmt: skip
        if form == "released" and normalization != "sum":
            raise UserError("model.form=released is a plain sum: add model.normalization=sum")
        super().__init__(in_channels, out_channels, depth, hidden, dropout, **flow)
        self.form, self.normalization, self.well = form, normalization, well
        self.initial_alpha, self.initial_delta = alpha, delta
        if (form, normalization) == ("paper", "sum"):
            self.milder = ", or model.normalization=mean"
        self.repulsion = nn.Parameter(torch.tensor(float(repulsion)), requires_grad=learn_repulsion)
        self.raw_alpha = nn.Parameter(torch.zeros(hidden))
        self.raw_delta = nn.Parameter(torch.zeros(hidden), requires_grad=well == "on")

    @property
    def alpha(self) -> Tensor:
        """Strength of the force per channel, shape (hidden,)."""
        return 2 * self.initial_alpha * torch.sigmoid(self.raw_alpha)

    @property
    def delta(self) -> Tensor:
        """Strength of the well per channel, shape (hidden,)."""
        return 2 * self.initial_delta * torch.sigmoid(self.raw_delta)

    def freeze(self, x0: Tensor, adjacency: Adjacency) -> Adjacency:
        """L of the equation above."""
        if self.form == "released":
            return self._released(x0, adjacency)
        present = adjacency.neighbours.to(x0.dtype)
        a = adjacency.values * present if self.attention is None else self.attention(x0, adjacency)
        degree = _inverse(adjacency.row_sums(present))
        total = _inverse(adjacency.row_sums(a.detach()))  # of attention always 1
        i, j = adjacency.row, adjacency.col
        if self.normalization == "mean":
            w = a * total[i] - self.repulsion * present * degree[i]
        elif self.normalization == "symmetric":
            w = a * (total[i] * total[j]).sqrt() - self.repulsion * present * (degree[i] * degree[j]).sqrt()
        else:
            w = a - self.repulsion * present
        return generator(w, adjacency)

    def _released(self, x0: Tensor, adjacency: Adjacency) -> Adjacency:
        present = (adjacency.values != 0).to(x0.dtype)
        if self.attention is None:
            a = present / present.new_zeros(adjacency.num_nodes).index_add(0, adjacency.col, present)[adjacency.col]
        else:
            a = self.attention(x0, adjacency)
        return adjacency.with_values(a - self.repulsion * present - adjacency.loops.to(x0.dtype))

    def velocity(self, operator: Adjacency) -> tuple[Velocity, tuple[Tensor, ...]]:
        """x -> alpha * (L x) + delta * x * (1 - x * x)."""
        alpha, delta = self.alpha, self.delta if self.well == "on" else None
        return (lambda x: reaction(operator, x, alpha, delta)), (alpha,) if delta is None else (alpha, delta)

    def rates(self) -> tuple[float, float]:
        """The largest alpha, and the largest delta or 0 without the well."""
        return float(self.alpha.max()), float(self.delta.max()) if self.well == "on" else 0.0

    def findings(self) -> dict[str, float]:
        """Also the learned strengths: repulsion, and alpha and delta as means over channels."""
        with torch.no_grad():
            well = float(self.delta.mean()) if self.well == "on" else 0.0
            learned = {"repulsion": float(self.repulsion), "alpha_mean": float(self.alpha.mean()), "delta_mean": well}
        return super().findings() | learned


def _inverse(sums: Tensor) -> Tensor:
    """1 / sums, and 0 for a node without neighbours."""
    return torch.where(sums > 0, 1 / sums.clamp_min(torch.finfo(sums.dtype).tiny), 0)
