"""Addresses of servers and databases: printed and recorded with masked passwords.

An address with its password exists only in an environment variable, which child processes inherit: it is neither
written nor sent. Imports nothing heavy.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from depthlab.config.errors import UserError

MASK = "***"
TRACKING, STORAGE = "MLFLOW_TRACKING_URI", "OPTUNA_STORAGE"  # the variables of the two programs themselves
VARIABLES = {"tracking.uri": TRACKING, "storage": STORAGE}
HARMLESS = (  # options of an address whose values may be shown; all others are masked
    "application_name", "charset", "connect_timeout", "driver", "mode", "sslmode", "target_session_attrs", "timeout",
    "uri",
)  # fmt: skip
SECRET = re.compile("key|token|password|secret|credential", re.IGNORECASE)  # in the names of settings
PLAIN = re.compile(
    r"sqlite:///([\w./ +~%-]+)"
)  # an address that is read without SQLAlchemy, which takes 0.3 s to import
SHORT = 4  # a secret of fewer characters is masked only as a complete word


@dataclass(frozen=True)
class Address:
    """The address of a server or database; `str` and `repr` mask its secrets.

    Args:
        secret: the usable address, with its password if it has one.
        setting: the setting that holds it, for errors.

    Raises:
        UserError: the part before the last `@` has characters that must be percent-encoded.
    """

    secret: str = field(repr=False)
    setting: str = "tracking.uri"

    def __post_init__(self) -> None:
        before, at, _ = _body(self.secret).rpartition("@")
        if at and not _is_file(self.secret) and re.search(r"[@/?#\[\]\s]", before):
            raise UserError(
                f"{self.setting}={self}: in the user, password, path and options of an address write"
                " %40 for @, %2F for /, %3F for ?, %23 for #, %25 for %"
            )

    @classmethod
    def of(cls, recorded: str, setting: str = "tracking.uri") -> "Address":
        """The usable address of a text, which may be masked.

        Raises:
            UserError: the text is masked, and the environment does not hold the full address.
        """
        if MASK not in recorded:
            return cls(recorded, setting)
        variable = VARIABLES[setting]
        usable = os.environ.get(variable, "")
        if MASK in usable or masked(usable) != recorded:
            raise UserError(
                f"{setting}={recorded} hides a password, which is never recorded: type the full"
                f" address, or set {variable} to it"
            )
        return cls(usable, setting)

    def __str__(self) -> str:
        return masked(self.secret)

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    @property
    def scheme(self) -> str:
        """`http`, `sqlite`, `postgresql+psycopg`, ...; empty if there is none."""
        return self.secret.partition("://")[0].lower() if "://" in self.secret else ""

    @property
    def is_server(self) -> bool:
        """Whether it is the address of an HTTP server."""
        return self.scheme in ("http", "https")

    @property
    def file(self) -> Path | None:
        """Absolute path of an SQLite file; None for everything else.

        Raises:
            UserError: the address of an SQLite database names no file.
        """
        if not _is_sqlite(self.secret):
            return None
        if plain := PLAIN.fullmatch(self.secret):
            return self._file(unquote(plain[1]))
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        sentence = self._no_file
        try:
            url = make_url(self.secret)
        except (ArgumentError, ValueError):
            raise UserError(sentence) from None
        name, is_uri = url.database or "", url.query.get("uri") == "true"
        if is_uri and name.startswith("file:"):
            name = unquote(urlsplit(name).path)
        if not name or name == ":memory:" or url.host or url.username or "memory" in url.query.values():
            raise UserError(sentence)
        options = self.secret.partition("?")[2]
        if not is_uri and options and {option.partition("=")[0] for option in options.split("&")} - {"timeout", "uri"}:
            raise UserError(f"{sentence}: in a path write %3F for ? and %25 for %")
        return self._file(name)

    def _file(self, name: str) -> Path:
        path = Path(name).absolute()
        if path.is_dir():
            raise UserError(self._no_file)
        return path

    @property
    def _no_file(self) -> str:
        return f"{self.setting} must name a database file, sqlite:///PATH/mlflow.db, got {self}"

    @property
    def link(self) -> str:
        """The address of a server for a browser, without credentials and options."""
        parts = urlsplit(self.secret)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")

    def hide(self, text: str) -> str:
        """A text, such as a library's error, with all secrets of this address masked."""
        for secret in sorted(_secrets(self.secret), key=len, reverse=True):
            shown = str(self) if secret == self.secret else MASK
            pattern = re.escape(secret) if len(secret) >= SHORT else rf"(?<!\w){re.escape(secret)}(?!\w)"
            text = re.sub(pattern, lambda _, shown=shown: shown, text)  # type: ignore[misc]
        return text


