"""What a sweep prints: the best trials while it runs, and a summary at its end."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from depthlab.parallel import TaskResult
from depthlab.running import Running
from depthlab.statistics import Summary, format_mean, paired
from depthlab.study.summary import duration
from depthlab.sweep.queue import REASON, TRAINING, finished_trials
from depthlab.sweep.search import Search
from depthlab.sweep.trial import Task
from depthlab.tasks.metrics import metric_of, shown_score
from depthlab.text import printable

SHOWN = 5  # of the best trials


class Progress:
    """The best trials and the time left: a table on a terminal, else a line for each trial and one every minute."""

    def __init__(self, study: optuna.Study, search: Search, trials: int, workers: int) -> None:
        self.study, self.search, self.trials, self.workers = study, search, trials, workers
        self.console = Console(stderr=True)
        self.seconds: list[float] = []
        self.live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None
        self.running = Running[Task](self.tick)
        self.starting = self.running.starting
        self.head = f"{trials} trials"  # after the last trial that ended: the thread below does not read the storage

    def __enter__(self) -> "Progress":
        if self.live:
            self.live.start()
        else:
            self.running.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.running.__exit__(*_)
        if self.live:
            self.live.stop()

    def tick(self) -> None:
        """Print the trials that are running."""
        running = [f"trial {task.number} for {duration(seconds)}" for task, seconds in self.running.seconds()]
        if running:
            self.console.print(Text(f"[{self.head}] running: {', '.join(running)}"), soft_wrap=True)

    def show(self, done: TaskResult[Task]) -> None:
        """Show a trial that has ended."""
        if done.outcome != "interrupted":
            self.seconds.append(done.seconds)
        self.running.end(done.task)
        head = self.head = self._head()
        text = f"trial {done.task.number} ({format_params(done.task.params)}): {done.outcome}, {done.sentence}"
        line = Text(printable(f"[{head}] {text} ({duration(done.seconds)})"))
        if self.live:
            self.live.update(Group(self._table(), line), refresh=True)
        else:
            self.console.print(line, soft_wrap=True)

    def _head(self) -> str:
        """`3/40 trials, about 20 min left`."""
        finished = len(finished_trials(self.study))
        left = max(0, self.trials - finished) * sum(self.seconds) / max(1, len(self.seconds)) / self.workers
        return f"{finished}/{self.trials} trials" + (f", about {duration(left)} left" if left else "")

    def _table(self) -> Table:
        table = Table(title=f"sweep {self.study.study_name}: the best so far")
        for column in ("trial", *self.search.objectives, *self.search.space):
            table.add_column(column, justify="right")
        for trial in ranked(self.study, self.search)[:SHOWN]:
            scores = [shown_score(*pair) for pair in zip(self.search.objectives, trial.values, strict=True)]
            params = [trial.params[key] for key in self.search.space]
            shown = [*scores, *(f"{value:.4g}" if isinstance(value, float) else str(value) for value in params)]
            table.add_row(str(trial.number), *(Text(printable(text)) for text in shown))
        return table


def ranked(study: optuna.Study, search: Search) -> list[FrozenTrial]:
    """The complete trials, the best first by the first objective."""
    complete = [trial for trial in finished_trials(study) if trial.state == TrialState.COMPLETE]
    return sorted(complete, key=lambda trial: trial.values[0], reverse=search.directions[0] == "maximize")


def format_params(params: Mapping[str, Any]) -> str:
    """`model.alpha=0.12 p_drop=0.3`."""
    return " ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in params.items()
    )


def difference(search: Search, first: FrozenTrial, second: FrozenTrial) -> Summary | None:
    """Summary of second - first in the first objective, paired by seed and split; None without an interval."""
    values: list[dict[tuple[int, str], float]] = []
    for trial in (first, second):
        values.append({})
        for k, training in enumerate(search.trainings()):
            scores = trial.user_attrs.get(f"{TRAINING} {k}")
            split = str(list(training.values())[1:])
            values[-1][training["seed"], split] = scores[search.objectives[0]] if scores else math.nan
    summary = paired(*values)
    return summary if summary.has_interval else None


def summary(study: optuna.Study, search: Search, shares: Mapping[str, float], link: str) -> str:
    """The best trial, how it compares with the baseline, and the importance of each hyperparameter.

    Args:
        shares: importances of the hyperparameters.
        link: where the sweep is drawn.
    """
    trials, best = finished_trials(study), ranked(study, search)
    if not trials:
        return f"sweep {printable(study.study_name)}: no trial has ended"
    words = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    states = Counter(words[trial.state] for trial in trials)
    rows = [f"sweep {study.study_name}: {len(trials)} trials, {', '.join(f'{n} {word}' for word, n in states.items())}"]
    rows += [
        f"  trial {trial.number} failed: {trial.user_attrs.get(REASON, 'unknown')}"
        for trial in trials
        if trial.state == TrialState.FAIL
    ]
    if not best:
        return "\n".join([*rows, "  no trial is complete: widen the space, or look at the reasons in MLflow"])
    name = search.objectives[0]
    if len(search.objectives) > 1:
        rows.append(f"  Pareto-optimal trials ({', '.join(search.objectives)}):")
        for trial in sorted(study.best_trials, key=lambda trial: trial.number):
            values = ", ".join(shown_score(*pair) for pair in zip(search.objectives, trial.values, strict=True))
            rows.append(f"    trial {trial.number}: {values} with {format_params(trial.params)}")
    else:
        value = shown_score(name, best[0].values[0])
        rows.append(f"  best {name} {value} (trial {best[0].number}): {format_params(best[0].params)}")
        rows += _against_baseline(best, search, name)
    if shares:
        listed = ", ".join(f"{key} {100 * share:.0f} %" for key, share in shares.items())
        rows.append(f"  importance: {listed} of the variance between complete trials")
    rows.append(f"  to see it      {link}")
    return "\n".join(map(printable, rows))


def _format_change(name: str, change: Summary) -> str:
    """`+1.2 ± 0.5 points`, or four digits for a loss."""
    if metric := metric_of(name):
        return format_mean(change, metric, sign=True) + (" points" if metric.percent else "")
    missing = f" ({change.missing})" if change.missing else ""
    return f"{change.mean:+.4g} ± {change.half:.4g}{missing}"


def _against_baseline(best: list[FrozenTrial], search: Search, name: str) -> list[str]:
    baseline = next((trial for trial in best if trial.params == search.baseline), None)
    if baseline is None:
        return [f"  the trial of the baseline, {format_params(search.baseline)}, is not complete"]
    if baseline is best[0]:
        return ["  which is the baseline: no trial was better"]
    rows = [f"  baseline {name} {shown_score(name, baseline.values[0])}: {format_params(baseline.params)}"]
    change = difference(search, baseline, best[0])
    if change:
        rows.append(
            f"  difference {_format_change(name, change)} (95 %, paired) on the trainings that selected it, so it is"
            " optimistic; the test on fresh seeds is not"
        )
        close = [d for other in best[1:] if (d := difference(search, other, best[0])) and abs(d.mean) <= d.half]
        rows.append(f"  {len(close)} other trials do not differ significantly from the best on these trainings")
    return rows
