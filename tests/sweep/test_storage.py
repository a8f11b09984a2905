"""The storage of a sweep: a journal or a database."""

import json
import threading
from pathlib import Path

import optuna
import pytest

from depthlab.config.errors import UserError
from depthlab.sweep.storage import open_storage, open_study
from tests.sweep.asking import SEARCH, TIMEOUT, asked, started, together
from tests.sweep.conftest import Sweep, search_of


def test_another_content_under_the_same_name_is_refused(sweep: Sweep) -> None:
    sweep.study(SEARCH)
    sweep.study(SEARCH)
    with pytest.raises(UserError) as error:
        sweep.study(search_of("p_drop=interval(0, 0.3)", "epochs=4"))
    assert str(error.value) == (
        "the sweep small has another space, network, recipe or graph: give this one a name of its own, study_name=..."
    )


def test_an_incomplete_last_line_is_removed(sweep: Sweep) -> None:
    asked(sweep.study(SEARCH), 2, sweep.folder)
    file = Path(sweep.journal)
    lines = file.read_bytes().count(b"\n")
    file.write_bytes(file.read_bytes() + b'{"op_code":4,"wor')  # the power went
    assert len(asked(sweep.study(SEARCH), 4, sweep.folder)) == 2
    assert len(started(sweep)) == 4
    assert file.read_bytes().count(b"\n") > lines
    assert all(json.loads(line) for line in file.read_text().splitlines())


@pytest.mark.parametrize("content", [b"a text", b"a text\n", b"two\nlines\n", b"\x89PNG\r\n\xff", b"[1]\n", b"{}\n"])
def test_a_file_that_is_no_journal_is_refused_and_not_changed(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    with pytest.raises(UserError) as error:
        open_study(open_storage(str(file)), "small", ["maximize"], {}, optuna.pruners.NopPruner())
    assert str(error.value) == f"{file} is not an Optuna journal: set another one with storage=FILE.journal"
    assert file.read_bytes() == content


def test_commands_that_create_a_database_at_the_same_time(tmp_path: Path) -> None:
    ready, opened = threading.Barrier(3), []

    def work() -> None:
        ready.wait(TIMEOUT)
        opened.append(open_storage(f"sqlite:///{tmp_path / 'trials.db'}"))

    together([work] * 3)
    assert len(opened) == 3


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (
            "postgresql+psycopg://a:b@127.0.0.1:9/x",
            "no database answers at storage=postgresql+psycopg://a:***@127.0.0.",
        ),
        ("mssql+foo://x", "storage=mssql+foo://x is not the address of a database: "),
    ],
)
def test_a_database_that_cannot_be_used_is_one_sentence(address: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        open_storage(address)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)