def sqlite_address(path: Path) -> str:
    """The address of an SQLite file, whatever characters its path holds."""
    return f"sqlite:///{quote(str(path.absolute()), safe=' +/')}"


def recordable(text: str, setting: str = "tracking.uri") -> str:
    """The masked form of an address, for settings and records; the usable one is put into the environment.

    Raises:
        UserError: as `Address`.
    """
    address = Address.of(text, setting)
    if str(address) != address.secret:
        os.environ[VARIABLES[setting]] = address.secret
    return str(address)


def masked(text: str) -> str:
    """An address without its password, credentials for HTTP, and values of options that may be secrets.

    Everything up to the last `@` is taken for credentials, since a password that is not encoded may have `@` and `/`.
    """
    start = text[: len(text) - len(_body(text))]
    body = _body(text)
    if not _is_file(text):
        before, at, rest = body.rpartition("@")
        user, colon, _ = before.partition(":")
        plain = start and not start.lower().startswith("http") and re.fullmatch(r"[\w.+%-]*", user)
        body = f"{user if plain else MASK}{f':{MASK}' if colon and plain else ''}@{rest}" if at else rest
    path, mark, options = body.partition("?")
    if mark:
        options, mark_of_fragment, _ = options.partition("#")
        shown = "&".join(map(_option, re.split("[&;]", options)))
        return f"{start}{path}?{shown}" + (f"#{MASK}" if mark_of_fragment else "")
    if start.lower().startswith("http") and "#" in path:
        path = f"{path.partition('#')[0]}#{MASK}"
    return start + path


def without_secrets(name: str, value: Any) -> Any:
    """A setting of an external class as it is recorded: addresses, and values such as `api_key`, are masked."""
    if isinstance(value, dict):
        return {key: without_secrets(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_secrets(name, inner) for inner in value]
    if value and SECRET.search(name):
        return MASK
    return masked(value) if isinstance(value, str) and "://" in value else value


def _option(text: str) -> str:
    key, equals, _ = text.partition("=")
    return text if key.lower() in HARMLESS and MASK not in text else f"{key}={MASK}" if equals else MASK


def _body(text: str) -> str:
    """The part after `scheme://`; everything if there is no `://`, since `user:` is not a scheme."""
    return re.sub(r"^[A-Za-z][\w+.-]*:///*", "", text, count=1)


def _is_sqlite(text: str) -> bool:
    return re.match(r"sqlite(\+\w+)?:", text, re.IGNORECASE) is not None


def _is_file(text: str) -> bool:
    """Whether it is the path of a file, in which `@` is an ordinary character."""
    return re.match(r"sqlite(\+\w+)?:///", text, re.IGNORECASE) is not None


def _secrets(text: str) -> set[str]:
    """All parts of an address that must not be shown, also in the encoded forms that libraries print."""
    if masked(text) == text:
        return set()
    secrets = [text]
    body = _body(text)
    if not _is_file(text) and "@" in body:
        before = body.rpartition("@")[0]
        user, _, password = before.partition(":")
        secrets.append(password)
        if _body(masked(text)).startswith(MASK):  # the user may be a token
            secrets += [before, user]
    options = body.partition("?")[2].partition("#")[0]
    for option in re.split("[&;]", options):
        if _option(option) != option:
            secrets.append(option.partition("=")[2] or option)
    forms = {form for s in secrets for form in (s, unquote(s), quote(unquote(s), safe=" +"))}
    return {form for form in forms if form and form != MASK}
