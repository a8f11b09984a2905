"""A wrong word of a command ends it before heavy libraries are imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from depthlab.folders import CHECKOUT

HEAVY = ("torch", "mlflow", "pytorch_lightning", "torch_geometric", "pandas", "scipy", "sqlalchemy", "optuna")
GRID = "model=gcn,gcnii dataset=csbm depth=2,4 seed=0,1"
MODULES = 700  # most modules of Python and of libraries: they take less than half a second
SCRIPT = """
import sys
from depthlab.__main__ import main
sys.argv = ["depthlab", *sys.argv[1:]]
try:
    main()
finally:
    print([name for name in {heavy} if name in sys.modules], len(sys.modules) < {modules}, file=sys.stderr)
"""


def imported(words: str) -> tuple[int, str]:
    """Exit code of a command, and the line on what it has imported."""
    script = SCRIPT.format(heavy=HEAVY, modules=MODULES)
    command = [sys.executable, "-c", script, *words.split()]
    done = subprocess.run(command, cwd=CHECKOUT / "src", capture_output=True, text=True, check=False)
    return done.returncode, next(line for line in done.stderr.splitlines() if line.startswith("["))


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        "tarin", "train depth=abc", "train dpeth=3", "train model=foo", "train model.alhpa=1", "train dataset=npz",
        "train dataset=npz dataset.path=none.npz", "study study=foo", "study depth=0", "sweep model=foo",
        "sweep trials=0", "report foo", "predict foo", "examine dataset=foo", "examine depth=0", "fetch --dataset foo",
        "prepare dataset=foo", "prepare bla=3", "rewire rewiring=foo", "rewired_edges dataset=foo", "ui --port x",
        "close", "trust foo", "completion foo",
    ],
)  # fmt: skip
def test_wrong_input_imports_nothing_heavy(words: str) -> None:
    code, line = imported(words)
    assert code != 0 and line == "[] True"


@pytest.mark.slow
@pytest.mark.parametrize("words", ["--help", "train --help", "study --help", f"study {GRID} dry=true"])
def test_help_and_a_dry_run_import_nothing_heavy(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    assert imported(words) == (0, "[] True")
    assert list(tmp_path.iterdir()) == []
