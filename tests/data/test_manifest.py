"""data.dvc as the list of what raw files must hold."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from src.data.manifest import MANIFEST, Manifest, md5, record, tree_md5
from src.errors import UserError

CORA = "planetoid/ind.cora.x"


def test_md5_is_that_of_the_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    (tmp_path / "file").write_bytes(content)
    assert md5(tmp_path / "file") == hashlib.md5(content).hexdigest()


def test_tree_md5_is_the_hash_that_dvc_recorded() -> None:
    content = yaml.safe_load(MANIFEST.read_text())
    (out,), files = content["outs"], content["meta"]["files"]
    assert f"{tree_md5(files)}.dir" == out["md5"]
    assert len(files) == out["nfiles"]


def test_tree_md5_depends_on_names_and_hashes_but_not_on_order() -> None:
    files = {"a/b": "1", "a-b": "2", "a": "3"}
    assert tree_md5(dict(reversed(files.items()))) == tree_md5(files)
    assert len({tree_md5(files), tree_md5(files | {"a": "4"}), tree_md5(files | {"c": "3"})}) == 3


def test_load_reads_the_list(project: Path) -> None:
    manifest = Manifest.load()
    assert manifest.data == project / "data"
    assert len(manifest.files) == 17
    assert manifest.files[CORA] == md5(project / "data" / CORA)


def test_missing_manifest(project: Path) -> None:
    (project / "data.dvc").unlink()
    with pytest.raises(UserError, match=r"^data\.dvc is missing: restore it with `git checkout data\.dvc`$"):
        Manifest.load()


@pytest.mark.parametrize(
    "content",
    ["", "a list? no", "- 1", "outs: []\nmeta: {files: {}}", "outs: [{md5: 5}]\nmeta: {files: {}}", "{",
     "outs: [{md5: abc.dir}]", "outs: [{md5: abc.dir}]\nmeta: {files: null}"],
)  # fmt: skip
def test_manifest_without_a_list(project: Path, content: str) -> None:
    (project / "data.dvc").write_text(content)
    with pytest.raises(UserError, match=r"has no list of files: restore it .* `python -m src\.data\.manifest`$"):
        Manifest.load()


@pytest.mark.parametrize("change", ["hash", "removed", "added"])
def test_edited_list_is_not_believed(project: Path, change: str) -> None:
    content = yaml.safe_load((project / "data.dvc").read_text())
    files = content["meta"]["files"]
    if change == "hash":
        files[CORA] = "0" * 32
    elif change == "removed":
        del files[CORA]
    else:
        files["planetoid/more"] = "0" * 32
    (project / "data.dvc").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="does not give its own hash"):
        Manifest.load()


def test_verify_returns_the_path_of_a_file_that_matches(project: Path) -> None:
    manifest = Manifest.load()
    assert [manifest.verify(name) for name in manifest.files] == [project / "data" / name for name in manifest.files]


def test_verify_missing(project: Path) -> None:
    (project / "data" / CORA).unlink()
    manifest = Manifest.load()
    assert manifest.missing() == [CORA]
    with pytest.raises(UserError, match=rf"^data/{CORA} is missing: run `make data`$"):
        manifest.verify(CORA)


def test_verify_unlisted(project: Path) -> None:
    (project / "data" / "planetoid" / "own").write_text("mine")
    with pytest.raises(UserError, match=r"^data/planetoid/own is not in data\.dvc"):
        Manifest.load().verify("planetoid/own")


@pytest.mark.parametrize("damage", ["one bit", "torn", "empty"])
def test_verify_corrupt(project: Path, damage: str) -> None:
    path = project / "data" / CORA
    content = path.read_bytes()
    path.write_bytes({"one bit": bytes([content[0] ^ 1]) + content[1:], "torn": content[:-1], "empty": b""}[damage])
    with pytest.raises(UserError, match=rf"^data/{CORA} is corrupt .*: delete it and run `make data`$"):
        Manifest.load().verify(CORA)


def test_record_calls_dvc_and_can_be_read_back(dvc_project: Path, dvc: Callable[..., None]) -> None:
    contents = {"a/b.txt": "1", "a-b.txt": "2", "a/c/é and a space": "3", "B": "4", "empty": ""}
    for name, content in contents.items():
        path = dvc_project / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    recorded = record(dvc_project)
    assert recorded.files == {name: hashlib.md5(content.encode()).hexdigest() for name, content in contents.items()}
    assert Manifest.load(dvc_project / "data.dvc", dvc_project / "data") == recorded
    before = (dvc_project / "data.dvc").read_text()
    dvc(dvc_project, "add", "-q", "data")  # DVC keeps the list that it does not know
    assert yaml.safe_load((dvc_project / "data.dvc").read_text()) == yaml.safe_load(before)


def test_record_again_after_an_edit(dvc_project: Path) -> None:
    (dvc_project / "data").mkdir()
    (dvc_project / "data" / "file").write_text("old")
    old = record(dvc_project)
    (dvc_project / "data" / "file").unlink()
    (dvc_project / "data" / "file").write_text("new")
    with pytest.raises(UserError, match="corrupt"):
        old.verify("file")
    assert record(dvc_project).verify("file") == dvc_project / "data" / "file"
