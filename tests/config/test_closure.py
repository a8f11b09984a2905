"""Which code a hash covers: every module of the closure, and nothing that only shows a result."""

import functools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from depthlab.config import closure as module
from depthlab.config.closure import PRESENTATION, closure, code_hash, locate
from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.folders import PACKAGE
from depthlab.training.identity import TRAINING

Write = Callable[[dict[str, str]], None]
Hash = Callable[[str], str]


@functools.cache
def composed(overrides: str) -> Settings:
    return compose_settings(overrides.split())


def forget() -> None:
    for function in (module._code_hash, module._versions, locate):
        function.cache_clear()


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hash]:
    """Gives the hash of a run with a copy of the package."""
    shutil.copytree(PACKAGE, tmp_path / "depthlab", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "SOURCE", tmp_path)
    forget()

    def hash_of(overrides: str) -> str:
        module._code_hash.cache_clear()
        return code_hash(*composed(overrides).targets, *TRAINING)

    yield hash_of
    forget()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules outside of the package, where they are found."""
    monkeypatch.syspath_prepend(tmp_path)
    forget()

    def written(files: dict[str, str]) -> None:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        forget()

    yield written
    forget()


def changes(path: Path, hash_of: Hash, overrides: str = "model=gcn") -> bool:
    """Whether another line in a file changes the hash."""
    before, text = hash_of(overrides), path.read_text()
    path.write_text(f"{text}\nEDITED = 1\n")
    after = hash_of(overrides)
    path.write_text(text)
    return after != before


def test_every_module_of_the_closure_counts(copied: Hash) -> None:
    files = closure([*TRAINING, "depthlab.nn.gcn", "depthlab.data.planetoid"])
    assert {"depthlab.nn.gcn", "depthlab.data.planetoid", "depthlab.data.splits", "depthlab.data.prepare"} <= set(files)
    assert {"depthlab.training.fit", "depthlab.training.result", "depthlab.ops.propagation"} <= set(files)
    assert [name for name, path in files.items() if not changes(path, copied)] == []


def test_presentation_does_not_count(copied: Hash, tmp_path: Path) -> None:
    for name in PRESENTATION:
        path = tmp_path / name.replace(".", "/")
        files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
        assert [file for file in files if changes(file, copied)] == []


def test_every_name_of_the_presentation_is_a_module_or_package_that_a_run_imports() -> None:
    everything = [f"{name}." for name in closure([*TRAINING], cut=())]
    assert [name for name in PRESENTATION if not any(other.startswith(f"{name}.") for other in everything)] == []


@pytest.mark.parametrize(
    ("file", "overrides", "counts"),
    [
        ("nn/gat", "model=gcn", False),
        ("nn/gat", "model=gat", True),
        ("nn/gcn", "model=residual_gcn", True),
        ("data/heterophilous", "model=gcn", False),
        ("data/heterophilous", "model=gcn dataset=texas", True),
        ("graph/rewiring/sdrf", "model=gcn", False),
        ("graph/rewiring/curved_graph", "model=gcn dataset=texas rewiring=sdrf", True),
    ],
)
def test_only_the_architecture_reader_and_rewiring_of_a_run_count(
    copied: Hash, tmp_path: Path, file: str, overrides: str, counts: bool
) -> None:
    assert changes(tmp_path / "depthlab" / f"{file}.py", copied, overrides) is counts


def test_comments_docstrings_and_layout_do_not_count(write: Write) -> None:
    def of(text: str) -> str:
        write({"network.py": text})
        return code_hash("network.Network")

    text = '"""Words."""\n\n\nclass Network:\n    """More words."""\n\n    def two(self):\n        return 2  # why\n'
    other = text.replace("ords", "hatever").replace("  # why", "").replace("\n\n\n", "\n")
    assert of(text) == of(other) != of(text.replace("2", "3"))
    assert of(text) != of(text.replace("return", "return 'a';"))


def test_a_network_outside_the_package_counts_with_its_own_imports(write: Write) -> None:
    files = {
        "network.py": "import torch\nfrom parts.layer import Layer\nfrom depthlab.nn.linear import Linear",
        "parts/__init__.py": "from parts.other import Other",
        "parts/layer.py": "def f():\n    from .deep import inner\n    import parts.shallow",
        "parts/deep/__init__.py": "from parts.deep.below import inner as inner",
        "parts/deep/below.py": "import math",
        "parts/shallow.py": "",
        "parts/other.py": "",
    }
    write(files)
    expected = {"network", "parts.layer", "parts.deep.below", "parts.shallow", "depthlab.nn.linear"}
    found = set(closure(["network"]))
    assert expected <= found and not {"parts", "parts.deep", "parts.other"} & found
    before = code_hash("network.Network")
    for name, counts in (("network", True), ("parts/deep/below", True), ("parts/other", False)):
        write({f"{name}.py": files[f"{name}.py"] + "\nEDITED = 1"})
        assert (code_hash("network.Network") != before) is counts, name
        write(files)


def test_what_a_package_defines_itself_counts_with_all_that_it_imports(write: Write) -> None:
    write({"parts/__init__.py": "from parts import other\n\n\nclass Network: ...", "parts/other.py": ""})
    assert list(closure(["parts"])) == ["parts", "parts.other"]
    write({"network.py": "from parts import Network as Other"})
    assert list(closure(["network"])) == ["network", "parts", "parts.other"]


def test_two_imports_under_one_name_both_count(write: Write) -> None:
    write({"network.py": "try:\n    from fast import f\nexcept ImportError:\n    from slow import f", "fast.py": "",
           "slow.py": ""})  # fmt: skip
    assert list(closure(["network"])) == ["fast", "network", "slow"]


def test_the_version_of_a_library_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    network = "torch_geometric.nn.models.GCN"
    forget()
    before = code_hash(network)
    monkeypatch.setattr("importlib.metadata.version", lambda _: "0.0.1")
    forget()
    assert code_hash(network) != before
    forget()


@pytest.mark.parametrize("target", ["depthlab.nn.nothing.Network", "nothing_of_this_name.Network"])
def test_a_missing_module_is_an_error(target: str) -> None:
    with pytest.raises(UserError, match="there is no module"):
        code_hash(target)


def test_an_unparsable_module_is_an_error(write: Write) -> None:
    write({"network.py": "class Network:\n    def"})
    with pytest.raises(UserError, match=r"network\.py cannot be read as Python: invalid syntax"):
        code_hash("network.Network")


def test_nothing_heavy_is_imported() -> None:
    script = "import sys, depthlab.training.identity; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=PACKAGE.parent, check=True)
