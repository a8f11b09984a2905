"""Tab completion: what is offered, and the scripts in the real shells."""

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import sys
import termios
import time
from pathlib import Path

import pytest

from depthlab.__main__ import COMMANDS
from depthlab.completion import SCRIPTS, candidates
from depthlab.config.files import CONFIG_DIR
from depthlab.folders import SOURCE

OFFERED = [
    ("tr", ["train", "trust"]),
    ("train model=gcn", ["model=gcn", "model=gcnii"]),
    ("train mod", ["model.alpha=", "model.identity_map=", "model.star=", "model.theta=", "model="]),
    ("train model=appnp model.", ["model.alpha="]),
    ("train norm=", ["norm=batch", "norm=layer", "norm=none", "norm=pair"]),
    ("train progress=t", ["progress=true"]),
    ("train model.star=", ["model.star=false", "model.star=true"]),
    ("train like=no", ["like=none"]),
    ("study model=gcn,gcni", ["model=gcn,gcnii"]),
    ("study study=qu", ["study=quick"]),
    ("study backend=", ["backend=dask", "backend=processes"]),
    ("prepare d", [f"dataset.{key}=" for key in ("metric", "normalize_features", "split", "task")] + ["dataset="]),
    ("rewire rewiring=fos", ["rewiring=fosr"]),
    ("sweep sampler=g", ["sampler=gp", "sampler=grid"]),
    ("report study=qu", ["study=quick"]),
    ("fetch --dataset pub", ["pubmed"]),
    ("ui --p", ["--port"]),
    ("predict ", ["--config-dir", "--help", "data=", "out=", "run=", "tracking.uri="]),
    ("examine model=gcn", ["model=gcn", "model=gcnii"]),
    ("examine fig", ["figure="]),
    ("completion ", ["--help", "bash", "fish", "zsh"]),
    ("train nothing=", []),
    ("nothing ", ["--help"]),
]


@pytest.mark.parametrize(("line", "expected"), OFFERED, ids=[line for line, _ in OFFERED])
def test_what_is_offered(line: str, expected: list[str]) -> None:
    assert candidates(line.split(" ")) == expected


def test_every_command_is_offered() -> None:
    assert candidates([""]) == sorted([*COMMANDS, "--help", "--version"])


@pytest.mark.parametrize("form", [["--config-dir", "{}"], ["--config-dir={}"]])
def test_folders_for_config_dir(tmp_path: Path, form: list[str]) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own.yaml").touch()
    typed = [word.format(tmp_path / "o") for word in form]
    assert candidates(["train", *typed]) == [form[-1].format(f"{tmp_path}/own/")]


def test_options_of_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_DIR, "")
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "pubmine.yaml").touch()
    assert candidates(["train", "--config-dir", str(tmp_path), "dataset=pub"]) == ["dataset=pubmed", "dataset=pubmine"]


def test_files_for_a_path(tmp_path: Path) -> None:
    (tmp_path / "graph.npz").touch()
    assert candidates(["train", f"dataset.path={tmp_path}/g"]) == [f"dataset.path={tmp_path}/graph.npz"]


INTERACTIVE = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"], "fish": ["--no-config", "-i"]}
SETUP = {name: f'eval "$(depthlab completion {name})"' for name in ("bash", "zsh")}
SETUP["fish"] = "depthlab completion fish | source"


@pytest.mark.slow
@pytest.mark.parametrize("shell", list(SCRIPTS))
def test_the_tab_key(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "depthlab").write_text(f'#!/bin/sh\nexec {sys.executable} -m depthlab "$@"\n')
    (tmp_path / "bin" / "depthlab").chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(SOURCE), "HOME": str(tmp_path), "TERM": "dumb"}
    process, terminal = pty.fork()
    if process == 0:
        os.execve(program, [program, *INTERACTIVE[shell]], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 500, 0, 0))  # no line is wrapped
    try:
        _type(terminal, f"{SETUP[shell]}; echo set''up\n", "setup")
        _type(terminal, "depthlab sw\t", "depthlabsweep")
        _type(terminal, "model=graphc\t", "model=graphcon")
        _type(terminal, "recipe=publ\t", "recipe=published")
        _type(terminal, "drop_edge.per\t", "drop_edge.per_layer=")
        _type(terminal, f"true --config-dir {tmp_path}/b\t", f"{tmp_path}/bin/")
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)
        os.close(terminal)


def _type(terminal: int, keys: str, expected: str) -> None:
    """Press keys; fails unless the terminal shows what is expected within a minute.

    Control characters and white space do not count: shells move the cursor, and a space that is missing shows in what
    is typed next.
    """
    os.write(terminal, keys.encode())
    shown, end = "", time.monotonic() + 60
    while expected not in re.sub(r"\x1b\[[\d;?]*[a-zA-Z]|[\s\x00-\x1f]", "", shown):
        assert time.monotonic() < end, shown
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
