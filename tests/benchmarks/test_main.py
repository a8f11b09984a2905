"""The tables of the bench."""

import math
import re
import shlex

from benchmarks.__main__ import EPOCHS, PEERS, STEP_COLUMNS, STEPS, head, line, make_parser, remarks, step_cells
from benchmarks.steps import COMPILED_LAYERS, left_out, sides
from benchmarks.timing import Timing
from depthlab.folders import CHECKOUT

TOOK = {
    "compiled": Timing(0.01),
    "plain": Timing(0.02, spread=1.3, rounds=9),
    **{peer: Timing(0.05 * number, rounds=9) for number, peer in enumerate(PEERS[::-1], 1)},
    "products": Timing(0.0125),
}


def test_a_row_quotes_the_strongest_peer_and_marks_times_that_do_not_agree() -> None:
    cells = step_cells("GCNII", TOOK)
    assert len(cells) == len(STEP_COLUMNS)
    assert cells == ["GCNII", "10", "20*", "250", "200", "150", "100", "50", "12.5", "25.0",
                     "5.0 (CSR, torch.compile)", "0.80"]  # fmt: skip
    assert remarks("GCNII", TOOK) == ["GCNII, plain: after 9 rounds the halves still differ, by a factor of 1.30"]


def test_a_side_that_cannot_run_leaves_its_cell_empty_and_says_why() -> None:
    missing = {
        "compiled": Timing(math.inf, unavailable="no compiler"),
        "CSR": Timing(math.inf, unavailable="no CSR matrix"),
    }
    took = TOOK | missing
    took.pop("products")
    cells = dict(zip(STEP_COLUMNS, step_cells("GCN", took), strict=True))
    assert cells["ours"] == cells["PyG, CSR"] == cells["products"] == cells["ours / products"] == ""
    assert cells["edges / ours"] == "12.5"  # ours is what a run has here: the plain side
    assert remarks("GCN", took)[:2] == ["GCN, compiled: no compiler", "GCN, CSR: no CSR matrix"]


def test_rows_are_markdown() -> None:
    assert line(["a", "b"]) == "| a | b |"
    assert head(["a", "b"]) == "\n| a | b |\n| --- | --- |"


def test_sides_of_a_network() -> None:
    assert {"gcnii-64x64", "gcnii-64x32", "gcnii-256x64", "gcnii-1024x64", "gcn-64x64", "appnp-64x64"} <= set(STEPS)
    assert not set(STEPS) & set(EPOCHS)
    shallow, deep = sides("gcnii", 2, 8, COMPILED_LAYERS), sides("gcn", 64, 8, COMPILED_LAYERS)
    assert set(shallow) == set(TOOK) and set(deep) == set(TOOK) - {"products"}
    assert deep["edges, torch.compile"].func is left_out  # type: ignore[attr-defined]
    assert shallow["edges, torch.compile"].func is not left_out  # type: ignore[attr-defined]


def test_the_short_bench_of_the_page_is_understood() -> None:
    page = (CHECKOUT / "docs" / "performance.md").read_text()
    found = re.findall(r'^    make bench ARGS="(.*)"$', page, re.MULTILINE)
    assert [make_parser().parse_args(shlex.split(words)).rows for words in found] == [["gcnii-64x64", "epoch-2"]]
    assert make_parser().parse_args([]).rows == [*STEPS, *EPOCHS]
