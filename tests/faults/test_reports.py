"""A report that fails at any step leaves the earlier one as it was, and two at the same time do not mix."""

import errno
import math
import os
import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from depthlab.measures.registry import in_report
from depthlab.report import write
from depthlab.report.animation import Animation
from depthlab.report.output import Output
from depthlab.report.runs import Report
from depthlab.report.write import write_report
from tests.faults.conftest import Tally

STUDY = "small"
RECORDS: Any = None  # the report is made by hand
OTHERS = {"methods/csbm-gcn.json": "{}", "notes.txt": "mine"}  # other files of the folder


def report(score: float) -> Report:
    """A report with every kind of file; one run has diverged."""
    rows = [
        {
            "study": STUDY, "dataset": "csbm", "model": "gcn", "method": "GCN", "p_drop": 0.0, "depth": depth,
            "seed": seed, "split": "0", "metric": "acc", "test_acc": math.nan if seed == 2 else score,
            "dirichlet_energy": 0.5,
            "rayleigh_quotient": 0.25, "effective_rank": 3.0, "seconds": 12.0,
            "outcome": "diverged" if seed == 2 else "finished", "verdict": "healthy", "evidence": "by hand",
            "recipe": "none", "overrides": "model=gcn", "code_hash": "c", "run_id": f"{depth}-{seed}",
        }
        for depth in (2, 4) for seed in (0, 1, 2)
    ]  # fmt: skip
    curves = {(str(row["run_id"]), one.name): [1.0, 0.5, 0.25] for row in rows for one in in_report()}
    animation = Animation("csbm", "GCN", 2, np.ones((3, 5, 2), np.float32), np.arange(5) % 3)
    return Report(STUDY, pd.DataFrame(rows), curves, [animation], animations_asked=1)


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report, with other files in it. Copy it."""
    results = tmp_path_factory.mktemp("written") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEPTHLAB_HOME", str(results.parent))
        patch.setattr(write, "read_report", lambda *_: report(0.8))
        write_report(RECORDS, STUDY)
    for name, text in OTHERS.items():
        (results / STUDY / name).parent.mkdir(exist_ok=True)
        (results / STUDY / name).write_text(text)
    return results / STUDY


@pytest.fixture
def earlier(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it; the next report has other numbers."""
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    monkeypatch.setattr(write, "read_report", lambda *_: report(0.5))
    return Path(shutil.copytree(written, tmp_path / "results" / STUDY))


def failing(number: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose call of that number finds a full disk."""
    calls = iter(range(1, 1000))

    def call(*args: Any, **options: Any) -> Any:
        if next(calls) == number:
            raise OSError(errno.ENOSPC, "No space left on device")
        return function(*args, **options)

    return call


STEPS: list[tuple[Any, str, int]] = [
    (pd.DataFrame, "to_csv", 1), (write, "markdown", 1), (write, "page", 1), (write, "score_figure", 1),
    (write, "depth_figure", 1), (write, "layers_figure", 1), (write, "animation_figure", 1), (shutil, "copytree", 1),
    *((Figure, "savefig", number) for number in (1, 4)), *((Path, "write_text", number) for number in (1, 2)),
    *((os, "fsync", number) for number in (1, 4, 9)), *((Path, "replace", number) for number in (1, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("owner", "name", "number"), STEPS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_report_that_fails_leaves_the_earlier_one(
    earlier: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally, owner: Any, name: str, number: int
) -> None:
    before = content(earlier)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failing(number, getattr(owner, name)))
        with pytest.raises(OSError, match="No space left"):
            write_report(RECORDS, STUDY)
    tally("a report that fails", content(earlier) == before and not list(earlier.parent.glob("*.part")))


def test_a_report_replaces_only_its_own_files(earlier: Path) -> None:
    (earlier / "animation-of-before.png").write_text("")
    before = content(earlier)
    write_report(RECORDS, STUDY)
    after = content(earlier)
    assert set(before) - set(after) == {"animation-of-before.png"}
    assert after["tables.md"] != before["tables.md"]
    assert all(after[name] == text.encode() for name, text in OTHERS.items())


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may become larger: what a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 2_000, 20_000])
def test_a_report_on_a_full_disk_leaves_the_earlier_one(earlier: Path, tally: Tally, size: int) -> None:
    before = content(earlier)
    with largest_file(size), pytest.raises(OSError, match="File too large"):  # the page is larger
        write_report(RECORDS, STUDY)
    tally("a report on a full disk", content(earlier) == before and not list(earlier.parent.glob("*.part")))


def killed(task: Callable[[], object]) -> bool:
    """Run a task in a process of its own; returns whether it ended in `os._exit(9)`."""
    pid = os.fork()
    if not pid:
        try:
            task()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


@pytest.mark.parametrize(("owner", "name", "number"), [(shutil, "copytree", 1), (os, "fsync", 1), (os, "fsync", 3),
                                                      (Path, "replace", 1), (Path, "replace", 2)])  # fmt: skip
def test_a_report_that_is_killed_leaves_the_earlier_one(
    earlier: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally, owner: Any, name: str, number: int
) -> None:
    def two_files(_: Report, folder: Path, output: Output) -> list[str]:
        (folder / "runs.csv").write_text("new")
        (folder / "tables.md").write_text("new")
        return ["runs.csv", "tables.md"]

    before, calls, function = content(earlier), iter(range(1, 1000)), getattr(owner, name)

    def call(*args: Any, **options: Any) -> Any:
        if next(calls) == number:
            os._exit(9)
        return function(*args, **options)

    monkeypatch.setattr(write, "_write", two_files)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, call)
        assert killed(lambda: write_report(RECORDS, STUDY))
    left = earlier if earlier.exists() else earlier.with_name(f".{STUDY}.old")  # the next one moves it back
    unchanged = content(left) == before
    write_report(RECORDS, STUDY)
    after = content(earlier)
    written = {path: text.decode() for path, text in after.items()} == {
        "runs.csv": "new",
        "tables.md": "new",
    } | OTHERS
    folders = [path.name for path in earlier.parent.iterdir() if path.is_dir()]
    tally("a report that is killed", unchanged and written and folders == [STUDY])


def test_two_reports_at_the_same_time_do_not_mix(earlier: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally) -> None:
    def slowly(found: Report, folder: Path, output: Output) -> list[str]:
        for name in ("runs.csv", "tables.md"):
            (folder / name).write_text(threading.current_thread().name)
            threading.Event().wait(0.02)
        return ["runs.csv", "tables.md"]

    monkeypatch.setattr(write, "_write", slowly)
    for _ in range(5):
        threads = [threading.Thread(target=write_report, args=(RECORDS, STUDY)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        texts = {(earlier / name).read_text() for name in ("runs.csv", "tables.md")}
        tally("reports at the same time", len(texts) == 1 and (earlier / "notes.txt").is_file())
