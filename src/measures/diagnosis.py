"""What became of a network: one verdict with its evidence, from measurements alone.

Rules, in this order; the first that holds is the verdict. *First* is the state after layer 1, *last* that after layer
L, both of the selected epoch. *Skill* is (accuracy - chance) / (1 - chance) on the training nodes, with the share of
their largest class as chance.

1. `diverged`: the loss, or a state, is not finite.
2. skill >= 0.75 (it has learnt):
   `over-fitted` if validation accuracy lies more than a third (33 points) below training accuracy and the rank of
   the last state is alive (>= 2), else `healthy`.
3. it has not learnt, and
   `over-smoothed` if the rank collapsed, last < 2 or < a quarter of the first, *and* what is left is smooth: the
   Rayleigh quotient fell below half of the first's. Both are free of scale. Energy alone misleads twice: weights that
   decay to nothing bring it to zero without any smoothing, weights that grow keep it up in a collapsed network. A deep
   MLP loses energy and rank too, but its Rayleigh quotient stays: nothing is averaged over neighbours there.
4. `untrainable` if after the first epoch the gradient that arrives at layer 1 is less than 1 % of the last layer's.
5. `under-fitted`: it has not learnt although states and gradients are alive, as a GCN whose neighbours differ.
6. `unknown`: it has not learnt and the measures that rules 3 and 4 need were not recorded.

A network can be over-smoothed and untrainable at once (a plain GCN with 32 layers is): the order says which name it
gets, the evidence gives the numbers of both. Thresholds were set on runs of four architectures with 2 to 64 layers on
Cora, Citeseer, Texas and Wisconsin, where no run lay close to the limits of rule 3 with another reading plausible.
See arXiv 2502.04591 (rank) and 2502.10818 (gradients) on why energy alone does not decide.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

VERDICTS = ("healthy", "over-smoothed", "untrainable", "over-fitted", "under-fitted", "diverged", "unknown")
SKILL, GAP = 0.75, 1 / 3
RANK, RANK_RATIO, RAYLEIGH_RATIO = 2.0, 0.25, 0.5
GRADIENT_RATIO = 0.01


@dataclass(frozen=True)
class Diagnosis:
    """One of `VERDICTS`, and the numbers that it rests on in a sentence."""

    verdict: str
    evidence: str


def diagnose(
    train_acc: float | None, val_acc: float | None, chance: float, curves: Mapping[str, Sequence[float]]
) -> Diagnosis:
    """Apply the rules above.

    Args:
        train_acc, val_acc: accuracies in [0, 1] at the selected epoch; None where the loss stopped being a number.
        chance: share of the largest class among the training nodes.
        curves: by layer from 0 to L: `rayleigh_quotient`, `effective_rank`, `gradient_norm_first_epoch` and, for the
            evidence only, `dirichlet_energy`.
    """
    if train_acc is None or val_acc is None:
        return Diagnosis("diverged", "the loss stopped being a number")
    for name in ("dirichlet_energy", "effective_rank"):
        broken = [layer for layer, value in enumerate(curves.get(name, [])) if not math.isfinite(value)]
        if broken:
            return Diagnosis("diverged", f"the state after layer {broken[0]} is not finite")
    skill = (train_acc - chance) / (1 - chance) if chance < 1 else 1.0
    learnt = f"training accuracy {100 * train_acc:.1f} % (largest class {100 * chance:.1f} %)"
    rank, rayleigh = curves.get("effective_rank", []), curves.get("rayleigh_quotient", [])
    if skill >= SKILL:
        alive = not rank or rank[-1] >= RANK
        verdict = "over-fitted" if train_acc - val_acc > GAP and alive else "healthy"
        return Diagnosis(verdict, f"{learnt}, validation {100 * val_acc:.1f} %{_states(curves)}")
    collapsed = bool(rank) and (rank[-1] < RANK or rank[-1] < RANK_RATIO * rank[1])
    smooth = bool(rayleigh) and rayleigh[-1] < RAYLEIGH_RATIO * rayleigh[1]
    gradient = curves.get("gradient_norm_first_epoch", [])
    share = gradient[1] / gradient[-1] if gradient and gradient[-1] else math.nan
    evidence = f"{learnt}{_states(curves)}"
    if gradient:
        evidence += f"; gradient at layer 1 after one epoch {share:.1e} of the last layer's"
    if collapsed and smooth:
        return Diagnosis("over-smoothed", evidence)
    if share < GRADIENT_RATIO:
        return Diagnosis("untrainable", evidence)
    if not (rank and rayleigh and gradient):
        return Diagnosis("unknown", f"{evidence}; needs the measures effective_rank and rayleigh_quotient")
    return Diagnosis("under-fitted", evidence)


def _states(curves: Mapping[str, Sequence[float]]) -> str:
    """`; layer 1 to 32: Rayleigh quotient 0.17 to 0.00035, ...` for the measures that are there."""
    names = {"rayleigh_quotient": "Rayleigh quotient", "dirichlet_energy": "energy", "effective_rank": "rank"}
    parts = [
        f"{words} {curves[name][1]:.2g} to {curves[name][-1]:.2g}" for name, words in names.items() if curves.get(name)
    ]
    depth = max((len(curves[name]) - 1 for name in names if curves.get(name)), default=0)
    return f"; layer 1 to {depth}: {', '.join(parts)}" if parts else ""
