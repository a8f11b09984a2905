"""What a sweep prints: the best trials while it goes on, and at the end what was found, in plain words."""

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

from depthlab.parallel import Ended
from depthlab.statistics import Summary, paired
from depthlab.study.summary import duration
from depthlab.sweep.search import Search
from depthlab.sweep.storage import POINT, REASON, ended
from depthlab.sweep.trial import Task
from depthlab.text import printable

SHOWN = 5  # of the best trials


class Board:
    """The best trials so far and how long it may still take: a table on a terminal, else a line for each trial."""

    def __init__(self, study: optuna.Study, search: Search, trials: int, workers: int) -> None:
        self.study, self.search, self.trials, self.workers = study, search, trials, workers
        self.console = Console(stderr=True)
        self.seconds: list[float] = []
        self.live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None

    def __enter__(self) -> "Board":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def show(self, done: Ended[Task]) -> None:
        """Take in a trial that has ended."""
        if done.outcome != "interrupted":
            self.seconds.append(done.seconds)
        over = len(ended(self.study))
        left = max(0, self.trials - over) * sum(self.seconds) / max(1, len(self.seconds)) / self.workers
        head = f"{over}/{self.trials} trials" + (f", about {duration(left)} left" if left else "")
        text = f"trial {done.task.number} ({written(done.task.params)}): {done.outcome}, {done.sentence}"
        line = Text(printable(f"[{head}] {text} ({duration(done.seconds)})"))
        if self.live:
            self.live.update(Group(self._table(), line), refresh=True)
        else:
            self.console.print(line, soft_wrap=True)

    def _table(self) -> Table:
        table = Table(title=f"sweep {self.study.study_name}: the best so far")
        for column in ("trial", *self.search.objectives, *self.search.knobs):
            table.add_column(column, justify="right")
        for trial in ranked(self.study, self.search)[:SHOWN]:
            values = (*trial.values, *(trial.params[key] for key in self.search.knobs))
            shown = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in values]
            table.add_row(str(trial.number), *(Text(printable(text)) for text in shown))
        return table


def ranked(study: optuna.Study, search: Search) -> list[FrozenTrial]:
    """The whole trials, the best first by the first objective."""
    whole = [trial for trial in ended(study) if trial.state == TrialState.COMPLETE]
    return sorted(whole, key=lambda trial: trial.values[0], reverse=search.directions[0] == "maximize")


def written(params: Mapping[str, Any]) -> str:
    """`model.alpha=0.12 p_drop=0.3`."""
    return " ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in params.items()
    )


def difference(search: Search, first: FrozenTrial, second: FrozenTrial) -> Summary | None:
    """Summary of second - first in the first objective, paired by seed and split; None without an interval."""
    found: list[dict[tuple[int, str], float]] = []
    for trial in (first, second):
        scores = [trial.user_attrs.get(f"{POINT} {k}") for k in range(len(search.points()))]
        places = [(point["seed"], str(list(point.values())[1:])) for point in search.points()]
        values = [one[search.objectives[0]] if one else math.nan for one in scores]
        found.append(dict(zip(places, values, strict=True)))
    summary = paired(*found)
    return summary if summary.has_interval else None


def summary(study: optuna.Study, search: Search, shares: Mapping[str, float], link: str) -> str:
    """What was found, how sure it is, and which knob mattered.

    Args:
        shares: importances of the knobs.
        link: where it is drawn.
    """
    over, best = ended(study), ranked(study, search)
    kinds = Counter(
        "whole" if trial.state == TrialState.COMPLETE else "pruned" if _pruned(trial) else "failed" for trial in over
    )
    rows = [f"sweep {study.study_name}: {len(over)} trials, {', '.join(f'{n} {kind}' for kind, n in kinds.items())}"]
    rows += [
        f"  trial {trial.number} failed: {trial.user_attrs.get(REASON, 'unknown')}" for trial in over if _failed(trial)
    ]
    if not over:
        return f"sweep {printable(study.study_name)}: no trial has ended"
    if not best:
        return "\n".join([*rows, "  no trial came to its end: widen the space, or look at the reasons in MLflow"])
    name = search.objectives[0]
    if len(search.objectives) > 1:
        rows.append(f"  trade-offs that no other trial beats in everything ({', '.join(search.objectives)}):")
        for trial in sorted(study.best_trials, key=lambda trial: trial.number):
            values = ", ".join(f"{value:.4g}" for value in trial.values)
            rows.append(f"    trial {trial.number}: {values} with {written(trial.params)}")
    else:
        rows.append(f"  best {name} {best[0].values[0]:.4f} (trial {best[0].number}): {written(best[0].params)}")
        rows += _against_start(best, search, name)
    if shares:
        said = ", ".join(f"{key} {100 * share:.0f} %" for key, share in shares.items())
        rows.append(f"  what mattered: {said} of the variance between whole trials")
    rows.append(f"  to see it      {link}")
    return "\n".join(map(printable, rows))


def _against_start(best: list[FrozenTrial], search: Search, name: str) -> list[str]:
    start = next((trial for trial in best if trial.params == search.start), None)
    if start is None:
        return [f"  what it started from, {written(search.start)}, did not come to its end"]
    if start is best[0]:
        return ["  which is what it started from: no trial was better"]
    rows = [f"  started from {name} {start.values[0]:.4f}: {written(start.params)}"]
    found = difference(search, start, best[0])
    if found:
        of = f", {found.missing}" if found.missing else ""
        rows.append(
            f"  difference {found.mean:+.4f} ± {found.half:.4f} (95 %, paired{of}) on the trainings that it was chosen"
            " by, so it flatters; fresh seeds tell"
        )
        close = [one for other in best[1:] if (one := difference(search, other, best[0])) and abs(one.mean) <= one.half]
        rows.append(f"  {len(close)} other trials cannot be told from the best on these trainings")
    return rows


def _pruned(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.PRUNED


def _failed(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL
