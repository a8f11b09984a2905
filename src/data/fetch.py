"""Bring the raw files: already there, else from the DVC remote, else from upstream at a pinned commit.

    python -m src.data.fetch                  the files that data.dvc lists
    python -m src.data.fetch --dataset pubmed    those of a dataset that data.dvc does not list yet; it then does

Exit codes: 0 everything is there, 1 something has to be mended, 3 nothing could be reached.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from src.cli import explain
from src.config import ROOT
from src.data.manifest import Manifest, md5, record
from src.errors import UnavailableError, UserError
from src.yaml_files import read_mapping

UPSTREAM = "https://raw.githubusercontent.com"
SOURCES = {  # first folder below data/ -> repository at a commit, folder in it
    "planetoid": "kimiyoung/planetoid/af6abf468a772cc055bec88c52e4d6f51b7c37e3/data",
    "heterophilous": "yandex-research/heterophilous-graphs/a431395582e929d88271309716bea4fe24ce6318/data",
}
CONNECT_SECONDS, READ_SECONDS = 5, 30
UNAVAILABLE = 3


def fetch(manifest: Manifest, root: Path = ROOT, upstream: str = UPSTREAM) -> str:
    """Make every file of the manifest be there and match; returns where the missing ones came from.

    Raises:
        UserError: a file that is there does not match; it is left as it is.
        UnavailableError: neither the remote nor upstream could be reached.
    """
    missing = manifest.missing()
    manifest.compare(name for name in manifest.files if name not in missing)
    if not missing:
        return "already there"
    if not _pull(missing, manifest, root):
        download(manifest.missing(), manifest, upstream)
        return "upstream"
    manifest.compare(missing)
    return "the DVC remote"


def _pull(missing: list[str], manifest: Manifest, root: Path) -> bool:
    """`dvc pull` of the missing files only, so that files of the user's own in data/ stay."""
    targets = [f"data/{name}" for name in missing] if manifest.data.exists() else ["data.dvc"]
    command = [sys.executable, "-m", "dvc", "pull", "-q", *targets]
    try:
        subprocess.run(command, cwd=root, capture_output=True, stdin=subprocess.DEVNULL, timeout=600, check=False)
    except subprocess.TimeoutExpired:
        return False
    return not manifest.missing()


def download(names: Iterable[str], manifest: Manifest, upstream: str = UPSTREAM) -> None:
    """Download to a temporary folder, verify against the manifest where it lists the file, then move into place."""
    names = list(names)
    manifest.data.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=manifest.data.parent, prefix=".fetch-") as folder,
        Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=Console(stderr=True)) as bar,
    ):
        for name in names:
            part = Path(folder) / name
            part.parent.mkdir(exist_ok=True)
            _download_one(name, part, upstream, bar)
            if name in manifest.files and md5(part) != manifest.files[name]:
                raise UserError(f"{name} from {upstream} does not match data.dvc: nothing was changed, try again later")
        for name in names:
            (manifest.data / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(folder) / name, manifest.data / name)


def _download_one(name: str, target: Path, upstream: str, bar: Progress) -> None:
    folder, _, rest = name.partition("/")
    if folder not in SOURCES:
        raise UserError(f"data/{name} is missing and comes from no upstream: put it back, or record data/ without it")
    url = f"{upstream}/{SOURCES[folder]}/{rest}"
    try:
        with requests.get(url, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as answer:
            answer.raise_for_status()
            task = bar.add_task(name, total=int(answer.headers.get("content-length", 0)) or None)
            with target.open("wb") as file:
                for chunk in answer.iter_content(1 << 16):
                    file.write(chunk)
                    bar.advance(task, len(chunk))
    except requests.RequestException:
        raise UnavailableError(
            f"the raw files are not in data/, not in the DVC remote, and {upstream} cannot be reached:"
            " copy them into data/, name another DVC remote (`dvc remote modify store url`), or use dataset=digits"
        ) from None


def fetch_dataset(name: str, manifest: Manifest, root: Path = ROOT, upstream: str = UPSTREAM) -> None:
    """Bring the files of one dataset config; those that data.dvc does not list are downloaded and recorded in it."""
    config = root / "conf" / "dataset" / f"{name}.yaml"
    if not config.is_file():
        known = ", ".join(sorted(p.stem for p in config.parent.glob("*.yaml")))
        raise UserError(f"there is no dataset {name}: choose one of {known}")
    files = read_mapping(config).get("files", [])
    if not files:
        return  # generated
    fetch(manifest, root, upstream)  # first what is listed already: the whole of data/ is recorded below
    unlisted = [file for file in files if file not in manifest.files]
    absent = [file for file in unlisted if not (manifest.data / file).is_file()]
    if absent:
        download(absent, manifest, upstream)
    if unlisted:
        record(root)
        print(f"data.dvc now lists the files of {name} too, with the hashes of what was just brought: commit it")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m src.data.fetch", description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", help="also bring the files of this dataset config")
    parser.add_argument("--upstream", default=UPSTREAM, help="a mirror of the upstream host")
    options = parser.parse_args()
    try:
        manifest = Manifest.load()
        if options.dataset:
            fetch_dataset(options.dataset, manifest, upstream=options.upstream)
            print(f"data: the files of {options.dataset} are there")
        else:
            origin = fetch(manifest, upstream=options.upstream)
            print(f"data: {len(manifest.files)} raw files match data.dvc ({origin})")
    except UnavailableError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(UNAVAILABLE)
    except (UserError, OSError) as error:
        sentence = explain(error)
        if sentence is None:
            raise
        sys.exit(f"error: {sentence}")


if __name__ == "__main__":
    main()
