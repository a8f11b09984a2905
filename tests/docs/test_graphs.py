"""Every command and code block of docs/guides/graphs.md."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from depthlab.config.compose import compose_settings
from depthlab.folders import CHECKOUT, SOURCE
from tests.conftest import Command
from tests.data.test_ogb import write
from tests.data.test_tu import tables
from tests.data.test_tu import write as write_tu

TEXT = (CHECKOUT / "docs" / "guides" / "graphs.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
            for line in block.splitlines()]  # fmt: skip
SHORT = ["epochs=2", "progress=false", "trainer.threads=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the code of the document has run, and small data in the layouts of ogbn-arxiv and MUTAG."""
    path = tmp_path_factory.mktemp("docs")
    code = "\n".join(PYTHON)
    done = subprocess.run([sys.executable, "-c", code], cwd=path, env=environment(path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in TEXT
    write(path / "arxiv")
    write_tu(path / "MUTAG", tables() | {"edge_labels": [0] * len(tables()["A"])})
    return path


def environment(path: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(SOURCE), "DEPTHLAB_HOME": str(path), "HOME": str(path), "PATH": "/usr/bin:/bin",
            "OMP_NUM_THREADS": "1"}  # fmt: skip


def test_there_are_blocks() -> None:
    assert len(PYTHON) == 4 and len(COMMANDS) == 13


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_composed(line: str) -> None:
    program, command, *overrides = shlex.split(line)
    assert (program, command) == ("depthlab", "train")
    compose_settings(overrides)


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in COMMANDS if "trust_downloads" not in line])
def test_commands_run(
    folder: Path, line: str, command: Command, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(folder))
    monkeypatch.chdir(folder)
    store = shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    done = command(*shlex.split(line)[1:], *SHORT)
    assert done.code == 0, done.err
    assert "finished after 2 epochs" in done.out
