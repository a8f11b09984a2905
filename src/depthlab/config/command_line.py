"""Read the command line, and prepare overrides for Hydra: mask passwords, quote names that look like numbers.

Imports nothing heavy.
"""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from depthlab.address import VARIABLES, masked, recordable
from depthlab.config.errors import UserError
from depthlab.config.schema import LISTS, WORDS

NUMBER = r"[+-]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:e[+-]?\d[\d_]*)?|[+-]?(?:inf|nan)|true|false"


class Options(argparse.ArgumentParser):
    """The options of a command without settings; wrong ones end in one sentence, as everywhere in the program."""

    def error(self, message: str) -> NoReturn:
        """End the process."""
        self.exit(1, f"error: {message}: type `{self.prog} --help` for what it takes\n")


def read_words(words: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """Read `key=value` arguments of a command with few settings; `known` holds the defaults.

    Raises:
        UserError: a word has another form, or names no setting.
    """
    settings = dict(known)
    for word in words:
        key, equals, value = word.partition("=")
        if key not in known or not equals:
            raise UserError(f"cannot read '{word}': write one of {', '.join(known)} as key=value")
        settings[key] = value
    return settings


def for_hydra(overrides: Sequence[str]) -> list[str]:
    """The overrides of a command line in the form that Hydra gets.

    The address of `tracking.uri` and `storage` is masked and quoted; the usable one goes into the environment. A number
    or boolean for a setting of type string is quoted: `2026_11_29` stays a name.

    Raises:
        UserError: an address cannot be used, or there are two and one has a password.
    """
    return [_for_hydra(word) for word in overrides]


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
    if len(addresses := re.split(r",(?=[\w+.-]+://)", address)) > 1:
        if any(masked(single) != single for single in addresses):
            raise UserError(f"{name} has more than one address, and one holds a password: give a single address")
        return word
    if name == "storage" and "://" not in address:
        raise UserError("storage must be a file or an address such as postgresql+psycopg://HOST/DB")
    if re.match(r"sqlite(\+\w+)?:///~", address):
        address = f"{address[: address.index('~')]}{os.path.expanduser(address[address.index('~') :])}"  # noqa: PTH111
    return f"{key}={_quoted(recordable(address, name))}"


def _as_words(value: str) -> str:
    """One or more values, with numbers and booleans quoted."""
    return re.sub(rf"(?<![^,\[])(\s*)({NUMBER})(\s*)(?![^,\]])", r"\1'\2'\3", value, flags=re.IGNORECASE)


def _unquoted(value: str) -> str:
    match = re.fullmatch(r"(['\"])(.*)\1", value, re.DOTALL)
    return re.sub(rf"\\({match[1]})", r"\1", match[2]) if match else value


def _quoted(value: str) -> str:
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", value) + "'"
