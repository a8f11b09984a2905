r"""LaTeX tables: what is bold and what is escaped."""

import re

import pandas as pd

from depthlab.report.latex import best, latex
from tests.report.conftest import Frame

LOW, HIGH = [0.70, 0.71, 0.69, 0.70, 0.72], [0.80, 0.82, 0.79, 0.80, 0.81]


def test_the_best_is_bold_where_it_beats_every_other(frame: Frame) -> None:
    runs = pd.concat([frame("a", 2, list(LOW)), frame("b", 2, list(HIGH)), frame("c", 2, [x - 0.01 for x in LOW])])
    assert best(runs) == {("b", 2)}
    bold = re.findall(r"\\mathbf\{(.*?)\}", latex(runs))
    assert bold == [r"80.4 \pm 1.4"]


def test_nothing_is_bold_where_two_are_as_good_or_runs_are_few(frame: Frame) -> None:
    close = [x - 0.001 * (-1) ** k for k, x in enumerate(HIGH)]
    runs = pd.concat([frame("a", 2, list(LOW)), frame("b", 2, list(HIGH)), frame("c", 2, list(close))])
    assert best(runs) == set()
    assert best(pd.concat([frame("a", 2, [0.1, 0.1]), frame("b", 2, [0.9, 0.9])])) == set()
    assert best(frame("a", 2, list(HIGH))) == set()


def test_the_correction_counts_all_comparisons_of_the_table(frame: Frame) -> None:
    weak = [0.70, 0.73, 0.71, 0.74, 0.70]
    strong = [x + d for x, d in zip(weak, (0.01, 0.05, 0.01, 0.04, 0.02), strict=True)]
    alone = pd.concat([frame("a", 2, list(weak)), frame("b", 2, list(strong))])
    assert best(alone) == {("b", 2)}
    others = [frame(name, depth, [0.5, 0.7, 0.5, 0.6, 0.5]) for depth in (4, 8, 16) for name in ("a", "b")]
    assert best(pd.concat([alone, *others])) == set()


def test_an_error_is_best_when_lowest(frame: Frame) -> None:
    parts = [
        frame(name, 2, [None] * 5).assign(metric="mae", test_mae=values) for name, values in (("a", LOW), ("b", HIGH))
    ]
    assert best(pd.concat(parts)) == {("a", 2)}


def test_the_table_has_a_row_a_method_and_a_column_a_depth(frame: Frame) -> None:
    runs = pd.concat([frame("a_&%", 2, list(LOW)), frame("a_&%", 8, [0.5, None]), frame("b", 2, [None])])
    text = latex(runs.assign(dataset="x_y"))
    assert r"\caption{x\_y: test accuracy in \%, mean" in text
    assert r"\begin{tabular}{lrr}" in text
    assert r"method & 2 & 8 \\" in text
    assert r"a\_\&\% & $70.4 \pm 1.4$ & $50.0 (1 of 2)$ \\" in text
    assert r"b & $- (0 of 1)$ & -- \\" in text
    assert all(text.count(f"\\{rule}") == 1 for rule in ("toprule", "midrule", "bottomrule"))
