"""The raw files that a dataset config names: where they are and whether they may be read. Imports nothing heavy."""

from pathlib import Path
from typing import Any

from depthlab.config.errors import UserError
from depthlab.data.own import own_files
from depthlab.data.raw_files import listed, verify
from depthlab.files import sha256
from depthlab.folders import prepared
from depthlab.text import file_name

Config = dict[str, Any]  # a plain dict in the shape of conf/dataset/*.yaml


def raw_paths(config: Config) -> list[Path]:
    """The files to read: those of a named dataset, each verified, or the user's own, which are not unpickled.

    Raises:
        UserError: a file is missing, not in the list of raw files, or does not match it.
    """
    if "path" in config:
        return list(own_files(config).values())
    files = listed(config.get("files") or [])
    absent = [file.name for file in files if not file.path.is_file()]
    if absent:
        raise UserError(f"data/{absent[0]} is missing: run `depthlab fetch --dataset {config['name']}`")
    verify(files)
    return [file.path for file in files]


def raw_files(config: Config) -> dict[str, Path]:
    """The same files, by the name that they have in their folder."""
    if "path" in config:
        return own_files(config)
    return dict(zip(config.get("files") or [], raw_paths(config), strict=True))


def raw_hashes(config: Config) -> dict[str, str]:
    """A hash of every raw file: Git's, from the list of raw files, or SHA-256 of the user's own."""
    if "path" in config:
        return {name: sha256(path) for name, path in own_files(config).items()}
    return {file.name: file.git_blob for file in listed(config.get("files") or [])}


def prepared_file(config: Config, folder: Path | None = None) -> Path:
    """Where the prepared form of a dataset lies."""
    return (folder or prepared()) / f"{file_name(config['name'])}.pt"


def mapped_folder(config: Config, data_hash: str, folder: Path | None = None) -> Path:
    """Where the prepared form of a dataset that stays on disk lies: one folder for each of its settings."""
    return (folder or prepared()) / file_name(config["name"]) / data_hash[:8]


def check(config: Config) -> None:
    """A cheap look before anything heavy is imported: raw files that are there match, and all are there or prepared.

    Raises:
        UserError: as `raw_paths`.
    """
    if "path" in config or not prepared_file(config).is_file():
        raw_paths(config)
        return
    verify(file for file in listed(config.get("files") or []) if file.path.is_file())
