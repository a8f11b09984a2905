"""The summary that a run, or a group of replicas, prints."""

import math
from collections.abc import Sequence

from depthlab.measures.diagnosis import shown
from depthlab.measures.registry import in_report
from depthlab.statistics import counted, format_mean, summarize
from depthlab.tasks.metrics import METRICS
from depthlab.text import printable
from depthlab.tracking.ui import how_to_see
from depthlab.training.result import Result
from depthlab.training.signals import count_epochs


def summary(result: Result) -> str:
    """Scores, energy, time, and where the run is recorded."""
    scores, statistics = result.scores, result.statistics
    epochs, pace = int(statistics["epochs_run"]), statistics["seconds_per_epoch"]
    time = f"{epochs * pace:.1f} s ({1000 * pace:.1f} ms an epoch)"
    lines = [f"{result.name}: {result.outcome} after {count_epochs(epochs)}, {time}"]
    tested = [name for name in METRICS if f"test_{name}" in scores]
    for name in tested:
        metric = METRICS[name]
        val, test = (metric.shown(scores[f"{part}_{name}"]) for part in ("best_val", "test"))
        when = f" (read once, at epoch {int(statistics['best_epoch'])})" if name == tested[0] else ""
        lines.append(f"  {metric.label:17} val {val}, test {test}{when}")
    if not tested:
        label = METRICS[result.metric].label
        lines.append(f"  {label:17} none: the loss stopped being a number, so no state was selected or tested")
    for measure in in_report(states=True):
        if curve := result.curves.get(measure.name):
            first, last = shown(curve[0], ".4g"), shown(curve[-1], ".4g")
            lines.append(f"  {measure.label:17} layer 0: {first}, layer {len(curve) - 1}: {last}")
    lines.append(f"  verdict           {result.diagnosis.verdict}: {result.diagnosis.evidence}")
    lines += [f"  recorded          {location}" for location in result.locations]
    if result.uri:
        lines.append(f"  recorded          {result.uri}, run {result.run_id}")
        lines.append(f"  to see it         {how_to_see(result.uri, result.experiment_id, result.run_id)}")
    return "\n".join(map(printable, lines))


def spread(results: Sequence[Result]) -> str:
    """Mean test score of several runs, their time, and where they are recorded."""
    seconds = sum(result.statistics["epochs_run"] * result.statistics["seconds_per_epoch"] for result in results)
    recorded = [f"  recorded          {location}" for result in results for location in result.locations]
    if results[0].uri:
        recorded.append(f"  recorded          {results[0].uri}, experiment {results[0].experiment_id}")
    return "\n".join([f"{spread_of(results)}, {seconds:.1f} s of training", *map(printable, recorded)])


def spread_of(results: Sequence[Result]) -> str:
    """`10 runs: test accuracy 76.5 ± 4.7 % (9 of 10), 8 healthy, 1 over-fitted, 1 diverged`.

    The mean, the half-width of its 95 % interval, the number of tested runs if some are missing, and the verdicts.
    """
    metric = METRICS[results[0].metric]
    mean = summarize([result.scores.get(f"test_{results[0].metric}", math.nan) for result in results])
    score = f"test {metric.label} {format_mean(mean, metric, unit=True)}" if mean.n else "none was tested"
    return f"{len(results)} runs: {score}, {counted(result.diagnosis.verdict for result in results)}"


def outcome_line(result: Result) -> str:
    """Test score and verdict in a few words."""
    if (score := result.scores.get(f"test_{result.metric}")) is None:
        return result.diagnosis.verdict
    metric = METRICS[result.metric]
    return f"test {metric.label} {metric.shown(score)}, {result.diagnosis.verdict}"
