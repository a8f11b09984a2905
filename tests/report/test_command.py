"""`depthlab report` as a person types it."""

from pathlib import Path

import pytest

from tests.conftest import Command
from tests.report.conftest import STUDY, Store


def test_report_from_the_command_line(command: Command, recorded: Store, results: Path) -> None:
    done = command("report", f"study={STUDY}", f"tracking.uri={recorded.uri}")
    assert (done.code, done.err) == (0, "")
    paths = [Path(line) for line in done.out.splitlines()]
    assert {path.parent for path in paths} == {results / STUDY}
    assert {path.name for path in paths} >= {"runs.csv", "tables.md", "accuracy.png", "animation.png", "report.html"}
    assert all(path.stat().st_size for path in paths)


@pytest.mark.parametrize(("typed", "name"), [((), "quick"), (("study=foo",), "foo")])
def test_an_unknown_study_names_those_there_are(
    command: Command, recorded: Store, typed: tuple[str, ...], name: str
) -> None:
    hint = f"choose one of {STUDY}, or run it with depthlab study study={name}"
    sentence = f"error: there is no record of a study named {name} in {recorded.uri}: {hint}\n"
    assert command("report", *typed, f"tracking.uri={recorded.uri}") == (1, "", sentence)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_setting(command: Command, flag: str) -> None:
    done = command("report", flag)
    assert (done.code, done.err) == (0, "")
    for setting in ("study=NAME", "tracking.uri=URI", "tracking.experiment=NAME"):
        assert setting in done.out
