"""Databases are checked once, within seconds."""

import socket
import time
from collections.abc import Iterator

import pytest

from depthlab import database
from depthlab.address import Address
from depthlab.config.errors import UserError
from depthlab.database import check_database, first_line, missing_driver, usable


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_database_that_refuses_or_never_answers(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CONNECT_SECONDS", 2)
    for port in (9, silent):
        began = time.monotonic()
        with pytest.raises(UserError) as error:
            check_database(Address(f"postgresql+psycopg://me:hushhush@127.0.0.1:{port}/db"))
        assert str(error.value).startswith(
            f"no database answers at tracking.uri=postgresql+psycopg://me:***@127.0.0.1:{port}/db:"
        )
        assert "hushhush" not in str(error.value)
        assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("address", "package"),
    [
        ("mysql://h/x", "mysqlclient"),
        ("postgresql+psycopg2://h/x", "psycopg2-binary"),
        ("mssql+pyodbc://h/x", "pyodbc"),
    ],
)
def test_missing_driver_names_its_package(address: str, package: str) -> None:
    with pytest.raises(UserError, match=f"^tracking.uri={address.replace('+', '.')} needs .*: pip install {package}$"):
        check_database(Address(address))


def test_address_of_an_unknown_kind() -> None:
    with pytest.raises(UserError, match=r"^tracking\.uri=foo://x is not the address of a database: "):
        check_database(Address("foo://x"))


def test_driver_without_its_own_library() -> None:
    sentence = missing_driver(Address("postgresql+psycopg://h/x"), ImportError("no pq wrapper available"))
    assert sentence.endswith("pip install 'depthlab[postgresql]'")


def test_a_users_own_timeout_is_kept() -> None:
    assert usable(Address("postgresql://h/x")).query["connect_timeout"] == "5"
    assert usable(Address("postgresql://h/x?connect_timeout=60")).query["connect_timeout"] == "60"


@pytest.mark.parametrize(
    ("error", "line"), [(ValueError("\n one\ntwo"), "one"), (ValueError(), "ValueError"), (KeyError("k"), "'k'")]
)
def test_first_line(error: Exception, line: str) -> None:
    assert first_line(error) == line
