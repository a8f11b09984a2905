"""From lines and swept settings to cells."""

from collections import Counter
from typing import Any

import pytest
import yaml

from depthlab.config.errors import UserError
from depthlab.config.settings import compose_settings, config_hash
from depthlab.folders import CONF
from depthlab.study.grid import Cell, expand

TWO = {"GCN": "model=gcn", "GCN + DropEdge": "model=gcn p_drop=0.2"}
Key = tuple[str, str, int, int, str]
SHIPPED = [
    pytest.param(path.stem, marks=() if path.stem in ("quick", "custom") else pytest.mark.slow)
    for path in sorted((CONF / "study").glob("*.yaml"))
]


def keys(cells: list[Cell]) -> list[Key]:
    return [(cell.dataset, cell.line, cell.depth, cell.seed, cell.split) for cell in cells]


def grid_of(*typed: str, lines: dict[str, str] | None = None, **grid: Any) -> list[Cell]:
    return expand(TWO if lines is None else lines, grid, {}, typed)


def test_lines_times_datasets_times_axes() -> None:
    cells = grid_of(dataset="texas,wisconsin", depth="2,8", seed="range(3)", split="0,4")
    assert len(set(keys(cells))) == len(cells) == 2 * 2 * 2 * 3 * 2
    assert {cell.settings["p_drop"] for cell in cells if cell.line == "GCN + DropEdge"} == {0.2}
    assert {cell.settings["p_drop"] for cell in cells if cell.line == "GCN"} == {0.0}


def test_typed_values_win_over_the_grid() -> None:
    cells = grid_of("seed=7", "depth=4", dataset="cora", depth="2,8", seed="0,1")
    assert keys(cells) == [("cora", label, 4, 7, "public") for label in TWO]


GRAPHS = {"weak": "dataset=csbm dataset.homophily=0.1 split=0,3", "cora": "dataset=cora seed=range(2)"}


def test_a_graph_has_settings_and_axes_of_its_own() -> None:
    cells = expand({"MLP": "model=mlp"}, {"depth": "2,4", "seed": 5}, {}, [], GRAPHS)
    assert sorted(keys(cells)) == sorted(
        [("weak", "MLP", depth, 5, split) for depth in (2, 4) for split in ("0", "3")]
        + [("cora", "MLP", depth, seed, "public") for depth in (2, 4) for seed in (0, 1)]
    )
    assert {cell.settings["dataset"].get("homophily") for cell in cells if cell.dataset == "weak"} == {0.1}


def test_what_is_typed_wins_over_graphs() -> None:
    lines, grid = {"MLP": "model=mlp"}, {"depth": "2"}
    assert keys(expand(lines, grid, {}, ["dataset=texas"], GRAPHS)) == [("texas", "MLP", 2, 0, "0")]
    assert {cell.seed for cell in expand(lines, grid, {}, ["seed=7"], GRAPHS)} == {7}


def test_a_graph_of_several_grids_has_each_of_their_cells_once() -> None:
    graphs = {"cora": ["dataset=cora depth=2,4 seed=range(3)", "dataset=cora depth=4,8 seed=0"]}
    lines = {"MLP": "model=mlp"}
    expected = [(2, 0), (2, 1), (2, 2), (4, 0), (4, 1), (4, 2), (8, 0)]
    assert sorted((cell.depth, cell.seed) for cell in expand(lines, {}, {}, [], graphs)) == expected
    typed = expand(lines, {}, {}, ["depth=2", "seed=1"], graphs)  # what is typed is the same in both
    assert keys(typed) == [("cora", "MLP", 2, 1, "public")]
    with pytest.raises(UserError, match="the graph 'cora' sets epochs itself"):
        expand(lines, {}, {}, ["epochs=3"], {"cora": ["dataset=cora", "dataset=cora epochs=5"]})
    with pytest.raises(UserError, match="MLP on cora and MLP on again hold the same run twice"):
        expand(lines, {}, {}, [], {"cora": ["dataset=cora"], "again": ["dataset=cora"]})


@pytest.mark.parametrize(
    ("lines", "typed"),
    [({"MLP": "model=mlp"}, ["dataset.homophily=0.9"]), ({"MLP": "model=mlp dataset.homophily=0.9"}, [])],
)
def test_what_a_graph_sets_is_not_set_elsewhere(lines: dict[str, str], typed: list[str]) -> None:
    with pytest.raises(
        UserError, match=r"the graph 'weak' sets dataset\.homophily itself: leave dataset\.homophily out"
    ):
        expand(lines, {"depth": "2"}, {}, typed, GRAPHS)


def test_a_graph_sets_anything_but_an_axis_once() -> None:
    with pytest.raises(UserError, match=r"'weak' gives dataset\.homophily several values"):
        expand({"MLP": "model=mlp"}, {"depth": "2"}, {}, [], {"weak": "dataset=csbm dataset.homophily=0.1,0.2"})


def test_typed_models_replace_the_lines() -> None:
    cells = grid_of("model=mlp,gcnii", dataset="cora", depth="2")
    assert keys(cells) == [("cora", label, 2, 0, "public") for label in ("mlp", "gcnii")]


def test_other_settings_multiply_the_lines() -> None:
    cells = grid_of("dropout=0.1,0.3", "hidden=16", dataset="cora", depth="2")
    found = {cell.line: (cell.settings["p_drop"], cell.settings["dropout"]) for cell in cells}
    assert found == {
        "GCN dropout=0.1": (0.0, 0.1), "GCN dropout=0.3": (0.0, 0.3),
        "GCN + DropEdge dropout=0.1": (0.2, 0.1), "GCN + DropEdge dropout=0.3": (0.2, 0.3),
    }  # fmt: skip
    assert {cell.settings["hidden"] for cell in cells} == {16}


