"""Where raw files come from: data/ itself, a DVC remote, an upstream server; all of them on this machine."""

import hashlib
import resource
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from src.data import fetch as module
from src.data.fetch import SOURCES, fetch, fetch_dataset
from src.data.manifest import Manifest, record
from src.errors import UnavailableError, UserError

X, TEXAS = "planetoid/ind.cora.x", "heterophilous/texas.npz"
CONTENT = {X: b"features of cora", "planetoid/ind.cora.graph": b"edges of cora", TEXAS: b"texas"}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder that a server hands out, and its address; it holds the files where upstream has them."""
    folder = tmp_path / "served"
    for name, content in CONTENT.items():
        first, _, rest = name.partition("/")
        path = folder / SOURCES[first] / rest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed() -> str:
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def bare(tmp_path: Path, write_manifest: Callable[[Path], object], use_root: Callable[[Path], Path]) -> Path:
    """A project whose manifest lists three files, with a data folder but no DVC."""
    root = use_root(tmp_path / "bare")
    _write(root)
    write_manifest(root)
    return root


@pytest.fixture
def pushed(dvc_project: Path, dvc: Callable[..., None], use_root: Callable[[Path], Path]) -> Path:
    """A project whose files lie in its DVC remote only."""
    _write(dvc_project)
    record(dvc_project)
    dvc(dvc_project, "push", "-q")
    shutil.rmtree(dvc_project / "data")
    shutil.rmtree(dvc_project / ".dvc" / "cache")
    return use_root(dvc_project)


def _write(root: Path) -> None:
    for name, content in CONTENT.items():
        (root / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "data" / name).write_bytes(content)


def _found(root: Path) -> dict[str, bytes]:
    data = root / "data"
    return {p.relative_to(data).as_posix(): p.read_bytes() for p in data.rglob("*") if p.is_file()}


def test_already_there(bare: Path, closed: str) -> None:
    assert fetch(Manifest.load(), bare, closed) == "already there"


def test_everything_from_the_remote(pushed: Path, closed: str) -> None:
    assert fetch(Manifest.load(), pushed, closed) == "the DVC remote"
    assert _found(pushed) == CONTENT


def test_one_file_from_the_remote_beside_a_file_of_ones_own(pushed: Path, closed: str) -> None:
    _write(pushed)
    (pushed / "data" / X).unlink()
    (pushed / "data" / "planetoid" / "own.txt").write_bytes(b"mine")
    assert fetch(Manifest.load(), pushed, closed) == "the DVC remote"
    assert _found(pushed) == CONTENT | {"planetoid/own.txt": b"mine"}


def test_remote_without_the_file_falls_back_to_upstream(pushed: Path, served: tuple[Path, str]) -> None:
    shutil.rmtree(pushed / "remote")
    assert fetch(Manifest.load(), pushed, served[1]) == "upstream"
    assert _found(pushed) == CONTENT


@pytest.mark.parametrize("missing", [[X], list(CONTENT)])
def test_upstream_without_a_remote(bare: Path, served: tuple[Path, str], missing: list[str]) -> None:
    for name in missing:
        (bare / "data" / name).unlink()
    assert fetch(Manifest.load(), bare, served[1]) == "upstream"
    assert _found(bare) == CONTENT
    assert not list(bare.glob(".fetch-*"))


def test_wrong_content_upstream_changes_nothing(bare: Path, served: tuple[Path, str]) -> None:
    shutil.rmtree(bare / "data")
    (served[0] / SOURCES["heterophilous"] / "texas.npz").write_bytes(b"other")
    with pytest.raises(UserError, match=rf"^{TEXAS} from .* does not match data\.dvc: nothing was changed"):
        fetch(Manifest.load(), bare, served[1])
    assert _found(bare) == {}
    assert not list(bare.glob(".fetch-*"))


@pytest.mark.parametrize("how", ["closed port", "not found"])
def test_unreachable_upstream(bare: Path, served: tuple[Path, str], closed: str, how: str) -> None:
    (bare / "data" / X).unlink()
    shutil.rmtree(served[0] / SOURCES["planetoid"])
    upstream = closed if how == "closed port" else served[1]
    with pytest.raises(UnavailableError, match=rf"{upstream} cannot be reached: .*dataset=digits$"):
        fetch(Manifest.load(), bare, upstream)
    assert _found(bare) == {name: content for name, content in CONTENT.items() if name != X}
    assert not list(bare.glob(".fetch-*"))


def test_all_corrupt_files_are_named(bare: Path, closed: str) -> None:
    for name in (X, TEXAS):
        (bare / "data" / name).write_bytes(b"other")
    with pytest.raises(UserError, match=r"corrupt or were edited .*: delete them and run `make data`$") as found:
        fetch(Manifest.load(), bare, closed)
    assert f"data/{X}" in str(found.value) and f"data/{TEXAS}" in str(found.value)


@pytest.mark.parametrize("others", ["there", "missing"])
def test_corrupt_file_is_left_as_it_is(bare: Path, served: tuple[Path, str], others: str) -> None:
    (bare / "data" / X).write_bytes(b"edited")
    if others == "missing":
        (bare / "data" / TEXAS).unlink()
    before = _found(bare)
    with pytest.raises(UserError, match=rf"^data/{X} is corrupt or was edited"):
        fetch(Manifest.load(), bare, served[1])
    assert _found(bare) == before


def _add_config(root: Path, name: str, files: list[str] | None) -> None:
    (root / "conf" / "dataset").mkdir(parents=True, exist_ok=True)
    content = {"name": name} | ({} if files is None else {"files": files})
    (root / "conf" / "dataset" / f"{name}.yaml").write_text(yaml.safe_dump(content))


def test_dataset_that_is_not_there(bare: Path, closed: str) -> None:
    _add_config(bare, "texas", [TEXAS])
    _add_config(bare, "cora", [X])
    with pytest.raises(UserError, match=r"^there is no dataset foo: choose one of cora, texas$"):
        fetch_dataset("foo", Manifest.load(), bare, closed)


def test_dataset_that_is_listed_or_generated(bare: Path, served: tuple[Path, str], closed: str) -> None:
    _add_config(bare, "texas", [TEXAS])
    _add_config(bare, "digits", None)
    (bare / "data" / TEXAS).unlink()
    fetch_dataset("digits", Manifest.load(), bare, closed)
    assert TEXAS not in _found(bare)
    before = (bare / "data.dvc").read_text()
    fetch_dataset("texas", Manifest.load(), bare, served[1])
    assert _found(bare) == CONTENT
    assert (bare / "data.dvc").read_text() == before


def test_dataset_that_is_not_listed_yet(pushed: Path, served: tuple[Path, str]) -> None:
    new = "heterophilous/actor.npz"
    _write(pushed)
    _add_config(pushed, "actor", [new])
    (served[0] / SOURCES["heterophilous"] / "actor.npz").write_bytes(b"actor")
    fetch_dataset("actor", Manifest.load(), pushed, served[1])
    assert _found(pushed) == CONTENT | {new: b"actor"}
    everything = CONTENT | {new: b"actor"}
    assert Manifest.load().files == {name: hashlib.md5(content).hexdigest() for name, content in everything.items()}


def _main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """The exit code, or the sentence that Python prints for exit code 1; DVC is left out."""
    monkeypatch.setattr(module, "_pull", lambda *_: False)
    monkeypatch.setattr(sys, "argv", ["fetch", *arguments])
    try:
        module.main()
    except SystemExit as error:
        return error.code
    return 0


def test_main_with_everything_there(
    bare: Path, closed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, "--upstream", closed) == 0
    assert capsys.readouterr().out == "data: 3 raw files match data.dvc (already there)\n"


def test_main_with_something_to_mend(bare: Path, closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare / "data" / X).write_bytes(b"edited")
    assert str(_main(monkeypatch, "--upstream", closed)).startswith(f"error: data/{X} is corrupt")
    assert str(_main(monkeypatch, "--dataset", "foo")).startswith("error: there is no dataset foo: choose one of actor")


def test_main_on_a_full_disk(
    bare: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, no_room: None
) -> None:
    (bare / "data" / X).unlink()
    (served[0] / SOURCES["planetoid"] / "ind.cora.x").write_bytes(bytes(1024))  # a file's limit; now it is lower
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    found = str(_main(monkeypatch, "--upstream", served[1]))
    assert found.startswith("error: cannot write a file, files may not become so large here")


def test_main_with_nothing_reachable(
    bare: Path, closed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (bare / "data" / X).unlink()
    assert _main(monkeypatch, "--upstream", closed) == 3
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert line.startswith("error: the raw files are not in data/")
