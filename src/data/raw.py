"""The raw files that a dataset config names: where they are and whether they may be read. Imports nothing heavy."""

from pathlib import Path
from typing import Any

from src.config import ROOT
from src.data.manifest import Manifest
from src.data.own import own_files
from src.errors import UserError
from src.files import sha256

PREPARED = ROOT / "prepared"
Config = dict[str, Any]  # a plain dict in the shape of conf/dataset/*.yaml


def raw_paths(config: Config) -> list[Path]:
    """The files to read, each verified against data.dvc; a user's own arrays hold no pickles and need no manifest.

    Raises:
        UserError: a file is missing, not listed, or does not match.
    """
    if "path" in config:
        return list(own_files(config).values())
    if not config.get("files"):
        return []
    manifest = Manifest.load()
    absent = [name for name in config["files"] if not (manifest.data / name).is_file()]
    if absent:
        target = "" if absent[0] in manifest.files else f" DATASET={config['name']}"
        raise UserError(f"data/{absent[0]} is missing: run `make data{target}`")
    return [manifest.verify(name) for name in config["files"]]


def raw_files(config: Config) -> dict[str, Path]:
    """The same files, by the name that they have in their folder."""
    if "path" in config:
        return own_files(config)
    return dict(zip(config.get("files") or [], raw_paths(config), strict=True))


def raw_hashes(config: Config) -> dict[str, str]:
    """MD5 of every raw file, as data.dvc promises it: the files themselves are not read."""
    if "path" in config:
        return {name: sha256(path) for name, path in own_files(config).items()}
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
