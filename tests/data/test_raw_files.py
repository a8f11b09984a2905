"""The list of known raw files: where a name may lead, and what a file must hold."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from depthlab.config.errors import UserError
from depthlab.data.raw_files import (
    HEADER,
    UNKNOWN,
    RawFile,
    add,
    git_blob,
    ignored_by_dvc,
    known_files,
    listed,
    stays_below,
    unknown_files,
    verify,
)
from depthlab.folders import CHECKOUT, CONF

CORA = "planetoid/ind.cora.x"
ALGORITHMS = (("sha1", b"blob 4\0mine"), ("md5", b"mine"), ("sha256", b"mine"))
OUTSIDE = [
    "../src/depthlab/graph/__init__.py",
    "a/../../b",
    "/etc/passwd",
    "a//b",
    "./a",
    "a/.",
    "..",
    "",
    "a\\..\\b",
    "C:/a",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_elsewhere_is_in_no_list(project: Path, name: str) -> None:
    assert not stays_below(name)
    with (project / "src" / "depthlab" / "data" / "raw_files.tsv").open("a") as file:
        file.write("\t".join([name, *["1"] * 4]) + "\n")
    with pytest.raises(
        UserError, match=r"line 19 of .*raw_files\.tsv is not valid: restore the file with `git checkout"
    ):
        known_files()


@pytest.mark.parametrize("content", ["path\tbytes\nplanetoid/a\t1\n", f"{HEADER}\nplanetoid/a\t1\t2\n"])
def test_a_list_of_another_form(project: Path, content: str) -> None:
    (project / "src" / "depthlab" / "data" / "raw_files.tsv").write_text(content)
    with pytest.raises(UserError, match=r"line 2 of .* is not valid"):
        known_files()


def test_every_dataset_names_known_files() -> None:
    known = known_files()
    named = [yaml.safe_load(path.read_text()).get("files") or [] for path in (CONF / "dataset").glob("*.yaml")]
    assert {name for files in named for name in files} <= set(known)
    assert {len(file.git_blob) for file in known.values()} == {40}
    assert sum(file.sha256 == UNKNOWN for file in known.values()) == 4  # verified by Git's hash


def test_git_blob_is_what_git_says(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(256)) * 8000)
    command = ["git", "hash-object", str(tmp_path / "file")]
    assert git_blob(tmp_path / "file") == subprocess.run(command, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("by", ["sha256", "git_blob"])
def test_matches(tmp_path: Path, by: str) -> None:
    path, content = tmp_path / "file", b"content"
    path.write_bytes(content)
    sha = hashlib.sha256(content).hexdigest() if by == "sha256" else UNKNOWN
    file = RawFile("file", "7", git_blob(path), UNKNOWN, sha)
    assert file.matches(path)
    path.write_bytes(b"Content")
    assert not file.matches(path)


def test_listed_and_verified(project: Path) -> None:
    files = listed(known_files())
    assert [file.path for file in files] == [project / "data" / name for name in known_files()]
    assert len(files) == 17
    verify(files)


def test_a_name_that_is_not_listed() -> None:
    with pytest.raises(UserError, match=r"^data/mine/own is not in raw_files\.tsv, so it cannot be verified"):
        listed([CORA, "mine/own"])


@pytest.mark.parametrize("damage", ["one bit", "torn", "empty"])
def test_corrupt(project: Path, damage: str) -> None:
    path = project / "data" / CORA
    content = path.read_bytes()
    path.write_bytes({"one bit": bytes([content[0] ^ 1]) + content[1:], "torn": content[:-1], "empty": b""}[damage])
    with pytest.raises(
        UserError, match=rf"^data/{CORA} is corrupt or was edited .*: delete it and run `depthlab fetch`$"
    ):
        verify(listed(known_files()))


def test_an_added_file_is_known(project: Path) -> None:
    own = project / "data" / "mine" / "a [b]*.npz"
    own.parent.mkdir()
    own.write_bytes(b"mine")
    assert unknown_files() == ["mine/a [b]*.npz"]
    before = known_files()
    add([own])
    assert unknown_files() == []
    hashes = (hashlib.new(name, data).hexdigest() for name, data in ALGORITHMS)
    assert known_files() == before | {"mine/a [b]*.npz": RawFile("mine/a [b]*.npz", "4", *hashes)}
    assert (project / ".dvcignore").read_text().endswith("\n!/data/planetoid/ind.cora.y\n")
    own.write_bytes(b"changed")
    with pytest.raises(UserError, match="is corrupt or was edited"):
        verify(listed(["mine/a [b]*.npz"]))


def test_only_files_in_data_are_added(project: Path) -> None:
    (project / "outside").write_bytes(b"")
    (project / "data" / "link").symlink_to(project / "outside")
    for path in (project / "outside", project / "data" / ".." / "outside", project / "data" / "link", project / "none"):
        with pytest.raises(UserError, match=r"is not a file in data/: copy it there first$"):
            add([path])


def test_litter_is_not_named(project: Path) -> None:
    for name in (
        ".DS_Store",
        "planetoid/._ind.cora.x",
        "Thumbs.db",
        ".ipynb_checkpoints/a",
        "notes~",
        "planetoid/notes",
    ):
        (project / "data" / name).parent.mkdir(exist_ok=True)
        (project / "data" / name).write_bytes(b"")
    assert unknown_files() == ["planetoid/notes"]


def test_dvc_ignores_what_is_not_listed() -> None:
    assert (CHECKOUT / ".dvcignore").read_text() == ignored_by_dvc(known_files())


def test_stray_files_change_nothing_that_dvc_records(
    dvc_project: Path, raw_files: Path, write_list: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dvc_project)
    shutil.copytree(raw_files, dvc_project / "data")
    (dvc_project / "data" / "mine").mkdir()
    (dvc_project / "data" / "mine" / "a [b]*.npz").write_bytes(b"listed")
    write_list(dvc_project)
    (dvc_project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"look": {"cmd": "true", "deps": ["data"]}}}))
    recorded = [dvc_project / "data.dvc", dvc_project / "dvc.lock"]
    with Repo(str(dvc_project)) as repo:
        repo.add("data")
        repo.reproduce()
        before = [path.read_text() for path in recorded]
        assert all("nfiles: 18" in text for text in before)
        for name in (".DS_Store", "planetoid/._ind.cora.x", "planetoid/ind.own.x", "mine/a b.npz", "more/own.npz"):
            (dvc_project / "data" / name).parent.mkdir(exist_ok=True)
            (dvc_project / "data" / name).write_bytes(b"stray")
        assert repo.status() == {}
        repo.reproduce()
        assert [path.read_text() for path in recorded] == before
        for name in ("src/depthlab/graph/.DS_Store", "src/depthlab/data/._fetch.py"):
            assert repo.dvcignore.is_ignored_file(str(dvc_project / name))
        assert not repo.dvcignore.is_ignored_file(str(dvc_project / "src" / "depthlab" / "data" / "fetch.py"))
