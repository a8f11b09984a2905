"""Addresses are shown without their secrets."""

from pathlib import Path
from typing import Any

import pytest

from depthlab.address import STORAGE, TRACKING, Address, masked, recordable, sqlite_address, without_secrets
from depthlab.config.errors import UserError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://h:5000", "http://h:5000"),
        ("http://me:word@h:5000/x", "http://***@h:5000/x"),
        ("https://token@h", "https://***@h"),
        ("https://token:@h", "https://***@h"),
        ("http://me:p@ss/w@h/db", "http://***@h/db"),
        ("http:/me:word@h", "***@h"),
        ("me:word@h/x", "***@h/x"),
        ("me:/word@h:5000", "***@h:5000"),
        ("word@h", "***@h"),
        ("http://h/?token=abc&x=1#frag", "http://h/?token=***&x=***#***"),
        ("postgresql://me:p@ss/w@h/db", "postgresql://me:***@h/db"),
        ("postgresql://me:p?x=1&sslmode=a@h/db", "postgresql://me:***@h/db"),
        ("postgresql://me@h/db?sslmode=require&passwd=word", "postgresql://me@h/db?sslmode=require&passwd=***"),
        ("postgresql://h:5432/db?password=p@ss", "postgresql://h:***@ss"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER;PWD=word", "mssql+pyodbc:///?odbc_connect=***&PWD=***"),
        ("sqlite:////a/b@c/m.db", "sqlite:////a/b@c/m.db"),
        ("sqlite+pysqlcipher://:word@/m.db?cipher=aes", "sqlite+pysqlcipher://:***@/m.db?cipher=***"),
    ],
)
def test_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown
    assert "word" not in shown


def test_str_and_repr_are_masked() -> None:
    address = Address("postgresql://me:p%40ss@h/db")
    assert str(address) == "postgresql://me:***@h/db"
    assert repr(address) == "Address('postgresql://me:***@h/db')"
    assert "p%40ss" not in f"{[address]} {address}"
    assert address.secret == "postgresql://me:p%40ss@h/db"


@pytest.mark.parametrize("text", ["http://me:p@ss@h", "http://me:a/b@h", "postgresql://me:a?b@h/db", "http://h/a@b"])
def test_characters_that_have_to_be_encoded(text: str) -> None:
    with pytest.raises(UserError, match=r"write %40 for @, %2F for /") as error:
        Address(text)
    assert "ss@" not in str(error.value)
    assert "a/b" not in str(error.value)


def test_errors_of_libraries_are_masked() -> None:
    address = Address("postgresql://me:p%40ss%2Fw@h/db?sslpassword=open%20sesame&sslmode=require")
    message = "FATAL: 'p@ss/w' p%40ss%2Fw open sesame open%20sesame postgresql://me:p%40ss/w@h?x require me h"
    hidden = address.hide(message + " " + address.secret)
    for secret in ("p@ss", "p%40ss", "ss/w", "sesame"):
        assert secret not in hidden.replace("p%40ss/w", "")
    assert hidden.endswith("require me h " + str(address))
    token = Address("https://tok_123@h")
    assert token.hide("https://tok_123@h/api tok_123") == "https://***@h/api ***"
    assert Address("http://a:b@h").hide("about b: abba") == "about ***: abba"


def test_a_password_stays_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TRACKING, raising=False)
    monkeypatch.delenv(STORAGE, raising=False)
    assert recordable("http://h") == "http://h"
    with pytest.raises(UserError, match=r"hides a password.*MLFLOW_TRACKING_URI"):
        Address.of("http://***@h")
    monkeypatch.setenv(TRACKING, "")  # monkeypatch undoes what is set next
    assert recordable("http://me:word@h") == "http://***@h"
    assert Address.of("http://***@h").secret == "http://me:word@h"
    assert recordable("http://***@h") == "http://***@h"
    with pytest.raises(UserError, match=r"hides a password"):
        Address.of("http://***@other")
    with pytest.raises(UserError, match=r"OPTUNA_STORAGE"):
        Address.of("http://***@h", "storage")


@pytest.mark.parametrize("name", ["q?x", "a%20b", "a#b", "a b", "é", "a@b", "a%b", "a&b=c"])
def test_any_path_of_a_database(name: str, tmp_path: Path) -> None:
    path = tmp_path / name / "mlflow.db"
    address = Address(sqlite_address(path))
    assert address.file == path
    assert str(address) == address.secret
    assert "?" not in address.secret


def test_file_of_an_address() -> None:
    assert Address("http://h").file is None
    assert Address("sqlite:///x.db").file == Path("x.db").absolute()
    assert Address("sqlite:////a/x.db?timeout=3").file == Path("/a/x.db")
    assert Address("sqlite:///file:/a/q%253Fx.db?uri=true").file == Path("/a/q?x.db")
    for text in (
        "sqlite:///",
        "sqlite://",
        "sqlite:////",
        "sqlite:///:memory:",
        "sqlite://h/x.db",
        "sqlite:////q?x/m.db",
    ):
        with pytest.raises(UserError, match=r"must name a database file"):
            _ = Address(text).file


def test_link_has_no_credentials() -> None:
    assert Address("https://me:word@h:8080/mlflow/?token=x").link == "https://h:8080/mlflow"


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ({"mine": {"api_key": "word", "save_dir": "logs"}}, {"mine": {"api_key": "***", "save_dir": "logs"}}),
        ({"tracking_uri": "http://me:word@h/x", "run": 3}, {"tracking_uri": "http://***@h/x", "run": 3}),
        (
            {"TOKEN": None, "tags": ["https://h?token=word", True]},
            {"TOKEN": None, "tags": ["https://h?token=***", True]},
        ),
        ({"name": "a@b", "userPassword": ["word"]}, {"name": "a@b", "userPassword": ["***"]}),
    ],
)
def test_settings_without_secrets(setting: dict[str, Any], shown: dict[str, Any]) -> None:
    assert without_secrets("logger", setting) == without_secrets("logger", shown) == shown
