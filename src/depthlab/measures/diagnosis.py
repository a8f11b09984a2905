"""Diagnose a trained network: one verdict and its evidence, from recorded measures only.

The rules apply in this order; the first that holds gives the verdict. *First* is the state after layer 1, *last* the
state after layer L - 1: the state after layer L can be the logits, whose rank is bounded by the number of classes.
*Skill* is (score - chance) / (perfect - chance) on the training nodes. The score is the reported metric, and chance is
the score of the best guess that ignores the input: for accuracy the share of the largest class.

1. `diverged`: the loss, or the energy of a state, is not finite.
2. skill >= 0.75 (it has learnt): `over-fitted` if the validation score is worse than the training score by more than 33
   points (for a metric not in percent: by a third of the distance between chance and perfect), else `healthy`.
3. `over-smoothed`: it has not learnt, and from first to last the rank *and* the Rayleigh quotient fell below half, and
   their product by a factor of 12 (by three and four, or two and six). The states span few directions, and neighbours
   hardly differ. Neither quantity depends on the scale of the states. The energy does: it vanishes without any
   smoothing if the weights decay to zero, and stays large in a collapsed network if they grow. A deep MLP loses
   energy and rank too, but keeps its Rayleigh quotient, since it does not average over neighbours.
4. `untrainable`: after the first epoch (one step of Adam per batch) the gradient at state 0 or 1, whichever is larger
   (an initial residual bypasses layer 1), is less than 1 % of the last layer's. The evidence also gives this share
   before the first step.
5. `over-squashed`, for tasks whose answer is a known number of hops away: the sensitivity of the read-out state to one
   node at that distance is less than 1 % of its sensitivity to itself or to a neighbour, whichever is larger. Gradients
   reach the first layers (rule 4), but the node with the answer hardly changes the output. For comparison, the weights
   of P alone, with as many layers as hops: on a ring the share is 2/51 at 5 hops and 2/393 at 7. In a binary tree whose
   edges point to the root, each leaf weighs as much as the root; the leaves interfere, which ends as `under-fitted`.
6. `under-fitted`: it has not learnt although states differ and gradients arrive: a GCN on a heterophilous graph.
7. `unknown`: it has not learnt, and the measures for rules 3 and 4 were not recorded.

A network can be over-smoothed and untrainable at once (a plain GCN with 32 layers is): the order decides the verdict,
and the evidence gives the numbers of both. Collapse is gradual, so the thresholds are a choice: a residual GCN with 16
layers on Cora, with a third of its rank and a quarter of its quotient, counts as under-fitted. The thresholds were set
on runs of four architectures with 2 to 64 layers on Cora, Citeseer, Texas and Wisconsin. arXiv 2502.04591 (rank) and
2502.10818 (gradients) explain why energy alone does not decide.
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
        train: score at the selected epoch; None if the loss became NaN or infinite.
        val: the same for validation nodes; None without validation nodes, or if the loss became NaN or infinite.
        chance: score of guessing on the training nodes.
        curves: by layer 0 to L: `rayleigh_quotient`, `effective_rank`, `gradient_norm_first_epoch`,
            `dirichlet_energy` and, for the evidence only, `gradient_norm_at_start`; by hop from 0, if measured:
            `sensitivity` of a read-out state to one node at that distance.
        task_range: hops from the read-out node to the node with the answer, if the task has such a distance.
        metric: the metric of the scores.
    """
    if train is None or not (math.isfinite(train) and math.isfinite(train if val is None else val)):
        return Diagnosis("diverged", "the loss became infinite or NaN")
    energy = curves.get("dirichlet_energy", [])
    broken = [layer for layer, value in enumerate(energy) if not math.isfinite(value)]
    if broken:
        return Diagnosis("diverged", f"the state after layer {broken[0]} is not finite")
    learnt, room = f"training score {metric.shown(train)} (guessing {metric.shown(chance)})", metric.perfect - chance
    if room == 0 or (train - chance) / room >= SKILL:
        if val is None:
            return Diagnosis("healthy", f"{learnt}, no validation nodes{describe_states(curves)}")
        verdict = "over-fitted" if (train - val) / (1 if metric.percent else room) > GAP else "healthy"
        return Diagnosis(verdict, f"{learnt}, validation {metric.shown(val)}{describe_states(curves)}")
    gradient = curves.get("gradient_norm_first_epoch", [])
    evidence = f"{learnt}{describe_states(curves)}"
    if gradient:
        share = _first_to_last(gradient)
        start = curves.get("gradient_norm_at_start", [])
        before = f"{shown(_first_to_last(start), '.1e')} before the first step and " if start else ""
        evidence += (
            f"; gradient at the first layer {before}{shown(share, '.1e')} after the first epoch, as a share of the"
            " last layer's"
        )
    collapsed = are_collapsed(curves)
    if collapsed:
        return Diagnosis("over-smoothed", evidence)
    if gradient and not share >= GRADIENT_RATIO:  # also where none arrives anywhere, or it is not a number
        return Diagnosis("untrainable", evidence)
    arrives = _arrives(curves.get("sensitivity", []), task_range)
    if arrives is not None:
        evidence += f"; sensitivity to a node {task_range} hops away, which has the answer, {arrives:.1e} of a near one"
        if arrives < SENSITIVITY_RATIO:
            return Diagnosis("over-squashed", evidence)
    if collapsed is None:
        return Diagnosis("unknown", f"{evidence}; needs the measures effective_rank and rayleigh_quotient")
    if not gradient:
        return Diagnosis("unknown", f"{evidence}; untrainable or under-fitted: needs the gradient after one epoch")
    return Diagnosis("under-fitted", evidence)


