"""Read a user's CSV file; errors name the file, the column and the line."""

import fnmatch
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from depthlab.config.errors import UserError
from depthlab.files import unreadable

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")  # values that mean a missing number


@dataclass(frozen=True, eq=False)
class Table:
    """The cells of a CSV file as strings.

    Attributes:
        file: its name, for errors.
        cells: a string column for each column of the file; line 2 of the file is row 0.
    """

    file: str
    cells: pd.DataFrame

    @property
    def columns(self) -> list[str]:
        return list(self.cells.columns)

    def column(
        self, name: str, setting: str, usual: Sequence[str], first: int | None = None, optional: bool = False
    ) -> str | None:
        """The column that a setting selects.

        Args:
            name: column name, `auto` or `none`.
            setting: name of the setting, for errors.
            usual: for `auto`, the column names to try.
            first: for `auto`, the index of the column to use if none of these names exists.
            optional: return None if there is no such column.
        """
        if name == "none" and optional:
            return None
        if name != "auto":
            if name not in self.cells:
                none = ", or none" if optional else ""
                raise UserError(
                    f"{self.file} has no column {name}: dataset.{setting} must be one of {self._listed()}{none}"
                )
            return name
        for word in usual:
            if word in self.cells:
                return word
        if first is not None and first < len(self.columns):
            return self.columns[first]
        if optional:
            return None
        raise UserError(f"{self.file} has no column {usual[0]}: add dataset.{setting}=COLUMN, one of {self._listed()}")

    def texts(self, column: str) -> "pd.Series[str]":
        texts: pd.Series[str] = self.cells[column]
        return texts

    def names(self, column: str) -> "pd.Index[str]":
        """Node names, which must not be empty."""
        texts = self.texts(column)
        if len(empty := np.flatnonzero(texts == "")):
            raise UserError(f"{self.file}, line {empty[0] + 2}: column {column} must name a node, but it is empty")
        return pd.Index(texts.to_numpy(dtype=object))

    def number(self, column: str, missing: bool = False) -> np.ndarray:
        """A column of numbers, float64 (n,); with `missing`, NaN for an empty cell.

        Raises:
            UserError: a cell is empty or no number.
        """
        texts = self.texts(column)
        values: np.ndarray = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
        if missing:
            wrong = np.flatnonzero(np.isnan(values) & ~texts.isin(MISSING).to_numpy())
        else:
            wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            cell, more = texts.iloc[wrong[0]], f", as in {len(wrong) - 1:,} other lines" if len(wrong) > 1 else ""
            got = f"got {cell!r}" if cell else "but it is empty"
            raise UserError(
                f"{self.file}, line {wrong[0] + 2}: column {column} must hold a number, {got}{more}: fill it in, or"
                " leave the column out"
            )
        return values

    def numbers(
        self, wanted: str | Sequence[str] | None, without: Sequence[str | None]
    ) -> tuple[np.ndarray, list[str]]:
        """The features, float32 (n, f), and notes on ignored columns.

        Args:
            wanted: as for `depthlab.data.tables.read_csv`.
            without: columns with another role.
        """
        others = [column for column in self.columns if column not in without]
        notes = []
        if wanted is None:
            chosen = [column for column in others if self._holds_numbers(column)]
            if not chosen:
                raise UserError(
                    f"{self.file} has no numeric column for features besides {', '.join(filter(None, without))}:"
                    " for nodes without features add a column of ones"
                )
            if texts := [column for column in others if column not in chosen]:
                notes.append(f"{self.file}: text columns are not used as features: {', '.join(texts[:5])}")
        else:
            chosen = []
            for pattern in [wanted] if isinstance(wanted, str) else wanted:
                found = [column for column in others if fnmatch.fnmatchcase(column, str(pattern))]
                if not found:
                    raise UserError(
                        f"{self.file} has no column {pattern}: dataset.features must name columns among"
                        f" {self._listed(others)}"
                    )
                chosen += [column for column in found if column not in chosen]
        return np.stack([self.number(column) for column in chosen], axis=1).astype(np.float32), notes

    def classes(self, column: str) -> tuple[np.ndarray, list[str], list[str]]:
        """Classes int64 (n,), -1 for none, the names of the classes, and notes."""
        texts = self.texts(column)
        labelled = (texts != "").to_numpy()
        values = pd.to_numeric(texts[labelled], errors="coerce")
        if labelled.any() and values.notna().all() and (values % 1 != 0).any():
            raise UserError(
                f"{self.file}: column {column} holds numbers such as {values[values % 1 != 0].iloc[0]}: for a"
                " regression add dataset.task=regression dataset.metric=mae"
            )
        names = sorted(texts[labelled].unique())
        if names and values.notna().all():
            names.sort(key=float)
        classes = pd.Index(names).get_indexer(texts).astype(np.int64)
        notes = []
        if len(empty := np.flatnonzero(~labelled)):
            notes.append(
                f"{self.file}: column {column} is empty in {len(empty):,} of {len(texts):,} lines, the first is line"
                f" {empty[0] + 2}: these nodes have no class and are in no part of a random split"
            )
        return classes, [str(name) for name in names], notes

    def targets(self, column: str) -> np.ndarray:
        """Regression targets, NaN for none."""
        return self.number(column, missing=True)

    def _holds_numbers(self, column: str) -> bool:
        """Whether at least half of the cells are numbers; otherwise it is a text column."""
        texts = self.texts(column)
        return bool(pd.to_numeric(texts, errors="coerce").notna().mean() >= 0.5)

    def _listed(self, columns: Sequence[str] | None = None) -> str:
        names = self.columns if columns is None else columns
        return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def read_table(path: Path) -> Table:
    """Read a CSV file with a header.

    Raises:
        UserError: it cannot be read as one, or a column name is repeated.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            cells = pd.read_csv(
                path, dtype=str, keep_default_na=False, skipinitialspace=True, index_col=False, encoding="utf-8-sig"
            )
    except Exception as error:  # no columns, rows of unequal length, binary data, a damaged archive, ...
        reason = " ".join(str(error).split())
        if isinstance(error, UnicodeDecodeError):
            reason += ": save it as UTF-8"
        raise unreadable(
            Path(path.name), error, f"cannot be read as a table of comma-separated values: {reason}"
        ) from None
    if not len(cells):
        raise UserError(f"{path.name} has a header but no rows")
    with path.open("rb") as file:
        first = file.readline() if path.suffix == ".csv" else b""
    line = first.decode("utf-8-sig", "replace").strip()
    if len(cells.columns) == 1 and (other := next((mark for mark in (";", "\t") if mark in cells.columns[0]), None)):
        raise UserError(f"{path.name} has {other!r} between its columns: save it with commas")
    names = line.split(",")
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice:
        raise UserError(f"{path.name} has column {twice} twice: rename one")
    return Table(path.name, cells.rename(columns=str.strip))
