"""The progress of a study: a live table on a terminal, else a line for each run that ends and one every minute."""

import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from depthlab.parallel import TaskResult
from depthlab.running import Running
from depthlab.study.summary import duration
from depthlab.study.work import Job
from depthlab.text import printable
from depthlab.training.run_name import run_name

ROWS = 12  # most rows of the live table
Task = tuple[Job, ...]


class StudyProgress:
    """Shows which runs have ended and which are training, and the time left.

    Args:
        name: of the study.
        jobs: all runs to do.
        costs: estimated seconds of each run, by its hash.
        workers: number of runs at the same time.
        console: where to print; stderr by default.
    """

    def __init__(
        self,
        name: str,
        jobs: Sequence[Job],
        costs: Mapping[str, float],
        workers: int,
        console: Console | None = None,
    ) -> None:
        self.name, self.costs, self.workers, self.total = name, costs, workers, len(jobs)
        self.console = console or Console(stderr=True)
        self.planned = Counter((job.run.dataset, job.run.method, job.run.depth) for job in jobs)
        self.done: Counter[tuple[str, str, int]] = Counter()
        self.running = Running[Task](self.tick)
        self.starting = self.running.starting
        self.ended, self.spent, self.finished = 0, 0.0, 0.0
        self.left = sum(costs[job.run.hash] for job in jobs)
        self._lock = threading.Lock()
        self._live = Live(console=self.console, get_renderable=self.table, refresh_per_second=1, transient=True)

    def __enter__(self) -> "StudyProgress":
        if self.console.is_terminal:
            self._live.start()
        else:
            self.running.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.running.__exit__(*_)
        if self.console.is_terminal:
            self._live.stop()

    def end(self, done: TaskResult[Task]) -> None:
        """Print the line of a task that has ended."""
        with self._lock:
            self.running.end(done.task)
            if done.outcome != "interrupted":
                self.ended += len(done.task)
                self.done.update((job.run.dataset, job.run.method, job.run.depth) for job in done.task)
                cost = sum(self.costs[job.run.hash] for job in done.task)
                self.left, self.finished, self.spent = self.left - cost, self.finished + cost, self.spent + done.seconds
        self._print(f"{_named(done.task)}: {done.outcome}, {done.sentence} ({duration(done.seconds)})")

    def head(self) -> str:
        """`3/90 runs, about 20 min left`; the first estimate is corrected by the runs that have ended."""
        pace = self.spent / self.finished if self.finished else 1.0
        left = f", about {duration(self.left * pace / self.workers)} left" if self.left > 0 else ""
        return f"{self.ended}/{self.total} runs{left}"

    def table(self) -> Table:
        """Runs that have ended by method and depth, and what is training; of many methods those that are not done."""
        with self._lock:
            depths = sorted({depth for _, _, depth in self.planned})
            keys = list(dict.fromkeys((dataset, method) for dataset, method, _ in self.planned))
            open_keys = [key for key in keys if any(self.done[(*key, d)] < self.planned[(*key, d)] for d in depths)]
            shown = keys if len(keys) <= ROWS else open_keys[:ROWS]
            caption = f"{len(keys) - len(shown)} more methods" if len(shown) < len(keys) else None
            table = Table(title=f"study {printable(self.name)}: {self.head()}", caption=caption, title_justify="left")
            table.add_column("method")
            for depth in depths:
                table.add_column(f"depth {depth}" if depth == depths[0] else str(depth), justify="right")
            for dataset, method in shown:
                counts = [(self.done[dataset, method, d], self.planned[dataset, method, d]) for d in depths]
                cells = [Text(_cell(*count), "green" if count[0] == count[1] else "") for count in counts]
                table.add_row(Text(printable(f"{dataset} {method}")), *cells)
            for line in self._now():
                table.add_row(Text(line, "dim"))
            return table

    def _now(self) -> list[str]:
        return [f"training {_named(task)} for {duration(seconds)}" for task, seconds in self.running.seconds()]

    def tick(self) -> None:
        """Print what is training."""
        if lines := self._now():
            self._print("; ".join(lines))

    def _print(self, text: str) -> None:
        message = printable(f"[{self.head()}] {text}")
        if self.console.is_terminal:
            self.console.print(message, markup=False, highlight=False, soft_wrap=True)
        else:
            print(message, file=self.console.file if self.console.file is not None else sys.stderr, flush=True)


def _named(task: Task) -> str:
    run: Any = task[0].run
    more = f" and {len(task) - 1} more" if len(task) > 1 else ""
    return f"{run_name(run.settings)}{more} ({run.method})"


def _cell(done: int, planned: int) -> str:
    return "" if not planned else f"{done}/{planned}"