def test_typed_lines_are_named_after_what_differs() -> None:
    cells = grid_of("model=gcnii", "model.alpha=0.1,0.5", "p_drop=0,0.2", "lr=0.1", dataset="cora", depth="2")
    labels = [f"gcnii alpha={alpha} p_drop={p}" for alpha in ("0.1", "0.5") for p in ("0", "0.2")]
    assert [cell.line for cell in cells] == labels
    assert [cell.settings["model"]["alpha"] for cell in cells] == [0.1, 0.1, 0.5, 0.5]


def test_lists_are_one_value() -> None:
    (cell,) = grid_of("measures=[effective_rank,stable_rank]", "tracking.artifacts=[]", lines={"GCN": "model=gcn"})
    assert cell.settings["measures"] == ["effective_rank", "stable_rank"]
    assert cell.settings["tracking"]["artifacts"] == []


def test_seed_by_seed_and_splits_as_numbers() -> None:
    cells = grid_of(dataset="texas", depth="2,8", seed="1,0", split="range(10)")
    order = [(cell.seed, int(cell.split)) for cell in cells]
    assert order == sorted(order)
    assert {cell.line for cell in cells[:4]} == set(TWO)


def test_random_splits_are_told_apart() -> None:
    cells = grid_of(dataset="cora", split="random", split_seed="3,5", depth="2")
    assert [cell.split for cell in cells] == ["random3", "random3", "random5", "random5"]


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("model=gcn", ["dataset=cora"]),  # with a recipe
        ("model=gcnii p_drop=0.2", ["dataset=texas", "split=4", "split_seed=2"]),
        ("model=mlp", ["dataset=csbm", "dataset.nodes=120", "epochs=5", "split=7"]),
    ],
)
def test_a_cell_is_the_same_experiment_as_the_typed_run(line: str, typed: list[str]) -> None:
    more = ["depth=3,8", "seed=1,3"]  # the cell is neither the first nor the last
    last = [cell for cell in grid_of(*typed, *more, lines={"one": line}) if (cell.depth, cell.seed) == (8, 1)]
    settings = compose_settings([*line.split(), *typed, "depth=8", "seed=1"])
    assert [cell.settings for cell in last] == [settings]
    assert last[0].hash == config_hash(settings)


def test_where_values_come_from() -> None:
    (cell,) = grid_of("depth=4", lines={"GCN": "model=gcn p_drop=0.2"}, dataset="cora", seed=1)
    for key in ("model", "dataset", "depth", "seed", "p_drop"):
        assert cell.origin[key] == "command line", key
    assert cell.origin["dropout"] == "recipe published/cora-gcn"
    assert cell.origin["epochs"] == "default"
    assert cell.origin["dataset.normalize_features"] == "dataset cora"


def test_film_cells() -> None:
    grid = {"dataset": "cora", "depth": "2,8", "seed": "0,1"}
    filmed = [key for cell, key in _with_keys(expand(TWO, grid, {"depth": 8, "seed": 0}, [])) if cell.film]
    assert filmed == [("cora", label, 8, 0, "public") for label in TWO]
    some = expand(TWO, grid, {"depth": 8, "seed": 0, "lines": ["GCN"]}, [])
    assert [key for cell, key in _with_keys(some) if cell.film] == [("cora", "GCN", 8, 0, "public")]
    for film in ({}, {"depth": 64}):  # what is not said, or not there: the largest depth, the first seed
        assert [key for cell, key in _with_keys(expand(TWO, grid, film, [])) if cell.film] == filmed
    assert len({cell.hash for cell in some}) == 8  # whether states are kept is no part of the experiment


def _with_keys(cells: list[Cell]) -> list[tuple[Cell, Key]]:
    return list(zip(cells, keys(cells), strict=True))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_study_expands(name: str) -> None:
    content = yaml.safe_load((CONF / "study" / f"{name}.yaml").read_text())
    film, graphs = content.get("film", {}), content.get("graphs", {})
    cells = expand(content["lines"], content.get("grid", {}), film, [], graphs)
    sizes = Counter((cell.dataset, cell.line) for cell in cells)
    lines = {line for _, line in sizes}
    swept = [key for key in content.get("grid", {}) if key.startswith("model.")]
    if not swept:
        assert lines == (set(content["lines"]) or {"gcnii"})
    assert {dataset for dataset, _ in sizes} == set(graphs) or not graphs
    for dataset in {dataset for dataset, _ in sizes}:
        assert {(dataset, line) for line in lines} <= set(sizes)
        assert len({size for (name, _), size in sizes.items() if name == dataset}) == 1
    assert {cell.line for cell in cells if cell.film} == set(film.get("lines", lines))


def test_a_line_that_is_wrong_itself() -> None:
    with pytest.raises(UserError, match="p_drop must be"):
        grid_of(lines={"GCN": "model=gcn p_drop=1.5"})


def test_rewirings_are_lines_of_a_study() -> None:
    cells = grid_of("rewiring=none,random", lines={"GCN": "model=gcn"}, dataset="texas", depth="2")
    assert [cell.line for cell in cells] == ["GCN rewiring=none", "GCN rewiring=random"]
    plain, rewired = cells
    assert plain.hash != rewired.hash
    assert plain.hash == grid_of(lines={"GCN": "model=gcn"}, dataset="texas", depth="2")[0].hash
    named = {"GCN": "model=gcn", "GCN + 9 random edges": "model=gcn rewiring=random rewiring.num_edges=9"}
    assert [cell.settings["rewiring"].get("num_edges") for cell in grid_of(lines=named, depth="2")] == [None, 9]
