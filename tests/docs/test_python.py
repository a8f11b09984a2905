"""Every block of docs/guides/python.md in an empty project."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from depthlab.folders import CHECKOUT
from tests.conftest import Command

DOCS = CHECKOUT / "docs"


@pytest.fixture
def folder(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project that is the current folder."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_every_block_runs(folder: Path, command: Command) -> None:
    text = (DOCS / "guides" / "python.md").read_text()
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == text.count("```") // 2
    names: dict[str, Any] = {"__name__": "docs"}
    for language, block in blocks:
        if language == "python":
            exec(compile(block, "docs/guides/python.md", "exec"), names)
        elif language == "bash":
            torch.save(names["data"], "graph.pt")
            for line in block.splitlines():
                name, *words = line.removeprefix("depthlab ").replace("run=ID", f"run={names['run'].run_id}").split()
                done = command(name, *words)
                assert done.code == 0, done.err
    assert names["run"].test_acc > 0 and names["examination"].verdict == "untrained"
    assert names["examination"].evidence.endswith("its states collapse")
    assert [entry["epoch"] for entry in names["monitor"].history] == [0, 10, 20]
    assert Path("predictions.csv").is_file() and Path("new.csv").is_file() and Path("layers.csv").is_file()
