"""Text of the user's, as it may be written into a file name, Markdown, CSV, a figure or a terminal.

Labels, names, paths and settings are typed by people and may hold anything. Imports nothing heavy.
"""

import hashlib
import re
import unicodedata

LIMIT = 200  # bytes of a file name, of the 255 that a disk allows: endings such as `.json.part` come behind it
MARKUP = {char: f"&#{ord(char)};" for char in "\\|*~`<>[]$&"}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs what begins with one of these


def file_name(text: str) -> str:
    """A name for a file or folder that lies where it is put: one part of a path, never a path.

    A text of printable characters that begins with no dot and is short enough is its own name. Of any other the
    offending characters become dashes, the rest is shortened, and a hash of the whole text makes it unique.
    """
    safe = "".join("-" if char in "/\\" or _is_control(char) else char for char in text)
    if safe == text and text and not text.startswith(".") and len(text.encode()) <= LIMIT:
        return text
    return _with_hash(safe.lstrip(".-"), text)


def slug(text: str) -> str:
    """A file name in lower case, with dashes for all that is no letter or digit of ASCII; a long one as `file_name`."""
    short = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return short if short and len(short) <= LIMIT else _with_hash(short, text)


def printable(text: str) -> str:
    """With control characters and line breaks as `\\x1b`: they would move a terminal's cursor or forge a line."""
    return "".join(char.encode("unicode_escape").decode() if _is_control(char) else char for char in text)


def for_markdown(text: str) -> str:
    """With HTML's entities for what Markdown would take for markup, and on one line.

    An underscore within a word is none.
    """
    escaped = "".join(MARKUP.get(char, char) for char in printable(text))
    return re.sub(r"(?<!\w)_|_(?!\w)", "&#95;", escaped)


def for_csv(value: object) -> object:
    """With an apostrophe before what a spreadsheet would take for a formula; numbers stay."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def for_figure(text: str) -> str:
    """For Matplotlib, which takes what stands between two `$` for a formula and leaves labels with `_` out."""
    escaped = printable(text).replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def _is_control(char: str) -> bool:
    """Whether it is a control, a format (such as right-to-left), half of a pair, or a line break."""
    kind = unicodedata.category(char)
    return kind.startswith("C") or kind in ("Zl", "Zp")


def _with_hash(text: str, whole: str) -> str:
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    short = text.encode("utf-8", "ignore")[: LIMIT - len(digest) - 1].decode("utf-8", "ignore")
    return f"{short}-{digest}" if short else digest
