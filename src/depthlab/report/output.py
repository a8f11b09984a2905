"""What a report writes: formats and width of its figures, and LaTeX tables."""

import re
from dataclasses import dataclass

from depthlab.config.errors import UserError

FORMATS = ("png", "pdf", "svg")
INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4}
NARROWEST, WIDEST = 2.0, 40.0  # inches


@dataclass(frozen=True)
class Output:
    """Choices of `depthlab report`.

    Attributes:
        formats: of the figures.
        width: of the figures in inches, for a column of a paper; None for the screen.
        latex: whether to write `tables.tex`.
    """

    formats: tuple[str, ...] = ("png",)
    width: float | None = None
    latex: bool = False

    @classmethod
    def read(cls, formats: str, width: str, latex: str) -> "Output":
        """From typed words such as `[png,pdf]`, `3.3in` and `true`; an empty width is the screen's.

        Raises:
            UserError: a word is not allowed.
        """
        chosen = tuple(dict.fromkeys(filter(None, re.split(r"[\s,]+", formats.strip("[] ")))))
        if not chosen or set(chosen).difference(FORMATS):
            raise UserError(f"formats must be a list of {', '.join(FORMATS)}, such as '[png,pdf]', got {formats}")
        if latex not in ("true", "false"):
            raise UserError(f"latex must be true or false, got {latex}")
        return cls(chosen, _inches(width), latex == "true")


def _inches(width: str) -> float | None:
    if width in ("", "null"):
        return None
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(in|cm|mm)", width)
    inches = float(match[1]) * INCHES[match[2]] if match else 0.0
    if not NARROWEST <= inches <= WIDEST:
        raise UserError(
            f"width must be a length from {NARROWEST:g} to {WIDEST:g} inches, such as 3.3in or 84mm, got {width}"
        )
    return inches
