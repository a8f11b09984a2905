"""`python -m src.report` as a person types it."""

from pathlib import Path

import pytest

from depthlab.cli import guarded
from depthlab.report.command import main
from tests.report.conftest import STUDY, Run, Store


def test_report_from_the_command_line(program: Run, recorded: Store, tmp_path: Path) -> None:
    done = program(f"study={STUDY}", f"tracking.uri={recorded.uri}")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert {path.parent for path in paths} == {tmp_path / "copy" / "results" / STUDY}
    assert {path.name for path in paths} >= {"cells.csv", "tables.md", "accuracy.png", "film.png", "report.html"}
    assert all(path.stat().st_size for path in paths)


@pytest.mark.parametrize("typed", [(), ("study=foo",)])
def test_an_unknown_study_names_those_there_are(
    recorded: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: tuple[str, ...]
) -> None:
    """In this process: importing everything for one sentence takes seconds."""
    monkeypatch.setattr("sys.argv", ["report", *typed, f"tracking.uri={recorded.uri}"])
    with pytest.raises(SystemExit) as end:
        guarded(main)
    name = "foo" if typed else "quick"
    hint = f"choose one of {STUDY}, or run it, python -m src.study"
    sentence = f"error: no study {name} is recorded in {recorded.uri}: {hint}\n"
    printed = capsys.readouterr()
    assert (end.value.code, printed.out, printed.err) == (1, "", sentence)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("foo=1", "cannot read 'foo=1': write one of study, tracking.uri, tracking.experiment as key=value"),
        ("bar", "cannot read 'bar': write one of study, tracking.uri, tracking.experiment as key=value"),
        ("study", "cannot read 'study': write one of study, tracking.uri, tracking.experiment as key=value"),
        ("tracking.uri=http://127.0.0.1:9", "no MLflow server answers at http://127.0.0.1:9: start it"),
        ("tracking.uri=sqlite:////nowhere/mlflow.db", "cannot write a database in /nowhere: create the folder"),
        ("tracking.uri=nonsense", "tracking.uri must begin with sqlite:///, http://"),
    ],
)
def test_a_mistake_ends_in_one_sentence(program: Run, typed: str, sentence: str) -> None:
    done = program(typed)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {sentence}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_setting(program: Run, flag: str) -> None:
    done = program(flag)
    assert (done.returncode, done.stderr) == (0, "")
    for setting in ("study=NAME", "tracking.uri=URI", "tracking.experiment=NAME"):
        assert setting in done.stdout
