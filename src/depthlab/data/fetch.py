"""Fetch the raw files: from the mirror in DEPTHLAB_MIRROR if it is set, else from upstream at a pinned commit.

    depthlab fetch                     the files of the datasets in dvc.yaml
    depthlab fetch --dataset pubmed    those of one dataset

A mirror is a folder or an http(s) address with the layout of data/ or of a DVC remote. Each file must match
`raw_files.tsv` before it is moved into data/. A file that is already in data/ is verified, and never changed.

Exit codes: 0 all files are there, 1 the user must correct something, 3 no source could be reached.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from depthlab.address import MASK, Address
from depthlab.cli import explain, guarded
from depthlab.config.command_line import Options
from depthlab.config.errors import UnavailableError, UserError
from depthlab.config.files import config_file, option_names
from depthlab.config.yaml_files import read_mapping
from depthlab.data.raw_files import UNKNOWN, RawFile, listed, unknown_files, verify
from depthlab.files import atomic_write, lock_of, unreadable
from depthlab.folders import data, relative

MIRROR = "DEPTHLAB_MIRROR"  # environment variable
DATASETS = ("cora", "citeseer", "texas", "wisconsin", "chameleon_filtered", "minesweeper")
UPSTREAM = "https://raw.githubusercontent.com"
SOURCES = {  # first folder below data/ -> repository at a commit, folder in it
    "planetoid": "kimiyoung/planetoid/af6abf468a772cc055bec88c52e4d6f51b7c37e3/data",
    "heterophilous": "yandex-research/heterophilous-graphs/a431395582e929d88271309716bea4fe24ce6318/data",
}
ABSENT = (403, 404, 410)  # status codes for a missing file; S3 answers 403 to a user who may not list the bucket
CONNECT_SECONDS, READ_SECONDS = 5, 30
CHUNK, LARGEST = 1 << 16, 1 << 30  # bytes; no raw file is larger
UNAVAILABLE, NAMED = 3, 5


@dataclass(frozen=True)
class Source:
    """Where raw files come from.

    Attributes:
        name: for messages.
        root: a folder, or an http(s) address, which may have a password.
        places: the possible paths of a file below `root`, in the order to try.
    """

    name: str
    root: str
    places: Callable[[RawFile], list[str]]


def mirror(root: str) -> Source:
    """A folder or address of the user's own; raises UserError if it is neither."""
    name = root
    if "://" in root:
        address = Address(root, MIRROR)
        name = str(address)
        if not address.is_server:
            raise UserError(f"{MIRROR} must be a folder or an http(s) address, got {address}")
    elif not Path(root).expanduser().is_dir():
        shown = MASK if "@" in root else root  # a password of an address without a scheme
        raise UserError(f"{MIRROR} names {shown}, which is not a folder: correct or unset it")
    else:
        root = str(Path(root).expanduser())

    def places(file: RawFile) -> list[str]:
        return [file.name] if file.md5 == UNKNOWN else [file.name, f"files/md5/{file.md5[:2]}/{file.md5[2:]}"]

    return Source(f"{MIRROR}={name}", root, places)


def upstream(root: str = UPSTREAM) -> Source:
    """The repositories that publish the files."""

    def places(file: RawFile) -> list[str]:
        folder, _, rest = file.name.partition("/")
        return [f"{SOURCES[folder]}/{rest}"] if folder in SOURCES else []

    return Source(root, root, places)


def fetch(names: Iterable[str], sources: Iterable[Source]) -> str:
    """Verify these raw files and fetch the missing ones; returns the sources that were used.

    Raises:
        UserError: a file in data/ or in a source has other content; the first is not changed, the second not used.
        UnavailableError: no reachable source has the file.
    """
    files = listed(names)
    missing = [file for file in files if not file.path.is_file()]
    verify(file for file in files if file not in missing)
    if not missing:
        return "already there"
    used = []
    columns, console = (TextColumn("{task.description}"), BarColumn(), DownloadColumn()), Console(stderr=True)
    with lock_of(data()), Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        for source in sources:
            before = len(missing)
            try:
                missing = [file for file in missing if not (file.path.is_file() or _bring(file, source, bar))]
            except requests.RequestException:
                missing = [file for file in missing if not file.path.is_file()]
            used += [source.name] if len(missing) < before else []
    if missing:
        rest, them = (f" and {len(missing) - 1} more are", "them") if len(missing) > 1 else (" is", "it")
        raise UnavailableError(
            f"data/{missing[0].name}{rest} missing, and no source has {them} or can be reached"
            f" ({', '.join(source.name for source in sources)}): copy {them} into data/, set {MIRROR} to a folder or"
            f" address that has {them}, or use dataset=digits"
        )
    return ", ".join(used) or "already there"


def _bring(file: RawFile, source: Source, bar: Progress) -> bool:
    """Copy a file from a source into data/ if it is there; raises UserError if it has other content."""
    for place in source.places(file):
        with _opened(source.root, place) as chunks:
            if chunks is None:
                continue
            task = bar.add_task(file.name, total=None if file.size == UNKNOWN else int(file.size))
            with atomic_write(file.path) as part:
                with part.open("wb") as target:
                    for chunk in chunks:
                        target.write(chunk)
                        bar.advance(task, len(chunk))
                        if target.tell() > (LARGEST if file.size == UNKNOWN else int(file.size)):
                            break
                if not file.matches(part):
                    raise UserError(f"{file.name} from {source.name} does not match raw_files.tsv: it is not used")
        return True
    return False


@contextmanager
def _opened(root: str, place: str) -> Iterator[Iterator[bytes] | None]:
    """The content of a file of a source in chunks, or None if it is not there."""
    if "://" in root:
        address, mark, options = root.partition("?")
        url = f"{address.rstrip('/')}/{place}{mark}{options}"
        with requests.get(url, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as answer:
            if answer.status_code not in ABSENT:
                answer.raise_for_status()
            yield None if answer.status_code in ABSENT else answer.iter_content(CHUNK)
        return
    path = Path(root) / place
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        yield None
        return
    except OSError as error:
        raise unreadable(path, error, "cannot be read") from None
    with file:
        yield iter(partial(file.read, CHUNK), b"")


def files_of(dataset: str) -> list[str]:
    """The raw files that a dataset's yaml names; raises UserError if there is no such dataset."""
    if dataset not in (known := option_names("dataset")):
        raise UserError(f"there is no dataset {dataset}: choose one of {', '.join(known)}")
    path = config_file("dataset", dataset)
    files = read_mapping(path).get("files") or []
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        raise UserError(f"{relative(path)}: files must be a list of names below data/")
    return files


def main() -> None:
    parser = Options(prog="depthlab fetch", description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", help="fetch the files of this dataset")
    options = parser.parse_args()
    try:
        names = [name for dataset in ([options.dataset] if options.dataset else DATASETS) for name in files_of(dataset)]
        if not names:
            print(f"data: {options.dataset} has no files to fetch: it is generated, or read from dataset.path")
            return
        own = os.environ.get(MIRROR)
        origin = fetch(names, [*([mirror(own)] if own else []), upstream()])
        print(f"data: {len(names)} raw files are verified ({origin})")
        if others := unknown_files():
            more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
            print(f"data: {', '.join(others[:NAMED])}{more}: not listed in raw_files.tsv, left as is, ignored by DVC")
    except UnavailableError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(UNAVAILABLE)
    except (UserError, OSError) as error:
        sentence = explain(error)
        if sentence is None:
            raise
        sys.exit(f"error: {sentence}")


def command() -> None:
    """Run `main` as a command; ends the process."""
    guarded(main)
