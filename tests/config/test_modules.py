"""Targets of model=module: their syntax, their names, and imports of edited files."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthlab.config.closure import code_hash, module_hash
from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.modules import Source, check_target, describe_error, label, load, local_files
from depthlab.config.settings import config_hash
from depthlab.training.run_name import run_name

NET = "from {layers} import width\n\nclass Net:\n    size = width\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory; modules that a test imports are forgotten after it."""
    before, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


BAD = [
    (None, "model=module needs a class: model.target must be MODULE.CLASS or FILE.py:CLASS, such as"),
    ("Net", "model.target must be MODULE.CLASS or FILE.py:CLASS, such as .*, got Net"),
    (3, "model.target must be MODULE.CLASS or FILE.py:CLASS, such as .*, got 3"),
    ("a b.Net", "model.target must be .*, got a b.Net"),
    ("none.py:Net", "model.target names none.py, which does not exist in /.*: correct the path"),
    ("net.py", "model.target=net.py names no class: choose net.py:Net"),
    ("net.py:Nett", "net.py has no class Nett: choose net.py:Net"),
    ("empty.py:Net", "empty.py has no class Net: it defines none"),
    ("broken.py:Net", "broken.py, line 2, cannot be read as Python: "),
    ("binary.py:Net", "binary.py cannot be read as Python: "),
    ("my-net.py:Net", "my-net.py cannot be imported by this name: use only letters, digits and _"),
    ("random.py:Net", "random.py would shadow a Python module of the same name: rename it"),
    ("depthlab.py:Net", "depthlab.py would shadow a Python module of the same name: rename it"),
    ("yaml.py:Net", "yaml.py would shadow a Python module of the same name: rename it"),
]


@pytest.mark.parametrize(("target", "sentence"), BAD, ids=[str(target) for target, _ in BAD])
def test_invalid_targets(folder: Path, target: object, sentence: str) -> None:
    write(folder / "empty.py", "")
    write(folder / "broken.py", "\ndef (")
    (folder / "binary.py").write_bytes(b"\0\xff")
    for name in ("net", "my-net", "random", "depthlab", "yaml"):
        write(folder / f"{name}.py", "class Net: ...")
    with pytest.raises(UserError, match=f"^{sentence}"):
        check_target(target)


def test_valid_targets(folder: Path) -> None:
    write(folder / "net.py", "from abc import ABC as Alias\nclass Net: ...\nif True:\n    Other = Net")
    for target in ("torch.nn.Linear", "net.py:Net", "net.py:Alias", "net.py:Other", f"{folder}/net.py:Net"):
        check_target(target)


def test_labels(folder: Path) -> None:
    assert label("torch_geometric.nn.models.GraphSAGE") == "GraphSAGE"
    assert label("mine.nets.Net") == "mine.nets.Net"
    assert label("my_net.py:Net") == "my_net.Net" == label(f"{folder}/my_net.py:Net")
    assert label("nets/my_net.py:Net") == "nets.my_net.Net"
    assert label("../my_net.py:Net") == "my_net.Net"


def test_run_names_differ_by_target_and_arguments(folder: Path) -> None:
    write(folder / "net.py", "class GCN: ...")
    names = []
    for overrides in (
        ["model.target=torch_geometric.nn.models.GCN"],
        ["model.target=torch_geometric.nn.models.GCN", "model.args.improved=true"],
        ["model.target=torch_geometric.nn.models.GCN", "+model.args.improved=false"],
        ["model.target=net.py:GCN"],
    ):
        names.append(run_name(compose_settings(["model=module", "depth=2", *overrides])))
    base = ["cora-GCN-d2-s0", "cora-GCN-d2-s0-improvedtrue", "cora-GCN-d2-s0-improvedfalse", "cora-net.GCN-d2-s0"]
    assert names == base


def hashes(target: str) -> list[str]:
    settings = compose_settings(["model=module", f"model.target={target}"])
    return [module_hash(target), code_hash(target), config_hash(settings)]


def test_a_file_with_local_imports_is_imported_as_it_is_now(folder: Path) -> None:
    write(folder / "nets" / "net.py", NET.format(layers="layers.sizes"))
    write(folder / "nets" / "layers" / "__init__.py", "")
    write(folder / "nets" / "layers" / "sizes.py", "width = 1")
    target = "nets/net.py:Net"
    first = load(target)
    assert first.size == 1 and load(target) is first
    before = hashes(target)
    write(folder / "nets" / "layers" / "sizes.py", "width = 2")
    assert load(target).size == 2
    assert all(one != other for one, other in zip(before, hashes(target), strict=True))
    write(folder / "nets" / "layers" / "sizes.py", "width = 1  # as before")
    assert hashes(target) == before
    assert not list(folder.rglob("__pycache__"))


def test_local_modules_of_the_same_name_in_two_folders(folder: Path) -> None:
    for number in (1, 2):
        write(folder / str(number) / "net.py", NET.format(layers="helpers"))
        write(folder / str(number) / "helpers.py", f"width = {number}")
    assert [load(f"{number}/net.py:Net").size for number in (1, 2, 1)] == [1, 2, 1]


def test_a_file_inside_a_package(folder: Path) -> None:
    write(folder / "pack" / "__init__.py", "")
    write(folder / "pack" / "inner" / "__init__.py", "")
    write(folder / "pack" / "inner" / "net.py", NET.format(layers="..sizes"))
    write(folder / "pack" / "sizes.py", "width = 3")
    assert load("pack/inner/net.py:Net").size == 3
    source = Source.of("pack/inner/net.py:Net")
    assert source and set(local_files(source)) == {"pack.inner.net", "pack.sizes"}


def test_versions_of_libraries_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from depthlab.config import closure

    write(folder / "net.py", "import torch_geometric.nn\nclass Net: ...")
    targets, asked = ("net.py:Net", "torch_geometric.nn.models.GCN"), list[str]()

    def version(module: str) -> list[str]:
        asked.append(module)
        return [f"{module} {len(asked) // 5}"]

    monkeypatch.setattr(closure, "_versions", version)
    first = [module_hash(target) for target in targets]
    assert asked == ["torch", "torch_geometric"] * 2
    assert all(module_hash(target) != before for target, before in zip(targets, first, strict=True))


def test_import_errors_are_one_sentence(folder: Path) -> None:
    write(folder / "net.py", "\nimport nothing_like_this\nclass Net: ...")
    with pytest.raises(UserError, match=r"^net\.py cannot be imported: ModuleNotFoundError: .* \(net\.py, line 2\)$"):
        load("net.py:Net")
    with pytest.raises(UserError, match=r"^nothing_like_this cannot be imported: ModuleNotFoundError: "):
        load("nothing_like_this.Net")
    with pytest.raises(UserError, match=r"^torch\.nn has no class Nett: correct model\.target=torch\.nn\.Nett$"):
        load("torch.nn.Nett")


def test_an_error_without_a_message() -> None:
    assert describe_error(KeyError(), "torch.nn.Linear") == "KeyError"


def test_an_imported_module_that_was_edited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "by_name.py", NET.format(layers="its_layers"))
    write(folder / "its_layers.py", "width = 1\n")
    monkeypatch.syspath_prepend(str(folder))
    assert load("by_name.Net").size == load("by_name.Net").size == 1
    write(folder / "its_layers.py", "width = 2  # as many characters\n")
    for _ in range(2):
        with pytest.raises(UserError, match=r"its_layers.py was edited after its_layers was imported: restart Python"):
            load("by_name.Net")
    importlib.reload(sys.modules["its_layers"])
    importlib.reload(sys.modules["by_name"])
    assert load("by_name.Net").size == 2
