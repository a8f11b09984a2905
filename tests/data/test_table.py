"""One CSV file; the tests of `depthlab.data.tables` cover its errors."""

from pathlib import Path

import numpy as np
import pytest

from depthlab.config.errors import UserError
from depthlab.data.table import Table, read_table


@pytest.fixture
def table(tmp_path: Path) -> Table:
    (tmp_path / "t.csv").write_text("a, b ,c\n1,x,\n2,y,3\nNA,z,null\n")
    return read_table(tmp_path / "t.csv")


def test_cells_are_texts(table: Table) -> None:
    assert table.columns == ["a", "b", "c"] and table.texts("b").tolist() == ["x", "y", "z"]


def test_columns_are_found(table: Table) -> None:
    assert table.column("b", "label", ("label",)) == "b"
    assert table.column("auto", "label", ("z", "c", "a")) == "c"
    assert table.column("auto", "id", ("id",), first=1) == "b"
    assert table.column("auto", "split", ("split",), optional=True) is None
    assert table.column("none", "split", ("a",), optional=True) is None


def test_missing_numbers(table: Table) -> None:
    np.testing.assert_array_equal(table.number("c", missing=True), [np.nan, 3, np.nan])
    with pytest.raises(
        UserError, match=r"^t\.csv, line 2: column c must hold a number, but it is empty, as in 1 other"
    ):
        table.number("c")
    with pytest.raises(UserError, match=r"^t\.csv, line 2: column b must hold a number, got 'x'"):
        table.number("b", missing=True)


def test_a_file_without_permission(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(UserError, match=r"^t\.csv cannot be read"):
        read_table(tmp_path / "t.csv")
