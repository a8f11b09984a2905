"""Expanding methods and swept settings into planned runs."""

from collections import Counter
from typing import Any

import pytest
import yaml

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.settings import config_hash
from depthlab.folders import CONF
from depthlab.study.grid import PlannedRun, expand

TWO = {"GCN": "model=gcn", "GCN + DropEdge": "model=gcn p_drop=0.2"}
Key = tuple[str, str, int, int, str]
SHIPPED = [
    pytest.param(path.stem, marks=() if path.stem in ("quick", "custom") else pytest.mark.slow)
    for path in sorted((CONF / "study").glob("*.yaml"))
]


def keys(runs: list[PlannedRun]) -> list[Key]:
    return [(run.dataset, run.method, run.depth, run.seed, run.split) for run in runs]


def grid_of(*typed: str, methods: dict[str, str] | None = None, **grid: Any) -> list[PlannedRun]:
    return expand(TWO if methods is None else methods, grid, {}, typed)


def test_methods_times_datasets_times_axes() -> None:
    runs = grid_of(dataset="texas,wisconsin", depth="2,8", seed="range(3)", split="0,4")
    assert len(set(keys(runs))) == len(runs) == 2 * 2 * 2 * 3 * 2
    assert {run.settings.p_drop for run in runs if run.method == "GCN + DropEdge"} == {0.2}
    assert {run.settings.p_drop for run in runs if run.method == "GCN"} == {0.0}


def test_typed_values_win_over_the_grid() -> None:
    runs = grid_of("seed=7", "depth=4", dataset="cora", depth="2,8", seed="0,1")
    assert keys(runs) == [("cora", label, 4, 7, "public") for label in TWO]


GRAPHS = {"weak": "dataset=csbm dataset.homophily=0.1 split=0,3", "cora": "dataset=cora seed=range(2)"}


def test_a_graph_has_settings_and_axes_of_its_own() -> None:
    runs = expand({"MLP": "model=mlp"}, {"depth": "2,4", "seed": 5}, {}, [], GRAPHS)
    assert sorted(keys(runs)) == sorted(
        [("weak", "MLP", depth, 5, split) for depth in (2, 4) for split in ("0", "3")]
        + [("cora", "MLP", depth, seed, "public") for depth in (2, 4) for seed in (0, 1)]
    )
    assert {run.settings.dataset.arguments.get("homophily") for run in runs if run.dataset == "weak"} == {0.1}


def test_what_is_typed_wins_over_graphs() -> None:
    methods, grid = {"MLP": "model=mlp"}, {"depth": "2"}
    assert keys(expand(methods, grid, {}, ["dataset=texas"], GRAPHS)) == [("texas", "MLP", 2, 0, "0")]
    assert {run.seed for run in expand(methods, grid, {}, ["seed=7"], GRAPHS)} == {7}


def test_a_graph_of_several_grids_has_each_of_their_runs_once() -> None:
    graphs = {"cora": ["dataset=cora depth=2,4 seed=range(3)", "dataset=cora depth=4,8 seed=0"]}
    methods = {"MLP": "model=mlp"}
    expected = [(2, 0), (2, 1), (2, 2), (4, 0), (4, 1), (4, 2), (8, 0)]
    assert sorted((run.depth, run.seed) for run in expand(methods, {}, {}, [], graphs)) == expected
    typed = expand(methods, {}, {}, ["depth=2", "seed=1"], graphs)  # what is typed is the same in both
    assert keys(typed) == [("cora", "MLP", 2, 1, "public")]
    with pytest.raises(UserError, match="the graph 'cora' sets epochs itself"):
        expand(methods, {}, {}, ["epochs=3"], {"cora": ["dataset=cora", "dataset=cora epochs=5"]})
    with pytest.raises(UserError, match="MLP on cora and MLP on again hold the same run twice"):
        expand(methods, {}, {}, [], {"cora": ["dataset=cora"], "again": ["dataset=cora"]})


@pytest.mark.parametrize(
    ("methods", "typed"),
    [({"MLP": "model=mlp"}, ["dataset.homophily=0.9"]), ({"MLP": "model=mlp dataset.homophily=0.9"}, [])],
)
def test_what_a_graph_sets_is_not_set_elsewhere(methods: dict[str, str], typed: list[str]) -> None:
    with pytest.raises(
        UserError, match=r"the graph 'weak' sets dataset\.homophily itself: leave dataset\.homophily out"
    ):
        expand(methods, {"depth": "2"}, {}, typed, GRAPHS)


def test_a_graph_sets_anything_but_an_axis_once() -> None:
    with pytest.raises(UserError, match=r"'weak' gives dataset\.homophily several values"):
        expand({"MLP": "model=mlp"}, {"depth": "2"}, {}, [], {"weak": "dataset=csbm dataset.homophily=0.1,0.2"})


def test_typed_models_replace_the_lines() -> None:
    runs = grid_of("model=mlp,gcnii", dataset="cora", depth="2")
    assert keys(runs) == [("cora", label, 2, 0, "public") for label in ("mlp", "gcnii")]


def test_other_settings_multiply_the_lines() -> None:
    runs = grid_of("dropout=0.1,0.3", "hidden=16", dataset="cora", depth="2")
    found = {run.method: (run.settings.p_drop, run.settings.dropout) for run in runs}
    assert found == {
        "GCN dropout=0.1": (0.0, 0.1), "GCN dropout=0.3": (0.0, 0.3),
        "GCN + DropEdge dropout=0.1": (0.2, 0.1), "GCN + DropEdge dropout=0.3": (0.2, 0.3),
    }  # fmt: skip
    assert {run.settings.hidden for run in runs} == {16}


