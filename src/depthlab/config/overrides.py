"""Overrides on the command line: count their values and quote them. Imports nothing heavy."""

import math
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException

from depthlab.config.errors import UserError
from depthlab.config.files import option_names
from depthlab.config.limits import shown
from depthlab.config.schema import GROUPS, LIST_GROUPS, LISTS, WORDS


def count_values(override: Override) -> float:
    """Number of values of an override, without listing them; infinite for an endless range."""
    sweep = override.value()
    if isinstance(sweep, ChoiceSweep):
        return len(sweep.list)
    if not isinstance(sweep, RangeSweep):
        return 1
    assert sweep.start is not None and sweep.stop is not None
    try:
        start, stop, step = float(sweep.start), float(sweep.stop), float(sweep.step)
    except OverflowError:
        return math.inf
    if step == 0 or not all(map(math.isfinite, (start, stop, step))):
        return math.inf
    return max(0, math.ceil((stop - start) / step))


def check_runs(counts: Iterable[float], max_runs: int, plans: str) -> None:
    """Refuse a command that plans too many runs.

    Args:
        counts: numbers of values; their product is the number of runs.
        max_runs: largest number of runs.
        plans: the subject of the error, such as `this study`.

    Raises:
        UserError: there are too many runs.
    """
    counts = list(counts)
    runs = math.inf if math.inf in counts else math.prod(counts)
    if runs > max_runs:
        number = f"{runs:,.0f}" if runs < 1e15 else "endlessly many"
        beyond = f", or use max_runs={runs:.0f}" if runs < 1e9 else ""
        raise UserError(f"{plans} has {number} runs, at most {max_runs:,} are allowed: give fewer values{beyond}")


def check_sweep(overrides: Sequence[str], usual: int) -> None:
    """Refuse a multirun (`-m`) of too many runs, or with a value twice.

    Args:
        overrides: of the command line.
        usual: largest number of runs if no override sets `max_runs`.

    Raises:
        UserError: there are too many runs, or a value is given twice.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    allowed = [override.value() for override in parsed if override.key_or_group == "max_runs"]
    limit = next((value for value in reversed(allowed) if type(value) is int), usual)
    swept = {override.key_or_group: override for override in parsed if override.is_sweep_override()}
    check_runs([count_values(override) for override in swept.values()], limit, "this command")
    for override in swept.values():
        check_distinct(override)


def check_options(overrides: Sequence[str]) -> None:
    """Refuse options of config groups that are not names: a path, a number, a list or nothing.

    Raises:
        UserError: an option is not a name; the first one is named.
    """
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        group, sweep = override.key_or_group, override.value()
        if group in LIST_GROUPS and not (override.is_delete() or override.is_sweep_override()):
            _check_list(group, sweep)
        if group not in GROUPS or override.is_delete():
            continue
        for value in sweep.list if isinstance(sweep, ChoiceSweep) else [sweep]:
            name = value.text if isinstance(value, QuotedString) else value
            if isinstance(name, Glob | RangeSweep) or (isinstance(name, str) and re.fullmatch(r"\w[\w.+-]*", name)):
                continue
            known = ", ".join(option_names(group))
            raise UserError(f"there is no {group} {shown(name)}: choose one of {known}")


def _check_list(group: str, value: Any) -> None:
    """Raise UserError unless a value is the name of an option of a group, or a list of names."""
    known = option_names(group)
    for name in value if isinstance(value, list) else [value]:
        word = name.text if isinstance(name, QuotedString) else name
        if word not in known:
            raise UserError(f"there is no {group} {shown(word)}: choose one or more of {', '.join(known)}")


def check_distinct(override: Override) -> None:
    """Raise UserError if an override lists a value twice."""
    sweep = override.value()
    listed = sweep.list if isinstance(sweep, ChoiceSweep) else []
    values = [Override._get_value_element_as_str(value) for value in listed]
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise UserError(f"{override.key_or_group} has the value {twice} twice: leave one out")


def quoted(key: str, value: str) -> str:
    """`key=value` quoted for the shell and Hydra, so that Hydra reads the value as exactly this string."""
    return shlex.quote(f"{key}={_quoted(value)}")


def override_of(key: str, value: Any) -> str:
    """`key=value` in Hydra's syntax; a string is quoted only if Hydra would read it as something else."""
    if isinstance(value, list):
        return f"{key}={_list(value)}"
    if isinstance(value, str):
        return f"{key}={_quoted_if_needed(value, numbers=key not in WORDS)}"
    return f"{key}={'null' if value is None else value}"


def _list(values: list[Any]) -> str:
    def item(value: Any) -> str:
        return (
            _list(value)
            if isinstance(value, list)
            else _quoted_if_needed(value)
            if isinstance(value, str)
            else str(value)
        )

    return f"[{','.join(map(item, values))}]"


def _quoted_if_needed(value: str, numbers: bool = False) -> str:
    """A text for Hydra, quoted if needed; with `numbers`, a number is not quoted."""
    if "${" in value:
        return _quoted(value)
    try:
        parsed = OverridesParser.create().parse_override(f"key={value}").value()
    except HydraException:
        return _quoted(value)
    return value if parsed == value or (numbers and type(parsed) is int) else _quoted(value)


def _quoted(value: str) -> str:
    quote = Quote.single if '"' in value and "'" not in value else Quote.double
    text = value.replace("${", "\\${")  # no interpolation
    return QuotedString(text, quote).with_quotes()


def unreadable(override: str) -> str:
    """The error for an override that Hydra cannot read, with what to type instead."""
    match = re.fullmatch(r"\+{0,2}([\w.]+)=(.*)", override, re.DOTALL)
    if not match:
        return f"cannot read {override!r}: write key=value (no --, no spaces around =), and quote a value with spaces"
    if match[1] not in {*WORDS, *GROUPS} and not match[1].startswith("dataset."):
        missing = [pair[1] for pair in ("[]", "{}", "()") if match[2].count(pair[0]) > match[2].count(pair[1])]
        if missing:
            return f"cannot read {override!r}: a bracket is not closed, add {missing[0]}"
        return f"cannot read {override!r}: write key=value"
    return f"cannot read {override!r}: quote a value with special characters, {quoted(match[1], match[2])}"


def ambiguous(override: str) -> str:
    """The error for more than one value where one is needed, with what to type instead."""
    key, _, value = override.partition("=")
    if key.lstrip("+") in LISTS:
        return f"{key} takes a list: type {shlex.quote(f'{key}=[{value}]')}"
    if key.lstrip("+") in WORDS:
        return f"{key} has several values: if it is one string with a comma, type {quoted(key, value)}"
    return f"{key} has several values: add -m to run them one after another, or use depthlab study"
