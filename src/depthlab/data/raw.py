"""The raw files that a dataset config names: where they are and whether they may be read. Imports nothing heavy."""

from pathlib import Path

from depthlab.config.errors import UserError
from depthlab.config.option_types import DatasetSettings
from depthlab.data.own import own_files
from depthlab.data.raw_files import listed, verify
from depthlab.files import sha256
from depthlab.folders import prepared
from depthlab.text import file_name


def raw_paths(dataset: DatasetSettings) -> list[Path]:
    """The files to read: the verified files of a named dataset, or the user's own, which are never unpickled.

    Raises:
        UserError: a file is missing, not in the list of raw files, or does not match it.
    """
    if dataset.is_own:
        return list(own_files(dataset).values())
    files = listed(dataset.files or [])
    absent = [file.name for file in files if not file.path.is_file()]
    if absent:
        raise UserError(f"data/{absent[0]} is missing: run `depthlab fetch --dataset {dataset.name}`")
    verify(files)
    return [file.path for file in files]


def raw_files(dataset: DatasetSettings) -> dict[str, Path]:
    """The same files, by their names in the folder."""
    if dataset.is_own:
        return own_files(dataset)
    return dict(zip(dataset.files or [], raw_paths(dataset), strict=True))


def raw_hashes(dataset: DatasetSettings) -> dict[str, str]:
    """A hash of every raw file: Git's, from the list of raw files, or SHA-256 of the user's own."""
    if dataset.is_own:
        return {name: sha256(path) for name, path in own_files(dataset).items()}
    return {file.name: file.git_blob for file in listed(dataset.files or [])}


def prepared_file(dataset: DatasetSettings, folder: Path | None = None) -> Path:
    """Path of the prepared file of a dataset."""
    return (folder or prepared()) / f"{file_name(dataset.label)}.pt"


def mapped_folder(dataset: DatasetSettings, data_hash: str, folder: Path | None = None) -> Path:
    """Path of the prepared folder of a dataset that stays on disk, one for each combination of its settings."""
    return (folder or prepared()) / file_name(dataset.label) / data_hash[:8]


def check(dataset: DatasetSettings) -> None:
    """A cheap check before heavy imports: existing raw files match their hashes, and all exist or are prepared.

    Raises:
        UserError: as `raw_paths`.
    """
    if dataset.is_own or not prepared_file(dataset).is_file():
        raw_paths(dataset)
        return
    verify(file for file in listed(dataset.files or []) if file.path.is_file())
