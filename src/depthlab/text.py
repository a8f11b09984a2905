"""Escapes text of users, such as labels, paths and settings, for file names, Markdown, CSV, figures and terminals.

Imports nothing heavy.
"""

import hashlib
import re
import unicodedata

LIMIT = 200  # bytes of a file name; a disk allows 255, and suffixes such as `.json.part` follow
MARKUP = {char: f"&#{ord(char)};" for char in "\\|*~`<>[]$&"}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs what begins with one of these


def file_name(text: str) -> str:
    """A name for a file or folder, without slashes, so that it cannot lead to another folder.

    A short text of printable characters without a leading dot is used as it is. In any other text dashes replace the
    forbidden characters, the rest is shortened, and a hash of the full text makes the name unique.
    """
    safe = "".join("-" if char in "/\\" or _is_control(char) else char for char in text)
    if safe == text and text and not text.startswith(".") and len(text.encode()) <= LIMIT:
        return text
    return _with_hash(safe.lstrip(".-"), text)


def slug(text: str) -> str:
    """A file name in lower case, with dashes for all but ASCII letters and digits; shortened as by `file_name`."""
    short = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return short if short and len(short) <= LIMIT else _with_hash(short, text)


def printable(text: str) -> str:
    """The text with control characters and line breaks escaped, as `\\x1b`: raw, they move the cursor of a terminal."""
    return "".join(char.encode("unicode_escape").decode() if _is_control(char) else char for char in text)


def for_markdown(text: str) -> str:
    """The text on one line, with HTML entities for what Markdown takes for markup.

    Markdown ignores an underscore within a word, so it is not escaped.
    """
    escaped = "".join(MARKUP.get(char, char) for char in printable(text))
    return re.sub(r"(?<!\w)_|_(?!\w)", "&#95;", escaped)


def for_csv(value: object) -> object:
    """The value, with an apostrophe before a text that a spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def for_figure(text: str) -> str:
    """The text for Matplotlib, which reads a formula between two `$` and leaves out labels that begin with `_`."""
    escaped = printable(text).replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def _is_control(char: str) -> bool:
    """Whether it is a control, a format (such as right-to-left), half of a pair, or a line break."""
    kind = unicodedata.category(char)
    return kind.startswith("C") or kind in ("Zl", "Zp")


def _with_hash(text: str, original: str) -> str:
    digest = hashlib.sha256(original.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    short = text.encode("utf-8", "ignore")[: LIMIT - len(digest) - 1].decode("utf-8", "ignore")
    return f"{short}-{digest}" if short else digest
