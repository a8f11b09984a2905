"""What a run, or a group of replicas, prints at its end."""

import math
import textwrap
from collections.abc import Sequence

from depthlab.measures.diagnosis import shown
from depthlab.measures.glossary import GLOSSES, IN_SHORT, glossed_first
from depthlab.measures.registry import MEASURES, in_report
from depthlab.statistics import counted, format_mean, summarize
from depthlab.tasks.metrics import METRICS
from depthlab.text import printable
from depthlab.tracking.ui import how_to_see, layers_link
from depthlab.training.result import Result
from depthlab.training.signals import count_epochs

WIDTH, INDENT = 118, 21
EARLY = 3  # epochs after which weights are nearly those of the start


def summary(result: Result) -> str:
    """Score, verdict and measures of a run, explained, and where it is recorded."""
    statistics = result.statistics
    epochs, pace = int(statistics["epochs_run"]), statistics["seconds_per_epoch"]
    time = f"{epochs * pace:.1f} s ({1000 * pace:.1f} ms an epoch)"
    lines = [f"{result.name}: {result.outcome} after {count_epochs(epochs)}, {time}"]
    lines += _scores(result)
    verdict, evidence = result.diagnosis.verdict, result.diagnosis.evidence
    lines += row("verdict", f"{verdict}: {IN_SHORT.get(verdict, '')}")
    lines += row("evidence", evidence)
    lines += _layers(result)
    lines += [f"  recorded           {location}" for location in result.locations]
    if result.uri:
        lines.append(f"  recorded           {result.uri}, run {result.run_id}")
        lines.append(f"  charts             {how_to_see(result.uri, result.experiment_id, result.run_id)}")
        lines.append(f"  layers in one page {layers_link(result.uri, result.experiment_id, result.run_id)}")
    return "\n".join(map(printable, lines))


def row(name: str, text: str) -> list[str]:
    """A row with its name on the left, broken into lines."""
    start = f"  {name:{INDENT - 2}}"
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=" " * INDENT, break_long_words=False)


def _scores(result: Result) -> list[str]:
    """The scores of the tested epoch beside the score of guessing."""
    scores, lines = result.scores, list[str]()
    tested = [name for name in METRICS if f"test_{name}" in scores]
    if not tested:
        label = METRICS[result.metric].label
        return row(label, "none: the loss became infinite or NaN, so no weights were selected or tested")
    for name in tested:
        metric = METRICS[name]
        val, test = (metric.shown(scores[f"{part}_{name}"]) for part in ("best_val", "test"))
        guess = ""
        if name == result.metric and "chance_test" in result.statistics:
            guess = f"; the best guess that ignores the input: {metric.shown(result.statistics['chance_test'])}"
        lines += row(metric.label, f"test {test}, validation {val}{guess}")
    epoch = int(result.statistics["best_epoch"])
    early = ": nearly untrained weights, because no later epoch was better" if epoch < EARLY else ""
    return lines + row("", f"weights of epoch {epoch}, the best on validation data{early}; the test set was read once")


def _layers(result: Result) -> list[str]:
    """A table of the measures at some layers: quantities that do not depend on the size of the states first."""
    names = glossed_first(measure.name for measure in in_report())
    curves = {name: result.curves[name] for name in names if result.curves.get(name)}
    if not curves:
        return []
    last = max(map(len, curves.values())) - 1
    chosen = sorted({0, min(1, last), last // 2, max(0, last - 1), last})
    lines = ["  " + f"{'by layer':{INDENT - 2}}" + "".join(f"{layer:>10}" for layer in chosen)]
    for name, curve in curves.items():
        values = [shown(curve[layer], ".3g") if layer < len(curve) else "" for layer in chosen]
        line = f"  {MEASURES[name].label}"
        for place, value in enumerate(values, start=1):  # a long label takes from the first column
            line += f" {value}".rjust(INDENT + 10 * place - len(line))
        lines.append(line)
        if name in GLOSSES:
            lines += row("", GLOSSES[name])
    return lines


def spread(results: Sequence[Result]) -> str:
    """Mean test score of several runs, their time, and where they are recorded."""
    seconds = sum(result.statistics["epochs_run"] * result.statistics["seconds_per_epoch"] for result in results)
    recorded = [f"  recorded           {location}" for result in results for location in result.locations]
    if results[0].uri:
        recorded.append(f"  recorded           {results[0].uri}, experiment {results[0].experiment_id}")
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
