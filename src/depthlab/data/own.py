"""The files of a user's own dataset, and a folder in which a reader sees only these files. Imports nothing heavy."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from depthlab.config.errors import UserError
from depthlab.config.option_types import DatasetSettings
from depthlab.data.raw_files import stays_below

LIMIT = 1000  # files in a folder: more are probably not one dataset, and every start hashes each of them


def own_files(dataset: DatasetSettings) -> dict[str, Path]:
    """The files of `dataset.path`, by name: the file itself, or the files in the folder except hidden ones.

    With `path_files`, only these files of the folder. An entry is a file name, a pattern such as `split/*/train.csv`,
    or an argument that holds the file name. Files may end in .gz.

    Args:
        dataset: with a `path`.

    Raises:
        UserError: a file is missing, `path_files` names one outside the folder, or there are too many.
    """
    assert dataset.path is not None, "validation asks for it"
    path, names = Path(dataset.path), dataset.path_files
    if names:
        outside = [name for name in names if not stays_below(name)]
        if outside:
            raise UserError(f"path_files of {dataset.name} must name files below dataset.path, got {outside[0]}")
        wanted = {name: str(dataset.arguments.get(name, name)) for name in names}
        if not path.is_dir():
            problem = "is a file" if path.is_file() else "is missing"
            raise UserError(f"{path} {problem}: dataset.path must be a folder with {', '.join(wanted.values())}")
        files = [_found(path, name, wanted) for name in names]
        return {file.relative_to(path).as_posix() if _below(file, path) else file.name: file for file in files}
    if path.is_file():
        return {path.name: path}
    if not path.is_dir():
        raise UserError(f"{path} is missing: dataset.path must be a file, or a folder if its reader takes several")
    found = {}
    for file in _visible(path):
        found[file.relative_to(path).as_posix()] = file
        if len(found) > LIMIT:
            raise UserError(
                f"{path} holds more than {LIMIT:,} files: dataset.path must be a folder that holds only the dataset"
            )
    if not found:
        raise UserError(f"{path} holds no file: dataset.path must be a file, or a folder with the files of the dataset")
    return dict(sorted(found.items()))


def _found(folder: Path, name: str, wanted: Mapping[str, str]) -> Path:
    """Find the file for an entry of `path_files`; `wanted` holds the names or patterns of all entries."""
    pattern = wanted[name]
    found = sorted(folder.glob(pattern)) if "*" in pattern else [folder / pattern]
    found = [path if path.is_file() else path.with_name(f"{path.name}.gz") for path in found]
    found = [path for path in found if path.is_file()]
    if len(found) > 1:
        raise UserError(f"{folder} must have one file {pattern}, got {len(found)}: remove {found[-1]}")
    if not found:
        setting = f", or name another with dataset.{name}" if pattern != name else ""
        raise UserError(f"{folder / pattern} is missing: the folder must hold {', '.join(wanted.values())}{setting}")
    return found[0]


def _below(file: Path, folder: Path) -> bool:
    return file.is_relative_to(folder) and stays_below(file.relative_to(folder).as_posix())


@contextmanager
def reading(dataset: DatasetSettings, files: Mapping[str, Path]) -> Iterator[list[Path]]:
    """Links to these files in a temporary folder that holds nothing else.

    The data hash covers exactly these files. A reader cannot open other files, so that its input cannot change
    without a change of the hash.

    Args:
        files: as returned by `depthlab.data.raw.raw_files`; the links have the same names, in the same order.

    Raises:
        UserError: the reader's own error, with the path of the dataset; or the reader opens a file that is not among
            them.
    """
    if not files:
        yield []
        return
    source = dataset.path or dataset.name
    with TemporaryDirectory(prefix="depthlab-") as folder:
        links = [Path(folder, name) for name in files]
        for link, file in zip(links, files.values(), strict=True):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.absolute())
        try:
            yield links
        except UserError as error:
            for name, file in files.items():  # the error names the link: replace it by the path
                if re.match(rf"{re.escape(name)}\W", str(error)):
                    raise UserError(f"{file}{str(error).removeprefix(name)}") from None
            raise UserError(f"{source}: {error}") from None
        except FileNotFoundError as error:
            if folder not in str(error):
                raise
            reason = str(error).replace(f"{folder}{os.sep}", "")
            raise UserError(
                f"{source}: its reader opens a file that the data hash does not cover ({reason}): name it in the"
                " dataset's yaml, or set dataset.path to the folder that holds all files"
            ) from None


def _visible(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(parent, name) for name in names if not name.startswith("."))
        yield from (path for path in paths if path.is_file())
