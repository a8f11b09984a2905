"""The program `depthlab`: its help, its mistakes, and modules of the current folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import depthlab
from depthlab.folders import SOURCE
from tests.test_package import start


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["--version"], f"depthlab {depthlab.__version__}\n"),
        (["--help"], "`depthlab COMMAND --help`"),
        (["train", "--help"], "depth=8 "),
        (["study", "--config-dir=.", "-h"], "\nstudy\n  alpha "),
        (["sweep", "-h"], "trials=40 "),
        (["rewired_edges", "-h"], "Draws a small graph"),
        (["trust", "-h"], "add a file that you trust"),
        (["completion", "bash"], "complete -o nospace -F _depthlab depthlab"),
    ],
)
def test_the_command_says_what_it_is(typed: list[str], expected: str) -> None:
    done = start("-m", "depthlab", *typed)
    assert (done.returncode, done.stderr) == (0, "")
    assert expected in done.stdout and "hydra:" not in done.stdout


@pytest.mark.parametrize("typed", ["--help", "rewire --help", "ui --help"])
def test_help_whose_reader_has_ended(typed: str) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "depthlab", *typed.split()]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(SOURCE)}, stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["tran"], "error: there is no command tran: did you mean train\n"),
        (["xyz"], "error: there is no command xyz: choose one of train, study, "),
        (["train", "--config-dir="], "error: --config-dir needs a folder: --config-dir DIR\n"),
        (["train", "--config-dir", "nowhere"], "error: --config-dir names nowhere, which is not a folder"),
        (["completion", "tcsh"], "error: completion needs the name of your shell"),
    ],
)
def test_a_mistake_ends_in_one_sentence(typed: list[str], sentence: str) -> None:
    done = start("-m", "depthlab", *typed)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(sentence) and done.stderr.count("\n") == 1


def test_modules_of_the_current_folder_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("print('imported')")
    program = (
        "import sys; sys.argv = ['depthlab', '--version']; from depthlab.__main__ import main; main(); import mine"
    )
    done = start("-P", "-c", program, cwd=tmp_path)
    assert done.stdout == f"depthlab {depthlab.__version__}\nimported\n", done.stderr
