"""The sentences in which wrong input ends, by what was typed: sentences.yaml holds the words.

`python -m tests.sentences` writes the file anew after words have changed: read the difference before you commit it.
"""

import contextlib
import functools
import io
import os
import shlex
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import yaml
from omegaconf import DictConfig

from depthlab import __main__ as program
from depthlab.cli import explain
from depthlab.config.compose import compose_settings
from depthlab.folders import CHECKOUT
from depthlab.study.command import checked
from depthlab.study.grid import expand
from depthlab.sweep.space import read_space
from tests.log_handlers import restored_log_handlers
from tests.sweep.conftest import search_of

SNAPSHOT = Path(__file__).with_name("sentences.yaml")
LINES = {"GCN": "model=gcn", "GCN + DropEdge": "model=gcn p_drop=0.2"}
SMALL = ["dataset=csbm", "dataset.nodes=120", "hidden=16", "epochs=3", "tracking.artifacts=[config]"]
BEFORE = {  # what is typed before it
    "study": [*SMALL, "model=gcn", "depth=2", "seed=0"],
    "sweep": [*SMALL, "model=gcn", "depth=2", "jobs=1", "storage=small.journal"],
    "report": [],
    "rewired_edges": [],
}


def command(name: str, typed: Sequence[str]) -> str:
    """The one line that a command says in an empty folder, where it records nothing."""
    err, here = io.StringIO(), Path.cwd()
    with TemporaryDirectory() as folder, contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        own = any(word.startswith("dataset=") for word in typed)
        before = [word for word in BEFORE[name] if not (own and word.startswith("dataset"))]
        records = [f"tracking.uri=sqlite:///{folder}/mlflow.db"] if name != "rewired_edges" else []
        argv = [name, *before, *records, *typed]
        os.chdir(folder)
        try:
            with (
                patch.object(sys, "argv", argv),
                patch.dict(os.environ, {"HYDRA_FULL_ERROR": "0"}),
                restored_log_handlers(),
            ):
                program.run(name)
            raise AssertionError(f"{argv} was accepted: {err.getvalue()}")
        except SystemExit as end:
            assert end.code == 1, err.getvalue()
        finally:
            os.chdir(here)
        with contextlib.closing(sqlite3.connect(f"{folder}/mlflow.db")) as store:
            tables = store.execute("SELECT name FROM sqlite_master WHERE name = 'runs'").fetchall()
            assert not tables or not store.execute("SELECT * FROM runs").fetchall()
    (line,) = err.getvalue().splitlines()
    assert line.startswith("error: "), line
    return line.removeprefix("error: ").replace(folder, "FOLDER")


def explained(call: Callable[[], Any]) -> str:
    """The sentence for the exception that a call raises."""
    try:
        call()
    except Exception as error:
        said = explain(error)
        assert said is not None, repr(error)
        return said
    raise AssertionError("it was accepted")


KINDS: dict[str, Callable[[str], str]] = {
    "train": lambda text: explained(lambda: compose_settings(shlex.split(text))),
    "grid": lambda text: explained(lambda: expand(LINES, {}, {}, shlex.split(text))),
    "search": lambda text: explained(lambda: search_of(*shlex.split(text))),
    "objective": lambda text: explained(lambda: search_of(objective=yaml.safe_load(text))),
    "space": lambda text: explained(lambda: read_space({}, [text])),
    "study file": lambda text: explained(lambda: checked(DictConfig(yaml.safe_load(text)))),
    **{name: lambda text, name=name: command(name, shlex.split(text)) for name in BEFORE},  # type: ignore[misc]
}


def sentence(kind: str, text: str) -> str:
    return KINDS[kind](text).replace(str(CHECKOUT), "CHECKOUT")


@functools.cache
def recorded() -> dict[str, dict[str, str]]:
    content: dict[str, dict[str, str]] = yaml.safe_load(SNAPSHOT.read_text())
    return content


if __name__ == "__main__":
    new = {kind: {text: sentence(kind, text) for text in texts} for kind, texts in recorded().items()}
    SNAPSHOT.write_text(yaml.safe_dump(new, allow_unicode=True, sort_keys=False, width=10**6))
