"""The raw files that a dataset config names: where they are and whether they may be read. Imports nothing heavy."""

from pathlib import Path
from typing import Any

from src.config import ROOT
from src.data.manifest import Manifest, md5
from src.errors import UserError

PREPARED = ROOT / "prepared"
ARRAYS = ("x.npy", "edge_index.npy", "y.npy", "train.npy", "val.npy", "test.npy")  # of a folder of one's own
Config = dict[str, Any]  # a plain dict in the shape of conf/dataset/*.yaml


def raw_paths(config: Config) -> list[Path]:
    """The files to read, each verified against data.dvc; a user's own arrays hold no pickles and need no manifest.

    Raises:
        UserError: a file is missing, not listed, or does not match.
    """
    if "path" in config:
        return _own_files(config)
    if not config.get("files"):
        return []
    manifest = Manifest.load()
    absent = [name for name in config["files"] if not (manifest.data / name).is_file()]
    if absent:
        target = "" if absent[0] in manifest.files else f" DATASET={config['name']}"
        raise UserError(f"data/{absent[0]} is missing: run `make data{target}`")
    return [manifest.verify(name) for name in config["files"]]


def raw_hashes(config: Config) -> dict[str, str]:
    """MD5 of every raw file, as data.dvc promises it: the files themselves are not read."""
    if "path" in config:
        own = _own_files(config)
        return {path.name: md5(path) for path in own} if config.get("mapped") else {"path": md5(own[0])}
    if not config.get("files"):
        return {}
    listed = Manifest.load().files
    return {name: listed.get(name, "unlisted") for name in config["files"]}


def prepared_file(config: Config, folder: Path | None = None) -> Path:
    """Where the prepared form of a dataset lies."""
    return (folder or PREPARED) / f"{config['name']}.pt"


def mapped_folder(config: Config, fingerprint: str, folder: Path | None = None) -> Path:
    """Where the prepared form of a dataset that stays on disk lies: one folder for each of its settings."""
    return (folder or PREPARED) / config["name"] / fingerprint[:8]


def check(config: Config) -> None:
    """A cheap look before anything heavy is imported: raw files that are there match, and all are there or prepared.

    Raises:
        UserError: as `raw_paths`.
    """
    if "path" in config or not prepared_file(config).is_file():
        raw_paths(config)
        return
    manifest = Manifest.load()
    for name in config.get("files", []):
        if (manifest.data / name).is_file():
            manifest.verify(name)


def _own_files(config: Config) -> list[Path]:
    path = Path(config["path"])
    if not config.get("mapped"):
        if not path.is_file():
            raise UserError(f"{path} is missing: dataset.path must be an npz file")
        return [path]
    if not path.is_dir():
        raise UserError(f"{path} is missing: dataset.path must be a folder with {', '.join(ARRAYS)}")
    for name in ARRAYS:
        if not (path / name).is_file():
            raise UserError(f"{path / name} is missing: the folder must hold {', '.join(ARRAYS)}")
    return [path / name for name in ARRAYS]
