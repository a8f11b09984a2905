"""Markdown tables: our means and intervals, what is published beside them, differences, verdicts."""

import html
import math
import statistics
from typing import Any

import pandas as pd
import pytest
import yaml

from depthlab.folders import CONF
from depthlab.report.protocol import protocol
from depthlab.report.runs import Report
from depthlab.report.table import (
    depth_rows,
    difference_rows,
    markdown,
    medians,
    method_rows,
    score_rows,
    seconds,
    state_rows,
)
from depthlab.text import for_markdown, printable
from tests.report.conftest import METHODS, Frame, Store

PUBLISHED: dict[str, Any] = yaml.safe_load((CONF / "published.yaml").read_text())
STUDENT = {1: 12.7062, 2: 4.3027}  # quantile 0.975 by degrees of freedom
OURS = [0.80, 0.83, 0.815]


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half the 95 % interval, as a book's table of Student's t gives it."""
    n = len(values)
    return statistics.fmean(values), STUDENT[n - 1] * statistics.stdev(values) / math.sqrt(n)


def entries(dataset: str) -> list[dict[str, Any]]:
    return [entry for entry in PUBLISHED["entries"] if entry["dataset"] == dataset]


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a Markdown text: rows of cells, without the line below the head."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
            found[-1].append([cell.strip() for cell in line[1:-1].split("|")])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_mean_and_interval(frame: Frame) -> None:
    mean, half = interval(OURS)
    assert f"{100 * mean:.1f} ± {100 * half:.1f}" == "81.5 ± 3.7"
    parts = [frame("GCN", 2, list(OURS)), frame("GCN", 4, [None, None]), frame("GCN", 8, [None, 0.25])]
    parts += [frame("GCNII", 2, [0.8125]), frame("MLP", 2, [0.1]).assign(test_roc_auc=0.7, metric="roc_auc")]
    assert score_rows(pd.concat(parts), []) == [
        ["method", "2", "4", "8"],
        ["GCN", "81.5 ± 3.7", "- (0 of 2)", "25.0 (1 of 2)"],
        ["GCNII", "81.2", "-", "-"],
        ["MLP", "70.0", "-", "-"],
    ]
    text = markdown(parts[-1])
    assert "Test ROC-AUC in %:" in text and "Beyond" not in text  # of one depth


def test_interval_over_several_splits_is_that_of_their_means(frame: Frame) -> None:
    splits = {"0": [0.6, 0.7], "1": [0.8, 0.9], "2": [0.7, 0.6]}
    runs = pd.concat([frame("GCN", 2, list(values), split=split) for split, values in splits.items()])
    mean, half = interval([0.65, 0.85, 0.65])
    assert score_rows(runs, [])[1] == ["GCN", f"{100 * mean:.1f} ± {100 * half:.1f}"]
    assert "over splits (each the mean of its seeds)" in protocol(runs)


def test_published_values_stand_below_methods_of_their_kind(frame: Frame) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "GCN": {},
        "GCN + DropEdge": {"p_drop": 0.2},
        "residual": {"model": "residual_gcn"},
        "MLP": {"model": "mlp"},
    }
    parts = [frame(method, depth, [0.8], **kind) for method, kind in kinds.items() for depth in (2, 4)]
    rows = score_rows(pd.concat(parts), entries("cora"))
    assert [row[0] for row in rows[1:]] == [
        "GCN", "*published* [dropedge]", "GCN + DropEdge", "*published* [dropedge]", "residual", "MLP",
    ]  # fmt: skip
    assert rows[2][1:] == ["81.1", "80.4"]
    assert rows[4][1:] == ["82.8", "82.0"]


def test_runs_that_never_ran_leave_a_method_its_kind(frame: Frame) -> None:
    never = frame("GCN + DropEdge", 2, [None], model=None, p_drop=math.nan, overrides=None, outcome="missing")
    rows = score_rows(pd.concat([never, frame("GCN + DropEdge", 4, [0.8], p_drop=0.2)]), entries("cora"))
    assert rows[2] == ["*published* [dropedge]", "82.8", "82.0"]


@pytest.mark.parametrize(
    ("changes", "published"),
    [
        ({"overrides": "dataset=cora depth=2 seed=1 recipe=published"}, [["*published* [dropedge]", "81.1"]]),
        ({"overrides": "model=gcn lr=0.1"}, []),
        ({"overrides": "norm=pair"}, []),
        ({"split": "random0"}, []),
    ],
)
def test_published_values_do_not_stand_below_another_experiment(
    frame: Frame, changes: dict[str, str], published: list[list[str]]
) -> None:
    runs = frame("GCN", 2, [0.8], **changes)
    assert score_rows(runs, entries("cora")) == [["method", "2"], ["GCN", "80.0"], *published]
    assert ("[dropedge]" in markdown(runs)) == bool(published)


def test_best_of_all_depths_has_a_column_of_its_own(frame: Frame) -> None:
    runs = [frame("GCN", 2, [0.5], dataset="texas"), frame("MLP", 2, [0.5], dataset="texas", model="mlp")]
    rows = score_rows(pd.concat(runs), entries("texas"))
    best = next(entry["best"] for entry in entries("texas") if entry["model"] == "gcn")
    assert rows[0] == ["method", "2", "published, depth tuned"]
    assert rows[1:] == [["GCN", "50.0", best], ["MLP", "50.0", "-"]]


def test_differences_are_taken_from_the_first_method_of_the_same_model(frame: Frame) -> None:
    methods = ("GCN", "GCNII", "GCNII + DropEdge", "GCN + DropEdge", "GCNII without decay")
    runs = [frame(method, 2, [0.1 * k], model=method.split()[0].lower()) for k, method in enumerate(methods)]
    runs.append(frame("GAT", 2, [None], model=float("nan"), outcome="missing"))  # not run yet, so without a model
    assert difference_rows(pd.concat(runs)) == [
        ["difference", "2"],
        ["GCNII - GCN", "+10.0"],
        ["GCNII + DropEdge - GCNII", "+10.0"],
        ["GCN + DropEdge - GCN", "+30.0"],
        ["GCNII without decay - GCNII", "+30.0"],
        ["GAT - GCN", "- (0 of 1)"],
    ]


def test_differences_are_paired_by_seed(frame: Frame) -> None:
    first, second = [0.8, 0.9, 0.815, 0.81], [0.82, None, 0.805, 0.9]
    other = frame("GCN + Y", 2, [None, 0.5])  # one run is shared
    runs = pd.concat([frame("GCN", 2, list(first)), frame("GCN + X", 2, second), other])
    mean, half = interval([0.82 - 0.80, 0.805 - 0.815, 0.9 - 0.81])
    assert difference_rows(runs)[1:] == [
        ["GCN + X - GCN", f"{100 * mean:+.1f} ± {100 * half:.1f} (3 of 4)"],
        ["GCN + Y - GCN", "-40.0 (1 of 2)"],
    ]


def test_each_depth_is_compared_with_the_shallowest_over_the_runs_that_both_have(frame: Frame) -> None:
    parts = [frame("GCN", 4, [0.82, 0.80, 0.85]), frame("GCN", 2, [0.80, 0.81, 0.79]), frame("GCN", 8, [0.9, None])]
    mean, half = interval([0.82 - 0.80, 0.80 - 0.81, 0.85 - 0.79])
    other = frame("GCNII", 8, [0.9])
    assert depth_rows(pd.concat([*parts, other])) == [
        ["2 layers", "4", "8"],
        ["GCN", f"{100 * mean:+.1f} ± {100 * half:.1f}", "+10.0 (1 of 2)"],
        ["GCNII", "-", "-"],
    ]


def test_verdicts_are_counted_and_what_has_none_by_its_outcome(frame: Frame) -> None:
    runs = pd.concat([frame("GCN", 2, [0.8, 0.8, None]), frame("GCN", 4, [None], outcome="missing", verdict=None)])
    assert ["GCN", "2 healthy, 1 diverged", "1 missing"] in tables(markdown(runs))[2]


def test_states_are_medians_and_seconds_a_mean(frame: Frame) -> None:
    runs = frame("GCN", 2, [0.8, 0.8, 0.8]).assign(
        dirichlet_energy=[1e-9, 2e-9, 1.0],
        rayleigh_quotient=[0.1, 0.3, 0.2],
        effective_rank=[1.0, 2.5, 9.0],
        seconds=[1.0, 2.0, 6.0],
    )
    nothing = dict.fromkeys(("dirichlet_energy", "rayleigh_quotient", "effective_rank", "seconds"), math.nan)
    both = pd.concat([runs, frame("GCN", 4, [None], **nothing)])
    assert state_rows(both)[1] == ["GCN", "2e-09 / 0.2 / 2.5", "- (0 of 1)"]
    rank = both.assign(dirichlet_energy=math.nan, rayleigh_quotient=math.nan)
    assert state_rows(rank) == [["method: effective rank", "2", "4"], ["GCN", "2.5", "- (0 of 1)"]]
    assert state_rows(rank.assign(effective_rank=math.nan)) == []
    assert method_rows(both, seconds)[1] == ["GCN", "3", "- (0 of 1)"]
    assert seconds(runs.assign(seconds=[0.1, 0.4, 0.7])) == "0.4"


def test_medians_and_seconds_say_how_many_runs_they_are_of(frame: Frame) -> None:
    runs = frame("GCN", 2, [0.8, 0.8, None]).assign(seconds=[1.0, 3.0, math.nan])
    lost = {name: [0.5, 0.5, math.nan] for name in ("dirichlet_energy", "rayleigh_quotient")}
    names = [*lost, "effective_rank"]
    assert medians(runs.assign(**lost, effective_rank=[3.0, 3.0, math.nan])[names]) == "0.5 / 0.5 / 3 (2 of 3)"
    assert medians(runs.assign(**lost)[names]) == "0.5 (2 of 3) / 0.5 (2 of 3) / 3"
    assert medians(runs.assign(**lost, effective_rank=math.nan)[names]) == "0.5 (2 of 3) / 0.5 (2 of 3) / - (0 of 3)"
    assert seconds(runs) == "2 (2 of 3)"


def test_protocol_counts_every_run(frame: Frame) -> None:
    runs = pd.concat([frame("GCN", 2, [0.8, 0.8, None]), frame("GCN", 4, [None], outcome="failed")])
    counts = "4 runs, 2 finished, 1 diverged, 1 failed; seeds 0 to 2 (seed 0 at depth 4), split public."
    assert protocol(runs).startswith(counts) and "code_hash" not in protocol(runs)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([{}], "Settings: GCN: published/cora-gcn. "),
        ([{"recipe": "none"}], "Settings: GCN: defaults. "),
        ([{"recipe": None, "code_hash": None}], "Settings: GCN: not run yet. "),
        ([{"overrides": "dataset=cora depth=2 lr=0.1 split=random split_seed=3"}], "published/cora-gcn with lr=0.1. "),
        ([{}], "best on validation data"),
        ([{"overrides": "model=gcn monitor=train_acc"}], "best on training data"),
        ([{}, {"overrides": "model=gcn monitor=train_acc"}], "best on validation or training data"),
        ([{}, {"code_hash": "d"}], "Not all runs of a method were computed by the same code"),
        ([{}, {}], "Each method: the same settings at every depth. All runs"),
        ([{}], "Each method: run at one depth. All runs"),
    ],
)
def test_protocol_tells_how_runs_were_made(frame: Frame, changes: list[dict[str, Any]], sentence: str) -> None:
    runs = pd.concat([frame("GCN", 2 + k, [0.8], **change) for k, change in enumerate(changes)])
    assert sentence in protocol(runs)


@pytest.mark.slow
def test_whole_text_is_valid_markdown(report: Report) -> None:
    text = markdown(report.runs)
    found = tables(text)
    deeper = found.pop(2)
    assert deeper[0] == ["2 layers", "4"] and len(deeper) == 6
    assert [len(table) - 1 for table in found] == [5, 4, 5, 5, 5]  # accuracies, differences, verdicts, states, seconds
    for table in found:
        assert set(map(len, table)) == {3}
        assert table[0][1:] == ["2", "4"]
        assert table[1][1][0] == "-"
    assert text.startswith("# Study small\n\n## csbm\n\n24 runs, 18 finished, 6 diverged;")
    assert "\n\n\n" not in text


def test_whole_text_holds_the_means_of_the_runs(recorded: Store, report: Report) -> None:
    rows = {row[0]: row[1:] for row in tables(markdown(report.runs))[0]}
    shown = {method: for_markdown(method) for method in METHODS}
    for method in METHODS:
        for column, depth in enumerate((2, 4)):
            runs = [recorded.run(method, depth, seed).metrics.get("test_acc") for seed in (0, 1, 2)]
            values = [value for value in runs if value is not None]
            mean, half = interval(values) if values else (0.0, 0.0)
            assert rows[shown[method]][column] == (f"{100 * mean:.1f} ± {100 * half:.1f}" if values else "- (0 of 3)")


def test_sources_of_what_is_published_are_named(frame: Frame) -> None:
    text = markdown(pd.concat([frame("GCN", 2, [0.8]), frame("MLP", 2, [0.6], model="mlp")]))
    source = PUBLISHED["sources"]["dropedge"]
    assert f"- [dropedge]: {source['title']}; {source['protocol']}." in text
    assert "[gcnii]" not in text


@pytest.mark.parametrize("label", ["a|b", "a\nb", "[x](http://x)", "<script>", "`code`", "*a* _b_", "a\x1b[31m"])
def test_a_label_is_text_in_every_table(frame: Frame, label: str) -> None:
    runs = [frame(name, depth, [0.5] * 3, dataset=label) for name in ("GCN", label) for depth in (2, 4)]
    text = markdown(pd.concat(runs))
    for table in tables(text):
        assert {len(row) for row in table} == {2 if table[0][0] == "2 layers" else 3}
    assert label not in text
    assert f"\n## {for_markdown(label)}\n" in text
    assert html.unescape(for_markdown(label)) == printable(label)


def test_a_table_says_which_methods_have_the_same_settings_at_every_depth(frame: Frame) -> None:
    one = frame("A", 2, [0.5], overrides="lr=0.1 depth=2")
    same = [frame("B", depth, [0.5], overrides=f"lr=0.1 depth={depth}") for depth in (2, 4)]
    other = [frame("C", depth, [0.5], overrides=f"lr=0.{depth}") for depth in (2, 4)]
    recipes = [frame("D", depth, [0.5], recipe=f"tuned/x{depth}") for depth in (2, 4)]
    never = frame("E", 2, [None], overrides=None, outcome="missing")
    text = protocol(pd.concat([one, *same, *other, *recipes, never]))
    differ = "settings that differ by depth (overrides, in runs.csv)"
    assert f" B: the same settings at every depth. A: run at one depth. C, D: {differ}. All runs" in text
    assert "D: tuned/x2 (found by a sweep) and tuned/x4 (found by a sweep)" in text


@pytest.mark.parametrize("entry", PUBLISHED["entries"], ids=lambda e: f"{e['dataset']}-{e['model']}-{e['drop_edge']}")
def test_published_entries_are_of_what_there_is(entry: dict[str, Any]) -> None:
    assert set(entry) <= {"dataset", "model", "drop_edge", "source", "values", "best"}
    assert (CONF / "dataset" / f"{entry['dataset']}.yaml").is_file()
    assert (CONF / "model" / f"{entry['model']}.yaml").is_file()
    assert entry["source"] in PUBLISHED["sources"]
    # DropEdge's ResGCN has one skip around its block, its JKNet a graph convolution at the end: ours have not
    assert (entry["model"], entry["source"]) not in {("residual_gcn", "dropedge"), ("jknet", "dropedge")}
    assert ("values" in entry) != ("best" in entry)
    assert f"[{entry['source']}]" in entry.get("best", f"[{entry['source']}]")  # it stands in a column of its own
    assert all(depth >= 1 and 0 < value < 100 for depth, value in entry.get("values", {}).items())
    same = [
        other for other in PUBLISHED["entries"] if all(other[k] == entry[k] for k in ("dataset", "model", "drop_edge"))
    ]
    assert same == [entry]