def test_typed_methods_are_named_after_what_differs() -> None:
    runs = grid_of("model=gcnii", "model.alpha=0.1,0.5", "p_drop=0,0.2", "lr=0.1", dataset="cora", depth="2")
    labels = [f"gcnii alpha={alpha} p_drop={p}" for alpha in ("0.1", "0.5") for p in ("0", "0.2")]
    assert [run.method for run in runs] == labels
    assert [run.settings.model.arguments["alpha"] for run in runs] == [0.1, 0.1, 0.5, 0.5]


def test_lists_are_one_value() -> None:
    (run,) = grid_of("measures=[effective_rank,stable_rank]", "tracking.artifacts=[]", methods={"GCN": "model=gcn"})
    assert run.settings.measures == ["effective_rank", "stable_rank"]
    assert run.settings.tracking.artifacts == []


def test_seed_by_seed_and_splits_as_numbers() -> None:
    runs = grid_of(dataset="texas", depth="2,8", seed="1,0", split="range(10)")
    order = [(run.seed, int(run.split)) for run in runs]
    assert order == sorted(order)
    assert {run.method for run in runs[:4]} == set(TWO)


def test_random_splits_are_told_apart() -> None:
    runs = grid_of(dataset="cora", split="random", split_seed="3,5", depth="2")
    assert [run.split for run in runs] == ["random3", "random3", "random5", "random5"]


@pytest.mark.parametrize(
    ("method", "typed"),
    [
        ("model=gcn", ["dataset=cora"]),  # with a recipe
        ("model=gcnii p_drop=0.2", ["dataset=texas", "split=4", "split_seed=2"]),
        ("model=mlp", ["dataset=csbm", "dataset.nodes=120", "epochs=5", "split=7"]),
    ],
)
def test_a_run_is_the_same_experiment_as_the_typed_run(method: str, typed: list[str]) -> None:
    more = ["depth=3,8", "seed=1,3"]  # the run is neither the first nor the last
    last = [run for run in grid_of(*typed, *more, methods={"one": method}) if (run.depth, run.seed) == (8, 1)]
    settings = compose_settings([*method.split(), *typed, "depth=8", "seed=1"])
    assert [run.settings for run in last] == [settings]
    assert last[0].hash == config_hash(settings)


def test_where_values_come_from() -> None:
    (run,) = grid_of("depth=4", methods={"GCN": "model=gcn p_drop=0.2"}, dataset="cora", seed=1)
    for key in ("model", "dataset", "depth", "seed", "p_drop"):
        assert run.provenance[key] == "command line", key
    assert run.provenance["dropout"] == "recipe published/cora-gcn"
    assert run.provenance["epochs"] == "default"
    assert run.provenance["dataset.normalize_features"] == "dataset cora"


def test_animation_runs() -> None:
    grid = {"dataset": "cora", "depth": "2,8", "seed": "0,1"}
    animated = [key for run, key in _with_keys(expand(TWO, grid, {"depth": 8, "seed": 0}, [])) if run.animated]
    assert animated == [("cora", label, 8, 0, "public") for label in TWO]
    some = expand(TWO, grid, {"depth": 8, "seed": 0, "methods": ["GCN"]}, [])
    assert [key for run, key in _with_keys(some) if run.animated] == [("cora", "GCN", 8, 0, "public")]
    for animation in ({}, {"depth": 64}):  # what is not said, or not there: the largest depth, the first seed
        assert [key for run, key in _with_keys(expand(TWO, grid, animation, [])) if run.animated] == animated
    assert len({run.hash for run in some}) == 8  # whether states are kept is no part of the experiment


def _with_keys(runs: list[PlannedRun]) -> list[tuple[PlannedRun, Key]]:
    return list(zip(runs, keys(runs), strict=True))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_study_expands(name: str) -> None:
    content = yaml.safe_load((CONF / "study" / f"{name}.yaml").read_text())
    animation, graphs = content.get("animation", {}), content.get("graphs", {})
    runs = expand(content["methods"], content.get("grid", {}), animation, [], graphs)
    sizes = Counter((run.dataset, run.method) for run in runs)
    methods = {method for _, method in sizes}
    swept = [key for key in content.get("grid", {}) if key.startswith("model.")]
    if not swept:
        assert methods == (set(content["methods"]) or {"gcnii"})
    assert {dataset for dataset, _ in sizes} == set(graphs) or not graphs
    for dataset in {dataset for dataset, _ in sizes}:
        assert {(dataset, method) for method in methods} <= set(sizes)
        assert len({size for (name, _), size in sizes.items() if name == dataset}) == 1
    assert {run.method for run in runs if run.animated} == set(animation.get("methods", methods))


def test_a_method_that_is_wrong_itself() -> None:
    with pytest.raises(UserError, match="p_drop must be"):
        grid_of(methods={"GCN": "model=gcn p_drop=1.5"})


def test_rewirings_are_methods_of_a_study() -> None:
    runs = grid_of("rewiring=none,random", methods={"GCN": "model=gcn"}, dataset="texas", depth="2")
    assert [run.method for run in runs] == ["GCN rewiring=none", "GCN rewiring=random"]
    plain, rewired = runs
    assert plain.hash != rewired.hash
    assert plain.hash == grid_of(methods={"GCN": "model=gcn"}, dataset="texas", depth="2")[0].hash
    named = {"GCN": "model=gcn", "GCN + 9 random edges": "model=gcn rewiring=random rewiring.num_edges=9"}
    assert [run.settings.rewiring.arguments.get("num_edges") for run in grid_of(methods=named, depth="2")] == [
        None,
        9,
    ]
