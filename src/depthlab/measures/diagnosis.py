"""What became of a network: one verdict with its evidence, from measurements alone.

Rules, in this order; the first that holds is the verdict. *First* is the state after layer 1, *last* that after layer
L - 1: the state after layer L may be the logits, whose rank is bounded by the number of classes. *Skill* is
(score - chance) / (perfect - chance) on the training nodes, where the score is the metric that the task reports and
chance the best guess that ignores the input: for accuracy the share of the largest class.

1. `diverged`: the loss, or the energy of a state, is not finite.
2. skill >= 0.75 (it has learnt): `over-fitted` if the validation score is worse than that of training by more than a
   third (33 points; of a score that is not a share, a third of what lies between chance and perfect), else `healthy`.
3. it has not learnt, and is `over-smoothed` if from first to last the rank *and* the Rayleigh quotient fell below half,
   and together by a factor of 12 (by three and four, or two and six): few directions are left, and along these
   neighbours hardly differ. Both are free of scale. Energy alone misleads twice: weights that decay to
   nothing bring it to zero without any smoothing, weights that grow keep it up in a collapsed network. A deep MLP
   loses energy and rank too, but its Rayleigh quotient stays: nothing is averaged over neighbours there.
4. `untrainable` if after the first epoch, that is after one step of Adam or one for each mini-batch, the gradient that
   arrives at the beginning, at state 0 or 1 whichever has more (an initial residual goes around layer 1), is less than
   1 % of the last layer's. The evidence also has that share before the first step.
5. `over-squashed`, of a task whose answer stands a known number of hops away: the state that is read out reacts to one
   node at that distance less than 1 % as much as to itself or to a neighbour, whichever is more. Gradients do arrive
   (rule 4), but not from there: what the target says counts less than a hundredth of what any near node says. For the
   weights of P alone, as many layers as hops: on a ring it is 2/51 at 5 hops, 2/393 at 7. A binary tree whose edges go
   up has no such ratio, each leaf weighs as much as the root: its many leaves get into each other's way, which ends as
   `under-fitted`.
6. `under-fitted`: it has not learnt although states and gradients are alive, as a GCN whose neighbours differ.
7. `unknown`: it has not learnt and the measures that rules 3 and 4 need were not recorded.

A network can be over-smoothed and untrainable at once (a plain GCN with 32 layers is): the order says which name it
gets, the evidence gives the numbers of both. A collapse is gradual and the thresholds cut somewhere: a residual GCN
with 16 layers on Cora, at a third of its rank and a quarter of its quotient, counts as under-fitted. They were set on
runs of four architectures with 2 to 64 layers on Cora, Citeseer, Texas and Wisconsin. See arXiv 2502.04591 (rank) and
2502.10818 (gradients) on why energy alone does not decide.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from depthlab.measures.registry import MEASURES
from depthlab.tasks.metrics import METRICS, Metric

VERDICTS = (
    "healthy", "over-smoothed", "untrainable", "over-squashed", "over-fitted", "under-fitted", "diverged", "unknown",
)  # fmt: skip
SKILL, GAP = 0.75, 1 / 3
EACH, TOGETHER = 1 / 2, 1 / 12
GRADIENT_RATIO = 0.01
SENSITIVITY_RATIO = 0.01
EVIDENCE = ("rayleigh_quotient", "dirichlet_energy", "effective_rank")


@dataclass(frozen=True)
class Diagnosis:
    """One of `VERDICTS`, and the numbers that it rests on in a sentence."""

    verdict: str
    evidence: str


def diagnose(
    train: float | None,
    val: float | None,
    chance: float,
    curves: Mapping[str, Sequence[float]],
    task_range: int | None = None,
    metric: Metric = METRICS["acc"],
) -> Diagnosis:
    """Apply the rules above.

    Args:
        train, val: scores at the selected epoch; None where the loss stopped being a number.
        chance: what a guess would score on the training nodes.
        curves: by layer from 0 to L: `rayleigh_quotient`, `effective_rank`, `gradient_norm_first_epoch`,
            `dirichlet_energy` and, for the evidence alone, `gradient_norm_at_start`; by hop from 0, where it was
            measured: `sensitivity`, how much a read-out state reacts to one node at that distance.
        task_range: hops from where the answer is read to where it stands, if the data is a task with such a distance.
        metric: what the scores are.
    """
    if train is None or val is None or not (math.isfinite(train) and math.isfinite(val)):
        return Diagnosis("diverged", "the loss stopped being a number")
    energy = curves.get("dirichlet_energy", [])
    broken = [layer for layer, value in enumerate(energy) if not math.isfinite(value)]
    if broken:
        return Diagnosis("diverged", f"the state after layer {broken[0]} is not finite")
    learnt, room = f"training score {metric.shown(train)} (guessing {metric.shown(chance)})", metric.perfect - chance
    if room == 0 or (train - chance) / room >= SKILL:
        verdict = "over-fitted" if (train - val) / (1 if metric.percent else room) > GAP else "healthy"
        return Diagnosis(verdict, f"{learnt}, validation {metric.shown(val)}{_states(curves)}")
    rank, rayleigh = curves.get("effective_rank", []), curves.get("rayleigh_quotient", [])
    gradient = curves.get("gradient_norm_first_epoch", [])
    evidence = f"{learnt}{_states(curves)}"
    if gradient:
        share = _first_to_last(gradient)
        start = curves.get("gradient_norm_at_start", [])
        before = f"{shown(_first_to_last(start), '.1e')} before the first step and " if start else ""
        evidence += (
            f"; gradient at the first layer {before}{shown(share, '.1e')} after the first epoch, as a share of the"
            " last layer's"
        )
    if rank and rayleigh:
        last = _last(rank)
        left = rank[last] / rank[1] if rank[1] else math.nan
        smooth = rayleigh[last] / rayleigh[1] if rayleigh[1] else math.nan
        if left < EACH and smooth < EACH and left * smooth < TOGETHER:
            return Diagnosis("over-smoothed", evidence)
    if gradient and not share >= GRADIENT_RATIO:  # also where none arrives anywhere, or it is not a number
        return Diagnosis("untrainable", evidence)
    arrives = _arrives(curves.get("sensitivity", []), task_range)
    if arrives is not None:
        evidence += (
            f"; sensitivity to a node {task_range} hops away, where the answer stands, {arrives:.1e} of a near one"
        )
        if arrives < SENSITIVITY_RATIO:
            return Diagnosis("over-squashed", evidence)
    if not (rank and rayleigh and gradient):
        return Diagnosis("unknown", f"{evidence}; needs the measures effective_rank and rayleigh_quotient")
    return Diagnosis("under-fitted", evidence)


def _arrives(sensitivity: Sequence[float], task_range: int | None) -> float | None:
    """Sensitivity at the range of the task as a share of that at hop 0 or 1; None where it is not known."""
    if task_range is None or task_range >= len(sensitivity):
        return None
    near = max(sensitivity[:2])
    return sensitivity[task_range] / near if near and math.isfinite(near) else None


def _states(curves: Mapping[str, Sequence[float]]) -> str:
    """`; layer 1 to 31: Rayleigh quotient 0.17 to 0.00035, ...` for the measures that are there."""
    present = {name: curves[name] for name in EVIDENCE if curves.get(name)}
    parts = [
        f"{MEASURES[name].label} {shown(curve[1], '.2g')} to {shown(curve[_last(curve)], '.2g')}"
        for name, curve in present.items()
    ]
    last = max(map(_last, present.values()), default=0)
    return f"; layer 1 to {last}: {', '.join(parts)}" if parts else ""


def _first_to_last(gradient: Sequence[float]) -> float:
    """The larger gradient of states 0 and 1 as a share of the last state's; NaN where that has none."""
    return max(gradient[:2]) / gradient[-1] if gradient[-1] else math.nan


def shown(value: float, digits: str) -> str:
    """A measured value in such digits as `.2g`, or `undefined` for NaN."""
    return "undefined" if math.isnan(value) else f"{value:{digits}}"


def _last(curve: Sequence[float]) -> int:
    """The layer before the last one, or the first if there is but one."""
    return max(1, len(curve) - 2)
