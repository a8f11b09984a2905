"""The package as others use it: imported without the heavy libraries, started as a program, built as a wheel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import depthlab
from depthlab.folders import SOURCE

HEAVY = ("pytorch_lightning", "lightning", "hydra", "mlflow", "optuna", "pandas", "matplotlib", "sklearn")


def start(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env={"PYTHONPATH": str(SOURCE), "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def imported(program: str) -> set[str]:
    """The top-level packages that a program of one line has imported at its end."""
    done = start("-c", f"{program}; import sys; print(*sorted(sys.modules))")
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_the_measures_need_torch_and_pyg_only() -> None:
    program = (
        "import torch, depthlab; edges = torch.tensor([[0, 1], [1, 0]]);"
        "assert depthlab.measures.dirichlet_energy(torch.tensor([[1.0], [0.0]]), edges) > 0"
    )
    assert not imported(program).intersection(HEAVY)


def test_the_package_itself_imports_nothing() -> None:
    assert not imported("import depthlab").intersection({*HEAVY, "torch", "numpy"})


def test_its_parts_are_listed_and_others_are_not_there() -> None:
    assert set(depthlab.__all__) <= set(dir(depthlab))
    for name in depthlab.__all__:
        assert getattr(depthlab, name).__name__ == f"depthlab.{name}"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = depthlab.nothing


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["--version"], f"depthlab {depthlab.__version__}\n"),
        (["--help"], "`depthlab COMMAND --help`"),
        (["train", "--help"], "depth: 8 # number of propagation layers"),
        (["study", "--config-dir=.", "-h"], "study     citeseer, cora, "),
        (["sweep", "-h"], "trials: 40 #"),
        (["rewired_edges", "-h"], "Draws a small graph"),
        (["trust", "-h"], "add a file that you trust"),
        (["completion", "bash"], "complete -o nospace -F _depthlab depthlab"),
    ],
)
def test_the_command_says_what_it_is(typed: list[str], expected: str) -> None:
    done = start("-m", "depthlab", *typed)
    assert (done.returncode, done.stderr) == (0, "")
    assert expected in done.stdout and "hydra:" not in done.stdout


@pytest.mark.parametrize("command", ["prepare", "rewire"])
def test_the_help_of_data_commands_lists_no_settings_of_training(command: str) -> None:
    done = start("-m", "depthlab", command, "--help")
    assert "  dataset   actor, " in done.stdout
    assert "epochs" not in done.stdout and "model" not in done.stdout


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
