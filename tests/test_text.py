"""Text of users in file names, Markdown, CSV, figures and a terminal."""

import html
import io
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from depthlab.text import LIMIT, file_name, for_csv, for_figure, for_markdown, printable, slug

HOSTILE = [
    "../../x",
    "/etc/x",
    "..",
    ".",
    "",
    ".hidden",
    "a/b",
    "a\\b",
    "a\nb",
    "a\x00b",
    "a\x1b[2J",
    "\u202eab",
    "\udcff",
]
LONG = ["a" * 300, "é" * 150, "数" * 100, "a/" * 200]


@pytest.mark.parametrize("text", ["cora", "csbm", "cora-gcnii-d64-s0-split3-fosr", "my graph", "G_2.1+x", "графы", "-"])
def test_an_ordinary_name_is_not_changed(text: str) -> None:
    assert file_name(text) == text


@pytest.mark.parametrize("text", [*HOSTILE, *LONG])
@pytest.mark.parametrize("make", [file_name, slug])
def test_a_file_name_is_one_part_of_a_path_and_short_enough(make: object, text: str, tmp_path: Path) -> None:
    name = make(text)  # type: ignore[operator]
    assert 0 < len(name.encode()) <= LIMIT
    assert Path(name).name == name not in (".", "..")
    assert name.isprintable() and not name.startswith(".")
    path = tmp_path / f"{name}.json.part"
    path.write_text("")
    assert path.parent == tmp_path


def test_similar_texts_have_different_names() -> None:
    alike = ["a/b", "a\\b", "a\nb", "a-b", "a" * 300 + "1", "a" * 300 + "2", "a" * 300 + "/", "..", ".", ""]
    assert len({file_name(text) for text in alike}) == len(alike)
    assert slug("a" * 300 + " 1") != slug("a" * 300 + " 2")
    assert slug("/data/" + "x" * 240 + "/a.npz") != slug("/data/" + "x" * 240 + "/b.npz")


@pytest.mark.parametrize(("label", "name"), [("csbm GCN + DropEdge 0.2", "csbm-gcn-dropedge-0-2"), ("A", "a")])
def test_slug(label: str, name: str) -> None:
    assert slug(label) == name


@pytest.mark.parametrize("text", [*HOSTILE, "\r", "\x85", "\u2028"])
def test_printable_text_has_no_control_characters(text: str) -> None:
    assert printable(text).isprintable()


def test_printable_text_is_not_changed() -> None:
    assert printable("GCN + <b>&'é 数 🙂") == "GCN + <b>&'é 数 🙂"
    assert printable("a\x1b[31mb\nc") == "a\\x1b[31mb\\nc"


@pytest.mark.parametrize(
    "text", ["a|b", "<b>", "`x`", "[x](y)", "*a*", "_a_", "~~a~~", "a\\|b", "&amp;", "a\nb", "$x$"]
)
def test_markdown_shows_the_original_text(text: str) -> None:
    escaped = for_markdown(text)
    assert not set("|<>`[]*~\n\\$").intersection(escaped)
    assert html.unescape(escaped) == printable(text)


def test_ordinary_text_is_not_escaped_for_markdown() -> None:
    text = "GCN + DropEdge 0.2, residual_gcn, model.alpha=0.1 (2 of 3)"
    assert for_markdown(text) == text


@pytest.mark.parametrize("text", ["=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", "\r=1"])
def test_formulas_are_escaped_for_spreadsheets(text: str) -> None:
    assert for_csv(text) == f"'{text}"


def test_csv_keeps_numbers_and_quotes_the_rest() -> None:
    frame = pd.DataFrame({"label": ['a,"b"\nc', "GCN"], "value": [-0.5, 1.0], "n": [-1, 2]})
    read = pd.read_csv(io.StringIO(frame.map(for_csv).to_csv(index=False)))
    pd.testing.assert_frame_equal(read, frame)


@pytest.mark.parametrize("text", ["$x", "$x$", r"$\frac$", "_x", "a\nb", "cost: $5 and $6"])
def test_a_figure_shows_a_label_as_text(text: str) -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], label=for_figure(text))
    legend = axes.legend()
    figure.savefig(io.BytesIO(), format="png", dpi=20)
    (shown,) = legend.get_texts()
    plain, is_formula = shown._preprocess_math(shown.get_text())  # type: ignore[attr-defined]
    assert (plain.strip(), is_formula) == (printable(text), False)
