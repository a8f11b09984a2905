"""What was typed, made ready for Hydra: addresses without their passwords, and names as they were typed.

Imports nothing heavy.
"""

import os
import re
from collections.abc import Sequence

from src.address import VARIABLES, masked, recordable
from src.config import KNOBS, STUDY_KNOBS, SWEEP_KNOBS, WORDS
from src.errors import UserError

LISTS = {key for key, (kind, _) in (KNOBS | STUDY_KNOBS | SWEEP_KNOBS).items() if "list[str]" in str(kind)}
NUMBER = r"[+-]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:e[+-]?\d[\d_]*)?|[+-]?(?:inf|nan)|true|false"


def for_hydra(typed: Sequence[str]) -> list[str]:
    """The words of a command line as Hydra is to see them.

    The address of `tracking.uri` and `storage` is masked and quoted, the usable one goes into the environment. A
    number or truth value that is typed for a setting of words is quoted: `2026_11_29` stays a name.

    Raises:
        UserError: an address cannot be used, or several are given of which one holds a password.
    """
    return [_for_hydra(word) for word in typed]


def _for_hydra(word: str) -> str:
    key, equals, value = word.partition("=")
    name = key.lstrip("+~")
    if not equals or name not in WORDS | LISTS:
        return word
    if name not in VARIABLES:
        return f"{key}={_as_words(value)}"
    address = _unquoted(value)
    if address == "null" or not address or (name == "storage" and ":" not in address):
        return f"{key}={_as_words(value)}"
    if len(several := re.split(r",(?=[\w+.-]+://)", address)) > 1:
        if any(masked(one) != one for one in several):
            raise UserError(f"{name} has more than one address, and one holds a password: give a single address")
        return word
    if name == "storage" and "://" not in address:
        raise UserError("storage must be a file or an address such as postgresql+psycopg://HOST/DB")
    if re.match(r"sqlite(\+\w+)?:///~", address):
        address = f"{address[: address.index('~')]}{os.path.expanduser(address[address.index('~') :])}"  # noqa: PTH111
    return f"{key}={_quoted(recordable(address, name))}"


def _as_words(value: str) -> str:
    """A value, or several, of which numbers and truth values are quoted."""
    return re.sub(rf"(?<![^,\[])(\s*)({NUMBER})(\s*)(?![^,\]])", r"\1'\2'\3", value, flags=re.IGNORECASE)


def _unquoted(value: str) -> str:
    found = re.fullmatch(r"(['\"])(.*)\1", value, re.DOTALL)
    return re.sub(rf"\\({found[1]})", r"\1", found[2]) if found else value


def _quoted(value: str) -> str:
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", value) + "'"
