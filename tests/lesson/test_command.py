"""`depthlab lesson` as a person types it."""

import re
from pathlib import Path

import pytest

from depthlab.config.errors import UnavailableError
from depthlab.data import fetch as fetching
from depthlab.lesson import command as lesson_command
from depthlab.tracking.search import Records
from tests.conftest import Command

QUICK = ("dataset=digits", "epochs=2")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("dataset=texas", "error: the lesson's dataset must be one of cora, digits, got texas\n"),
        ("open=maybe", "error: open must be true or false, got maybe\n"),
        ("depth=3", "error: cannot read 'depth=3': write one of dataset, epochs, tracking.uri, open as key=value\n"),
        ("epochs=0", "error: epochs must be a whole number in [1, 100000000], got 0\n"),
    ],
)
def test_a_mistake_ends_in_one_sentence(command: Command, typed: str, sentence: str) -> None:
    typed_words = [typed] if typed.startswith("dataset") else ["dataset=digits", typed]
    done = command("lesson", *typed_words)
    assert (done.code, done.out) == (1, "")
    assert done.err == sentence


def test_help_names_every_setting(command: Command) -> None:
    done = command("lesson", "--help")
    assert (done.code, done.err) == (0, "")
    assert all(f"{name}=" in done.out for name in lesson_command.SETTINGS)


def test_cora_is_fetched_or_else_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    asked: list[list[str]] = []

    def fetch(names: list[str], sources: list[fetching.Source]) -> str:
        asked.append(names)
        if len(asked) > 1:
            raise UnavailableError("no source")
        return "upstream"

    monkeypatch.setattr(fetching, "fetch", fetch)
    assert lesson_command.available() == "cora"
    assert lesson_command.available() == "digits"
    assert asked[0] == fetching.files_of("cora")
    assert "the lesson uses dataset=digits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("terminal", "display", "opens"), [(True, ":0", True), (False, ":0", False), (True, "", False)]
)
def test_a_browser_opens_only_for_a_person_at_a_screen(
    terminal: bool, display: str, opens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    assert lesson_command.has_browser() == opens


@pytest.mark.slow
def test_the_lesson_from_start_to_end_and_again(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    done = command("lesson", *QUICK)
    assert done.code == 0, done.err
    path = tmp_path / "results" / "lesson" / "lesson.html"
    assert f"the lesson:     {path}\n" in done.out
    assert "what is next:   depthlab train dataset=digits" in done.out
    assert len(re.findall(r"^  \S.*\.$", done.out.partition("drawing")[0].rpartition("as a report")[2], re.M)) == 3
    html = path.read_text()
    assert "digit 9" in html and html.count("<canvas") == 5
    records = Records(f"sqlite:///{tmp_path / 'mlflow.db'}", "lesson", create=False)
    runs = records.runs("tags.config_hash != ''")
    assert sorted((run.tags["model"], run.tags["depth"]) for run in runs) == [
        ("gcn", "2"), ("gcn", "32"), ("gcn", "32"), ("gcn", "8"), ("gcnii", "32"),
    ]  # fmt: skip
    again = command("lesson", *QUICK)
    assert again.code == 0 and "5 runs, 5 done, 0 to do" in again.out
    assert len(records.runs("tags.config_hash != ''")) == 5
    assert path.read_text() == html
