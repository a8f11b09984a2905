"""docs/guides/networks.md: its commands run, its code equals the example, and its messages are those of the program."""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.folders import CHECKOUT
from tests.conftest import Command
from tests.training.conftest import SMALL

TEXT = (CHECKOUT / "docs" / "guides" / "networks.md").read_text()
COMMANDS = re.findall(r"^    (depthlab .*)$", TEXT, re.MULTILINE)
BLOCKS = """
from torch import nn
from torch_geometric.nn import GCNConv


class Net(nn.Module):
    def __init__(self, in_channels, out_channels, depth, dropout):
        super().__init__()
        sizes = [in_channels, *[8] * (depth - 1), out_channels]
        self.blocks = nn.ModuleList(GCNConv(*sizes[k : k + 2]) for k in range(depth))

    def forward(self, x, edge_index):
        for block in self.blocks:
            x = block(x, edge_index)
        return x


class Taken(Net):
    def forward(self, data):
        return data
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder with the files that the page names."""
    path = list(sys.path)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "gcn2.py").write_text(code)
    (tmp_path / "blocks.py").write_text(BLOCKS)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "gcn2.py").write_text(code)
    yield tmp_path
    sys.path[:] = path
    for name in ("gcn2", "blocks"):
        sys.modules.pop(name, None)


def test_the_wrapper_equals_the_example() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    example = (CHECKOUT / "examples" / "gcn2.py").read_text()
    assert example.endswith(code.removeprefix("from torch")) and len(code.split("class ")[1].splitlines()) <= 15


@pytest.mark.slow
@pytest.mark.parametrize("typed", COMMANDS)
def test_every_command(
    typed: str, folder: Path, command: Command, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a small generated graph instead of Cora, for two epochs, with two depths of a study."""
    monkeypatch.setenv("DEPTHLAB_HOME", str(folder))
    _, name, *rest = shlex.split(typed)
    short = [word for word in rest if not word.startswith(("dataset=", "seed="))]
    short = [re.sub(r"^depth=(\d+).*", r"depth=\1", word) for word in short]
    small = [*SMALL, "epochs=2", "patience=2", "tracking.artifacts=[]", "hidden=8"]
    if name == "study":
        small += ["jobs=1", "seed=0", *([] if any("depth=" in word for word in short) else ["depth=2"])]
    done = command(name, *short, *small)
    assert done.code == 0, done.err


@pytest.mark.parametrize(("typed", "sentence"), [
    ("", "model=module needs a class: model.target must be MODULE.CLASS or FILE.py:CLASS, such as "),
    ("model.target=none.py:Net", "model.target names none.py, which does not exist in "),
    ("model.target=gcn2.py", "model.target=gcn2.py names no class: choose gcn2.py:GCN2"),
])  # fmt: skip
def test_error_messages(typed: str, sentence: str, folder: Path) -> None:
    assert sentence.rstrip() in TEXT
    with pytest.raises(UserError) as error:
        compose_settings(["model=module", *typed.split()])
    assert str(error.value).startswith(sentence)
