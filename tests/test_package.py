"""The package as others use it: imported without the heavy libraries, started as a program, built as a wheel."""

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
        assert getattr(depthlab, name).__name__ in (name, f"depthlab.{name}")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = depthlab.nothing
