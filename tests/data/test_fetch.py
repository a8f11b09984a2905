"""Where raw files come from: data/ itself, a mirror as a folder or address, an upstream server; all on this machine."""

import hashlib
import json
import resource
import shutil
import socket
import sys
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from depthlab.config.errors import UnavailableError, UserError
from depthlab.data import fetch as module
from depthlab.data import raw_files as listing
from depthlab.data.fetch import DATASETS, SOURCES, fetch, files_of, mirror, upstream
from depthlab.data.raw_files import UNKNOWN, known_files
from depthlab.folders import CHECKOUT, root

X, TEXAS = "planetoid/ind.cora.x", "heterophilous/texas.npz"
CONTENT = {X: b"features of cora", "planetoid/ind.cora.graph": b"edges of cora", TEXAS: b"texas"}
EVIL = "../src/depthlab/graph/__init__.py"


class _Server(SimpleHTTPRequestHandler):
    """Hands out files, and keeps the user, password and path of each request."""

    seen: set[tuple[str, str]] = set()  # noqa: RUF012

    def do_GET(self) -> None:
        user = b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        self.seen.add((user, self.path))
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Threads(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of a client that goes away."""


Serve = Callable[[Path], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that hands out a folder, and returns its address."""
    servers = []

    def start(folder: Path) -> str:
        server = _Threads(("127.0.0.1", 0), partial(_Server, directory=str(folder)))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder with the files where upstream has them."""
    for name, content in CONTENT.items():
        first, _, rest = name.partition("/")
        path = tmp_path / "published" / SOURCES[first] / rest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "published"


@pytest.fixture
def closed() -> str:
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def bare(tmp_path: Path, write_list: Callable[[Path], None], use_root: Callable[[Path], Path]) -> Path:
    """A project that knows three raw files and has them."""
    root = use_root(tmp_path / "bare")
    _write(root / "data")
    write_list(root)
    (root / "src" / "graph").mkdir()
    (root / "src" / "graph" / "__init__.py").write_text("honest")
    return root


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory, dvc_template: Path, dvc: Callable[..., None]) -> Path:
    """A DVC remote that holds the files. Copy before use."""
    project = Path(shutil.copytree(dvc_template, tmp_path_factory.mktemp("pushed") / "project"))
    _write(project / "data")
    dvc(project, "add", "-q", "data")
    dvc(project, "push", "-q")
    return project / "remote"


@pytest.fixture
def mirrored(tmp_path: Path, pushed: Path) -> Callable[[str], Path]:
    """A folder of the files in the form of data/ or of a DVC remote."""

    def make(form: str) -> Path:
        folder = tmp_path / "mirror" / form
        if form == "remote":
            return Path(shutil.copytree(pushed, folder))
        _write(folder)
        return folder

    return make


def _write(data: Path) -> None:
    for name, content in CONTENT.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(content)


def _found(root: Path) -> dict[str, bytes]:
    data = root / "data"
    return {p.relative_to(data).as_posix(): p.read_bytes() for p in data.rglob("*") if p.is_file()}


def test_default_datasets_are_those_of_the_prepare_stage() -> None:
    stages = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())["stages"]
    assert list(DATASETS) == stages["prepare"]["matrix"]["dataset"]


def test_data_dvc_records_the_listed_files() -> None:
    known = known_files()
    entries = [{"md5": known[name].md5, "relpath": name} for dataset in DATASETS for name in files_of(dataset)]
    tree = json.dumps(sorted(entries, key=lambda entry: entry["relpath"]), sort_keys=True)  # DVC's hash of a folder
    (out,) = yaml.safe_load((CHECKOUT / "data.dvc").read_text())["outs"]
    assert out["md5"] == f"{hashlib.md5(tree.encode()).hexdigest()}.dir"


def test_already_there(bare: Path, closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "lock_of", None)  # a folder that is read-only will do
    assert fetch(CONTENT, [upstream(closed)]) == "already there"


@pytest.mark.parametrize("where", ["folder", "address"])
@pytest.mark.parametrize("form", ["tree", "remote"])
def test_from_a_mirror(
    bare: Path, mirrored: Callable[[str], Path], serve: Serve, closed: str, where: str, form: str
) -> None:
    shutil.rmtree(bare / "data")
    root = serve(mirrored(form)) if where == "address" else str(mirrored(form))
    assert fetch(CONTENT, [mirror(root), upstream(closed)]) == f"DEPTHLAB_MIRROR={root}"
    assert _found(bare) == CONTENT


def test_a_file_that_the_mirror_lacks_comes_from_upstream(
    bare: Path, mirrored: Callable[[str], Path], serve: Serve, published: Path
) -> None:
    shutil.rmtree(bare / "data")
    folder, address = mirrored("tree"), serve(published)
    (folder / X).unlink()
    assert fetch(CONTENT, [mirror(f"{folder}/"), upstream(address)]) == f"DEPTHLAB_MIRROR={folder}/, {address}"
    assert _found(bare) == CONTENT


def test_a_mirror_that_does_not_answer(bare: Path, serve: Serve, published: Path, closed: str) -> None:
    shutil.rmtree(bare / "data")
    address = serve(published)
    assert fetch(CONTENT, [mirror(closed), upstream(address)]) == address
    assert _found(bare) == CONTENT


def test_one_file_beside_a_user_file(bare: Path, serve: Serve, published: Path) -> None:
    (bare / "data" / X).unlink()
    (bare / "data" / "planetoid" / "own.txt").write_bytes(b"mine")
    address = serve(published)
    assert fetch(CONTENT, [upstream(address)]) == address
    assert _found(bare) == CONTENT | {"planetoid/own.txt": b"mine"}


def _attack(folder: Path) -> None:
    """Everything that could bring a file to a place outside data/, for whoever believes what lies in the folder."""
    evil = b"print('it ran')"
    md5 = hashlib.md5(evil).hexdigest()
    entries = [{"md5": md5, "relpath": EVIL}]
    for path in folder.rglob("*.dir"):
        entries += json.loads(path.read_text())
        path.chmod(0o644)
        path.write_text(json.dumps(entries))
    for name in (f"files/md5/{md5[:2]}/{md5[2:]}", EVIL):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(evil)


@pytest.mark.parametrize("where", ["folder", "address"])
@pytest.mark.parametrize("form", ["tree", "remote"])
def test_a_hostile_mirror_writes_nothing_outside_data(
    bare: Path, mirrored: Callable[[str], Path], serve: Serve, closed: str, where: str, form: str
) -> None:
    shutil.rmtree(bare / "data")
    folder = mirrored(form)
    _attack(folder)
    before = {path: path.read_bytes() for path in bare.rglob("*") if path.is_file()}
    fetch(CONTENT, [mirror(serve(folder) if where == "address" else str(folder)), upstream(closed)])
    after = {path: path.read_bytes() for path in bare.rglob("*") if path.is_file()}
    brought = {bare / "data" / name: content for name, content in CONTENT.items()}
    assert after == before | brought | {bare / "data.lock": b""}


@pytest.mark.parametrize("where", ["data.dvc", "dataset", "list"])
def test_a_name_that_leads_out_of_data_is_refused(
    bare: Path, tmp_path: Path, mirrored: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    folder = mirrored("tree")
    _attack(folder)
    shutil.rmtree(bare / "data")
    (bare / "src" / "graph" / "__init__.py").unlink()  # so that it is missing, and wanted
    if where == "data.dvc":
        (bare / "data.dvc").write_text(yaml.safe_dump({"outs": [], "meta": {"files": {EVIL: "0" * 32}}}))
        fetch(CONTENT, [mirror(str(folder))])
    elif where == "dataset":
        _conf(tmp_path, monkeypatch, "own", [EVIL])
        with pytest.raises(UserError, match=r"^data/\.\./src/depthlab/graph/__init__\.py is not in raw_files\.tsv"):
            fetch(files_of("own"), [mirror(str(folder))])
    else:
        row = (EVIL, str((folder / EVIL).stat().st_size), listing.git_blob(folder / EVIL), UNKNOWN, UNKNOWN)
        with listing.LIST.open("a") as file:
            file.write("\t".join(row) + "\n")
        with pytest.raises(UserError, match="is not valid: restore the file"):
            fetch([EVIL], [mirror(str(folder))])
    assert not (bare / "src" / "graph" / "__init__.py").exists()


def _conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, files: object) -> None:
    (tmp_path / "conf" / "dataset").mkdir(parents=True, exist_ok=True)
    (tmp_path / "conf" / "dataset" / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "files": files}))
    monkeypatch.setattr("depthlab.config.files.CONF", tmp_path / "conf")


@pytest.mark.parametrize("content", [b"other", b"", b"texas and more", b"texaS"])
@pytest.mark.parametrize("source", ["folder", "address", "remote", "upstream"])
def test_wrong_content_is_not_taken(bare: Path, serve: Serve, published: Path, source: str, content: bytes) -> None:
    shutil.move(bare / "data", bare / "tree")
    (bare / "tree" / TEXAS).write_bytes(content)
    (published / SOURCES["heterophilous"] / "texas.npz").write_bytes(content)
    md5 = known_files()[TEXAS].md5
    (bare / "remote" / "files" / "md5" / md5[:2]).mkdir(parents=True)
    (bare / "remote" / "files" / "md5" / md5[:2] / md5[2:]).write_bytes(content)
    sources = {
        "folder": lambda: mirror(str(bare / "tree")),
        "address": lambda: mirror(serve(bare / "tree")),
        "remote": lambda: mirror(str(bare / "remote")),
        "upstream": lambda: upstream(serve(published)),
    }
    with pytest.raises(UserError, match=rf"^{TEXAS} from .* does not match raw_files\.tsv: it is not used$"):
        fetch([TEXAS], [sources[source](), upstream(serve(published))])
    assert _found(bare) == {}


def test_a_file_known_by_its_git_hash_alone(bare: Path, serve: Serve, published: Path) -> None:
    lines = listing.LIST.read_text().splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    listing.LIST.write_text("\n".join([lines[0], *("\t".join([row[0], "-", row[2], "-", "-"]) for row in rows), ""]))
    shutil.rmtree(bare / "data")
    fetch([X], [upstream(serve(published))])
    assert _found(bare) == {X: CONTENT[X]}
    (published / SOURCES["heterophilous"] / "texas.npz").write_bytes(b"taxes")
    with pytest.raises(UserError, match="does not match"):
        fetch([TEXAS], [upstream(serve(published))])


def test_an_answer_without_end_is_cut(
    bare: Path, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(bare / "data")
    (tmp_path / "endless" / "planetoid").mkdir(parents=True)
    (tmp_path / "endless" / X).write_bytes(bytes(1 << 22))
    written = []

    def matches(file: listing.RawFile, path: Path) -> bool:
        written.append(path.stat().st_size)
        return False

    monkeypatch.setattr(listing.RawFile, "matches", matches)
    with pytest.raises(UserError, match="does not match"):
        fetch([X], [mirror(serve(tmp_path / "endless"))])
    assert written == [module.CHUNK]


@pytest.mark.parametrize("how", ["closed port", "not found", "no source of it"])
def test_no_source_has_the_file(bare: Path, serve: Serve, published: Path, closed: str, how: str) -> None:
    (bare / "data" / X).unlink()
    shutil.rmtree(published / SOURCES["planetoid"])
    sources = {"closed port": [upstream(closed)], "not found": [upstream(serve(published))], "no source of it": []}[how]
    with pytest.raises(UnavailableError, match=rf"^data/{X} is missing, .*set DEPTHLAB_MIRROR .*dataset=digits$"):
        fetch(CONTENT, sources)
    assert _found(bare) == {name: content for name, content in CONTENT.items() if name != X}


@pytest.mark.parametrize("others", ["there", "missing"])
def test_a_corrupt_file_is_named_and_left_as_it_is(bare: Path, serve: Serve, published: Path, others: str) -> None:
    for name in (X, TEXAS):
        (bare / "data" / name).write_bytes(b"edited")
    if others == "missing":
        (bare / "data" / "planetoid" / "ind.cora.graph").unlink()
    before = _found(bare)
    with pytest.raises(UserError, match=r"corrupt or were edited .*: delete them and run `depthlab fetch`$") as found:
        fetch(CONTENT, [upstream(serve(published))])
    assert f"data/{X}" in str(found.value) and f"data/{TEXAS}" in str(found.value)
    assert _found(bare) == before


@pytest.mark.parametrize(
    ("root", "sentence"),
    [
        ("s3://user:secret@bucket/x", r"must be a folder or an http\(s\) address, got s3://user:\*\*\*@bucket/x$"),
        ("file:///tmp", r"must be a folder or an http\(s\) address, got file:///tmp$"),
        ("user:secret@host/x", r"names \*\*\*, which is not a folder: correct or unset it$"),
        ("http://user:sec@ret@host/x", r"=http://\*\*\*@host/x: in the user, password, .* write %40 for @"),
        ("/nowhere/at all", r"names /nowhere/at all, which is not a folder"),
    ],
)
def test_a_mirror_that_is_none(root: str, sentence: str) -> None:
    with pytest.raises(UserError, match=f"^DEPTHLAB_MIRROR ?{sentence}"):
        mirror(root)


def test_the_password_of_a_mirror_is_used_and_not_printed(
    bare: Path, serve: Serve, closed: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.move(bare / "data", bare / "tree")
    address = serve(bare / "tree").replace("http://", "http://me:p%40ss@") + "/?token=t0ken"
    _main(monkeypatch, closed, address)
    (bare / "tree" / TEXAS).unlink()
    (bare / "data" / TEXAS).unlink()
    assert _main(monkeypatch, closed, address) == 3
    assert ("me:p@ss", f"/{X}?token=t0ken") in _Server.seen
    printed = "".join(capfd.readouterr())
    assert "***@127.0.0.1" in printed and "p%40ss" not in printed and "p@ss" not in printed and "t0ken" not in printed


def _main(monkeypatch: pytest.MonkeyPatch, address: str, own: str = "", *arguments: str) -> Any:
    """The exit code, or the sentence that Python prints for exit code 1, of the command for the three files."""
    monkeypatch.setattr(module, "DATASETS", ("small",))
    monkeypatch.setattr(module, "upstream", lambda: upstream(address))
    monkeypatch.setattr(sys, "argv", ["fetch", *arguments])
    monkeypatch.setenv("DEPTHLAB_MIRROR", own)
    _conf(root(), monkeypatch, "small", list(CONTENT))
    _conf(root(), monkeypatch, "texas", [TEXAS])
    _conf(root(), monkeypatch, "digits", None)
    _conf(root(), monkeypatch, "wrong", [1])
    try:
        module.main()
    except SystemExit as error:
        return error.code
    return 0


def test_main_with_everything_there(
    bare: Path, closed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (bare / "data" / ".DS_Store").write_bytes(b"")
    assert _main(monkeypatch, closed) == 0
    assert capsys.readouterr().out == "data: 3 raw files are verified (already there)\n"
    for number in range(6):
        (bare / "data" / f"notes{number}").write_bytes(b"")
    assert _main(monkeypatch, closed) == 0
    assert capsys.readouterr().out.splitlines()[1] == (
        "data: notes0, notes1, notes2, notes3, notes4 and 1 more: not listed in raw_files.tsv, left as is, ignored by"
        " DVC"
    )


@pytest.mark.parametrize("dataset", ["texas", "digits"])
def test_main_for_one_dataset(
    bare: Path, serve: Serve, published: Path, monkeypatch: pytest.MonkeyPatch, dataset: str
) -> None:
    shutil.rmtree(bare / "data")
    assert _main(monkeypatch, serve(published), "", "--dataset", dataset) == 0
    assert _found(bare) == ({TEXAS: CONTENT[TEXAS]} if dataset == "texas" else {})


@pytest.mark.parametrize("name", ["csv", "csbm"])
def test_main_for_a_dataset_without_files(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fetch", "--dataset", name])
    module.main()
    expected = f"data: {name} has no files to fetch: it is generated, or read from dataset.path\n"
    assert capsys.readouterr().out == expected


def test_main_with_something_to_mend(bare: Path, closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "error: there is no dataset {}: choose one of digits, small, texas, wrong"
    for name in ("foo", "../dataset/texas"):
        assert _main(monkeypatch, closed, "", "--dataset", name) == wrong.format(name)
    assert _main(monkeypatch, closed, "", "--dataset", "wrong") == (
        "error: conf/dataset/wrong.yaml: files must be a list of names below data/"
    )
    (bare / "data" / X).write_bytes(b"edited")
    assert str(_main(monkeypatch, closed)).startswith(f"error: data/{X} is corrupt")


def test_on_a_full_disk(bare: Path, mirrored: Callable[[str], Path], no_room: None) -> None:
    shutil.rmtree(bare / "data")
    folder = mirrored("tree")
    (folder / X).write_bytes(bytes(1024))  # a file's limit; now it is lower, with room for what is printed
    resource.setrlimit(resource.RLIMIT_FSIZE, (800, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with pytest.raises(OSError, match="File too large") as found:
        fetch(CONTENT, [mirror(str(folder))])
    assert found.value.filename == str(bare / "data" / X)
    assert _found(bare) == {}


def test_main_with_nothing_reachable(
    bare: Path, closed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (bare / "data" / X).unlink()
    assert _main(monkeypatch, closed) == 3
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert line.startswith(f"error: data/{X} is missing, and no source has it or can be reached ({closed}): copy")
