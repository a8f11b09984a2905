"""No password is printed, recorded, or shown in the list of processes, whatever the command."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tracking_server import Server, tracking_server

USER, PASSWORD = "someone", "p@ss/w0rd?hush"
FORMS = (PASSWORD, "p%40ss", "w0rd", "hush")
SMALL = (
    "dataset=csbm", "dataset.nodes=60", "model=gcn", "epochs=2", "trainer.threads=1", "progress=false", "measures=[]",
)  # fmt: skip


@pytest.fixture
def server(
    empty_store: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Server]:
    database = Path(shutil.copy(empty_store, tmp_path_factory.mktemp("server") / "served.db"))
    with tracking_server(database, monkeypatch, USER, PASSWORD) as running:
        yield running


def holding(folder: Path) -> list[str]:
    """Files that hold any form of the password, in their name or their bytes."""
    found = []
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if any(form.encode() in content or form in path.name for form in FORMS):
            found.append(str(path))
    return found


def arguments_of_children(process: "subprocess.Popen[str]") -> list[str]:
    """The command lines of all processes in the session of a command, without its own, which the user typed."""
    lines, own = [], Path(f"/proc/{process.pid}/cmdline").read_text()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            number = int(path.name)
            if number != process.pid and os.getsid(number) == process.pid:
                lines.append((path / "cmdline").read_text())
        except (OSError, ValueError):
            continue
    return [line for line in lines if line != own]  # a forked process that has not started has the same


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "typed"),
    [
        ("src.train", (*SMALL, "depth=2,3", "-m")),
        ("src.study", (*SMALL, "depth=2", "seed=0,1", "name=small", "jobs=2", "replicas=1")),
        ("src.sweep", (*SMALL, "depth=2", "lr=interval(0.01,0.02)", "trials=2", "seeds=1", "fresh=1", "jobs=1",
                       "storage=postgresql://someone:p%40ss%2Fw0rd%3Fhush@127.0.0.1:9/x")),
        ("src.sweep", (*SMALL, "depth=2", "lr=interval(0.01,0.02)", "trials=2", "seeds=1", "fresh=1", "jobs=2")),
        ("src.report", ("study=unknown",)),
        ("src.ui", ()),
    ],
)  # fmt: skip
def test_no_password_anywhere(
    module: str, typed: tuple[str, ...], server: Server, workshop: Path, environment: dict[str, str]
) -> None:
    address = (f"tracking.uri={server.address}",) if module != "src.ui" else ("--uri", server.address)
    process = subprocess.Popen(
        [sys.executable, "-m", module, *typed, *address], cwd=workshop, env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    seen: list[str] = []
    while True:
        try:
            said, _ = process.communicate(timeout=0.2)
            break
        except subprocess.TimeoutExpired:
            seen += arguments_of_children(process)
    assert not any(form in said for form in FORMS), said
    assert not any(form in line for line in seen for form in FORMS)
    assert holding(workshop) == []
    assert holding(Path(server.database).parent) == []
    if module in ("src.train", "src.study") or (module == "src.sweep" and not any("storage" in word for word in typed)):
        assert process.returncode == 0, said
        assert "http://***@127.0.0.1" in said or f"http://127.0.0.1:{server.port}/#" in said
    else:
        assert process.returncode == 1, said
        assert said.count("error: ") == 1
