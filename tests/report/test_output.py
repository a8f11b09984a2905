"""Formats and width of a report's figures."""

import pytest

from depthlab.config.errors import UserError
from depthlab.report.output import Output


def test_the_defaults_are_for_the_screen() -> None:
    assert Output.read("[png]", "", "false") == Output()


@pytest.mark.parametrize(
    ("typed", "inches"), [("3.3in", 3.3), ("84mm", 84 / 25.4), ("17.5 cm", 17.5 / 2.54), ("null", None)]
)
def test_widths(typed: str, inches: float | None) -> None:
    assert Output.read("png", typed, "true").width == (inches and pytest.approx(inches))


@pytest.mark.parametrize(("typed", "formats"), [("[png,pdf, svg]", ("png", "pdf", "svg")), ("pdf,pdf", ("pdf",))])
def test_formats(typed: str, formats: tuple[str, ...]) -> None:
    assert Output.read(typed, "", "false").formats == formats


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (("[]", "", "false"), "formats must be a list of png, pdf, svg"),
        (("[jpg]", "", "false"), "formats must be a list of png, pdf, svg"),
        (("png", "3.3", "false"), "width must be a length from 2 to 40 inches"),
        (("png", "1in", "false"), "width must be a length from 2 to 40 inches"),
        (("png", "9999999in", "false"), "width must be a length from 2 to 40 inches"),
        (("png", "", "yes"), "latex must be true or false, got yes"),
    ],
)
def test_wrong_words_end_in_a_sentence(typed: tuple[str, str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Output.read(*typed)