def are_collapsed(curves: Mapping[str, Sequence[float]]) -> bool | None:
    """Rule 3 without the score: whether rank and Rayleigh quotient fell; None if one was not measured."""
    rank, rayleigh = curves.get("effective_rank", []), curves.get("rayleigh_quotient", [])
    if not (rank and rayleigh):
        return None
    last = _last(rank)
    left = rank[last] / rank[1] if rank[1] else math.nan
    smooth = rayleigh[last] / rayleigh[1] if rayleigh[1] else math.nan
    return left < EACH and smooth < EACH and left * smooth < TOGETHER


def _arrives(sensitivity: Sequence[float], task_range: int | None) -> float | None:
    """Sensitivity at the range of the task as a share of that at hop 0 or 1; None if it was not measured."""
    if task_range is None or task_range >= len(sensitivity):
        return None
    near = max(sensitivity[:2])
    return sensitivity[task_range] / near if near and math.isfinite(near) else None


def describe_states(curves: Mapping[str, Sequence[float]]) -> str:
    """`; layer 1 to 31: Rayleigh quotient 0.17 to 0.00035, ...` for the recorded measures."""
    present = {name: curves[name] for name in EVIDENCE if curves.get(name)}
    parts = [
        f"{MEASURES[name].label} {shown(curve[1], '.2g')} to {shown(curve[_last(curve)], '.2g')}"
        for name, curve in present.items()
    ]
    last = max(map(_last, present.values()), default=0)
    return f"; layer 1 to {last}: {', '.join(parts)}" if parts else ""


def _first_to_last(gradient: Sequence[float]) -> float:
    """The larger gradient of states 0 and 1 as a share of the last state's; NaN if the latter is 0."""
    return max(gradient[:2]) / gradient[-1] if gradient[-1] else math.nan


def shown(value: float, digits: str) -> str:
    """A value in the format `digits` (such as `.2g`), or `undefined` for NaN."""
    return "undefined" if math.isnan(value) else f"{value:{digits}}"


def _last(curve: Sequence[float]) -> int:
    """Index of the second last layer, or 1 if there is only one."""
    return max(1, len(curve) - 2)
