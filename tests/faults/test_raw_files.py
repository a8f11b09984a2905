"""Raw files: flipped bits in a mirror and in data/, and a command that is killed while it copies."""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from depthlab.config.errors import UserError
from depthlab.data.fetch import fetch, mirror
from depthlab.data.raw import raw_paths
from depthlab.data.raw_files import known_files
from tests.faults.conftest import Tally
from tests.settings import dataset_settings

FLIPS, KILLS = 100, 12


def _flip(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def test_flipped_bits(project: Path, tmp_path: Path, tally: Tally) -> None:
    draw = random.Random(0)
    names = [name for name in known_files() if "cora" in name]
    for _ in range(FLIPS):
        name = draw.choice(names)
        original = (project / "data" / name).read_bytes()
        folder = tmp_path / "mirror"
        shutil.copytree(project / "data", folder)
        _flip(folder / name, draw)
        (project / "data" / name).unlink()
        try:
            fetch(names, [mirror(str(folder))])
            tally("flipped bit in a mirror", False)
        except UserError as error:
            tally("flipped bit in a mirror", "does not match" in str(error) and not (project / "data" / name).exists())
        (project / "data" / name).write_bytes(original)
        _flip(project / "data" / name, draw)
        try:
            raw_paths(dataset_settings(name="cora", files=names))
            tally("flipped bit in data/", False)
        except UserError as error:
            tally("flipped bit in data/", "corrupt" in str(error))
        (project / "data" / name).write_bytes(original)
        shutil.rmtree(folder)


def test_killed_while_it_copies(
    clone: Path, raw_files: Path, write_list: Callable[[Path], None], environment: dict[str, str], tally: Tally
) -> None:
    shutil.copytree(raw_files, clone / "data")
    for name in ("wisconsin", "chameleon_filtered", "minesweeper"):
        path = clone / "data" / "heterophilous" / f"{name}.npz"
        path.write_bytes(random.Random(name).randbytes(4 << 20))
    write_list(clone)
    shutil.move(clone / "data", clone / "mirror")
    command = [sys.executable, "-m", "src.fetch"]
    surroundings = {**environment, "DEPTHLAB_MIRROR": str(clone / "mirror")}
    for attempt in range(KILLS):
        shutil.rmtree(clone / "data", ignore_errors=True)
        process = subprocess.Popen(command, cwd=clone, env=surroundings, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not (clone / "data").exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.01 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = subprocess.run(command, cwd=clone, env=surroundings, capture_output=True, text=True)
        original = {path.relative_to(clone / "mirror"): path.read_bytes() for path in _files(clone / "mirror")}
        found = {path.relative_to(clone / "data"): path.read_bytes() for path in _files(clone / "data")}
        tally("kill while raw files are copied", done.returncode == 0 and found == original)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
