"""data.dvc as the integrity manifest of the raw files: which files, which MD5.

DVC's own entry in data.dvc is one hash, that of a JSON list of all files and their MD5s. The same list stands below
`meta.files`, a part of the file that DVC keeps and never reads; it is believed only if it gives DVC's hash.

    python -m src.data.manifest      record what lies in data/ now (`dvc add data`, then the list)
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from src.config import ROOT
from src.errors import UserError
from src.files import write_text
from src.yaml_files import read_mapping

DATA = ROOT / "data"
MANIFEST = ROOT / "data.dvc"


def md5(path: Path) -> str:
    """MD5 of a file's content, as DVC counts it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


@dataclass(frozen=True)
class Manifest:
    """The raw files that belong to this version of the project.

    Attributes:
        files: MD5 by path relative to the data folder.
        data: the data folder.
    """

    files: dict[str, str]
    data: Path

    @staticmethod
    def load(path: Path | None = None, data: Path | None = None) -> "Manifest":
        """Read data.dvc; raises UserError if it is missing or its list does not give DVC's hash."""
        path, data = path or MANIFEST, data or DATA
        if not path.is_file():
            raise UserError(f"{path.name} is missing: restore it with `git checkout {path.name}`")
        try:
            content = read_mapping(path)
            recorded = content["outs"][0]["md5"].removesuffix(".dir")
            files = dict(content["meta"]["files"])
        except (UserError, KeyError, TypeError, IndexError, AttributeError, ValueError):
            raise UserError(
                f"{path.name} has no list of files: restore it with `git checkout {path.name}`,"
                " or record data/ anew with `python -m src.data.manifest`"
            ) from None
        if tree_md5(files) != recorded:
            raise UserError(
                f"the list of files in {path.name} does not give its own hash: restore it with"
                f" `git checkout {path.name}`, or record data/ anew with `python -m src.data.manifest`"
            )
        return Manifest(files, data)

    def missing(self) -> list[str]:
        """Files of the manifest that are not there."""
        return [name for name in self.files if not (self.data / name).is_file()]

    def verify(self, name: str) -> Path:
        """The path of a raw file whose content matches; raises UserError for any other."""
        path = self.data / name
        if not path.is_file():
            raise UserError(f"data/{name} is missing: run `make data`")
        if name not in self.files:
            raise UserError(
                f"data/{name} is not in data.dvc, so it cannot be verified:"
                " if you trust it, record it with `python -m src.data.manifest`"
            )
        self.compare([name])
        return path

    def compare(self, names: Iterable[str]) -> None:
        """Raise UserError for those of these files, all of them there, whose content does not match."""
        wrong = [f"data/{name}" for name in names if md5(self.data / name) != self.files[name]]
        if wrong:
            what, them = ("is corrupt or was", "it") if len(wrong) == 1 else ("are corrupt or were", "them")
            raise UserError(
                f"{', '.join(wrong)} {what} edited (by the MD5 in data.dvc): delete {them} and run `make data`"
            )


def tree_md5(files: dict[str, str]) -> str:
    """DVC's hash of a folder: the MD5 of the JSON list of its files, sorted by path."""
    entries = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def record(root: Path = ROOT) -> Manifest:
    """`dvc add data`, then write the list of files beside DVC's hash."""
    data, path = root / "data", root / "data.dvc"
    done = _dvc(root, "add", "-q", "data")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["is there a folder data/?"])[-1]
        raise UserError(f"`dvc add data` failed: {reason}")
    content = read_mapping(path)
    listing = Path(_dvc(root, "cache", "dir").stdout.strip()) / "files" / "md5"
    recorded = content["outs"][0]["md5"]
    entries = json.loads((listing / recorded[:2] / recorded[2:]).read_text())  # DVC's own list: it knows .dvcignore
    content["meta"] = {"files": {entry["relpath"]: entry["md5"] for entry in entries}}
    write_text(path, yaml.safe_dump(content, sort_keys=False))
    return Manifest.load(path, data)


def _dvc(root: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "dvc", *command], cwd=root, capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    try:
        print(f"data.dvc now lists {len(record().files)} files")
    except UserError as error:
        sys.exit(f"error: {error}")
