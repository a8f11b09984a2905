"""The list of raw files with their hashes, `raw_files.tsv`.

    depthlab trust data/mine/graph.npz     add a file that you trust

The list is part of the program, so that no mirror, DVC remote or data.dvc can change which files are read or written.
If the program is installed, files that the user trusts are listed in `raw_files.tsv` in the user's folder of yaml
files.
"""

import hashlib
import re
import sys
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from depthlab import folders
from depthlab.config.errors import UserError
from depthlab.config.files import user_folder
from depthlab.files import md5, sha256, write_text
from depthlab.folders import INSTALLED

LIST = Path(__file__).with_name("raw_files.tsv")
HEADER = "path\tbytes\tgit_blob\tmd5\tsha256"
UNKNOWN = "-"
JUNK = (".DS_Store", "._*", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints", "__pycache__", "*~", ".*.sw?")


@dataclass(frozen=True)
class RawFile:
    """A raw file, in the order of the list's columns.

    Attributes:
        name: path below the data folder.
        size: bytes, as digits; "-" if unknown, also in `md5` and `sha256`.
        git_blob: Git's hash of the content, the SHA-1 of "blob SIZE", a zero byte and the content.
        md5: the hash under which DVC stores the file.
        sha256: hash of the content.
    """

    name: str
    size: str
    git_blob: str
    md5: str
    sha256: str

    @property
    def path(self) -> Path:
        """The path in the data folder."""
        return folders.data() / self.name

    def matches(self, path: Path) -> bool:
        """Whether a file has this content: by SHA-256, or by Git's hash if that is unknown."""
        return git_blob(path) == self.git_blob if self.sha256 == UNKNOWN else sha256(path) == self.sha256


def git_blob(path: Path) -> str:
    """The hash under which Git stores a file's content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def known_files() -> dict[str, RawFile]:
    """The program's list and the user's, by name; the program's takes precedence.

    Raises:
        UserError: a line is malformed, or its path points outside the data folder.
    """
    return _read(user_folder() / LIST.name) | _read(LIST)


def _read(path: Path) -> dict[str, RawFile]:
    if not path.is_file():
        return {}
    header, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    files = {}
    for number, line in enumerate(lines, start=2):
        columns = line.split("\t")
        if header != HEADER or len(columns) != 5 or not stays_below(columns[0]):
            raise UserError(f"line {number} of {path} is not valid: restore the file with `git checkout {path.name}`")
        files[columns[0]] = RawFile(*columns)
    return files


def stays_below(name: str) -> bool:
    """Whether a relative path stays inside its folder, on any operating system."""
    return not ({"", ".", ".."} & set(name.split("/")) or {"\\", ":", "\0"} & set(name))


def listed(names: Iterable[str]) -> list[RawFile]:
    """Entries of the list; raises UserError for a name that is not in it."""
    names, known = list(names), known_files()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(
            f"data/{unknown[0]} is not in {LIST.name}, so it cannot be verified: if you trust the file, add it"
            f" with `depthlab trust data/{unknown[0]}`"
        )
    return [known[name] for name in names]


def verify(files: Iterable[RawFile]) -> None:
    """Raise UserError that names the files of the data folder whose content differs from the list."""
    wrong = [f"data/{file.name}" for file in files if not file.matches(file.path)]
    if wrong:
        what, them = ("is corrupt or was", "it") if len(wrong) == 1 else ("are corrupt or were", "them")
        raise UserError(
            f"{', '.join(wrong)} {what} edited (by the hash in {LIST.name}): delete {them} and run `depthlab fetch`"
        )


def unknown_files() -> list[str]:
    """Files in the data folder that are not in the list, without temporary files of file managers and editors."""
    known = known_files()
    data = folders.data()
    names = (path.relative_to(data) for path in sorted(data.rglob("*")) if path.is_file())
    others = [name for name in names if name.as_posix() not in known]
    return [name.as_posix() for name in others if not any(fnmatch(part, junk) for part in name.parts for junk in JUNK)]


def add(paths: Iterable[Path]) -> None:
    """Add files of the data folder to the list, or change their hashes in it, and remove them from what DVC ignores.

    Raises:
        UserError: a file does not exist, or is not in the data folder.
    """
    target = user_folder() / LIST.name if INSTALLED else LIST
    files, data = _read(target), folders.data().resolve()
    for path in paths:
        if not path.is_file() or not path.resolve().is_relative_to(data):
            raise UserError(f"{path} is not a file in data/: copy it there first")
        name = path.resolve().relative_to(data).as_posix()
        if not stays_below(name):
            raise UserError(f"{path} has a backslash or colon in its name: rename it")
        files[name] = RawFile(name, str(path.stat().st_size), git_blob(path), md5(path), sha256(path))
    write_text(target, "".join("\t".join(row) + "\n" for row in (HEADER.split("\t"), *map(astuple, files.values()))))
    if not INSTALLED:
        write_text(folders.root() / ".dvcignore", ignored_by_dvc(files))


def ignored_by_dvc(names: Iterable[str]) -> str:
    """The content of .dvcignore, so that a stray file does not change a hash that DVC records."""
    names = sorted(names)
    folders = sorted({parent.as_posix() for name in names for parent in PurePosixPath(name).parents} - {"."})
    lines = ["# Written by src/depthlab/data/raw_files.py: temporary files of file managers and editors,", *JUNK]
    lines += ["# and everything in data/ but the files in src/depthlab/data/raw_files.tsv.", "/data/*"]
    for folder in map(_escaped, folders):
        lines += [f"!/data/{folder}", f"/data/{folder}/*"]
    return "\n".join([*lines, *(f"!/data/{_escaped(name)}" for name in names), ""])


def _escaped(name: str) -> str:
    return re.sub(r"[*?\[\] ]", r"\\\g<0>", name)


def command() -> None:
    """Add the files named on the command line; ends the process."""
    try:
        add(map(Path, sys.argv[1:]))
        print(f"{LIST.name} has {len(known_files())} files")
    except UserError as error:
        sys.exit(f"error: {error}")
