"""The trainings of a trial, the checks of a space, objectives, and what makes two sweeps the same."""

from typing import Any

import pytest

from depthlab.config.errors import UserError
from tests.sweep.conftest import Sweep, search_of


def test_default_seeds_and_splits() -> None:
    every = search_of(seeds=None, splits=())
    assert [split["split"] for split in every.splits] == list(range(10))  # of the dataset
    assert every.seeds == [0]
    one = search_of("split=2", seeds=None, splits=())
    assert one.splits == [{"split": 2}]
    assert one.seeds == [0, 1, 2]
    assert search_of(seeds=None).seeds == [0, 1, 2]


def test_trainings_go_seed_by_seed() -> None:
    search = search_of(seeds=2, splits=[{"split": 0}, {"split": 3}])
    assert [(point["seed"], point["split"]) for point in search.trainings()] == [(0, 0), (0, 3), (1, 0), (1, 3)]
    assert [point["seed"] for point in search.trainings([1000])] == [1000, 1000]


def test_settings_of_a_training() -> None:
    search = search_of()
    settings = search.settings({"p_drop": 0.3}, {"seed": 7, "split": 4})
    assert (settings.p_drop, settings.seed, settings.split) == (0.3, 7, "4")
    assert settings.dropout == search.baseline["dropout"] == 0.5
    assert search.settings({}, {}).p_drop == 0.0  # the search itself has not changed


def test_a_probability_that_would_drop_nothing_is_zero() -> None:
    """An interval from 0 on has such values: `p_drop=0.0005` alone is refused."""
    search = search_of()
    assert search.settings({"p_drop": 0.0005}, {}).p_drop == 0.0
    assert search.settings({"dropout": 0.9999}, {}).dropout == 255 / 256


def test_a_setting_that_refers_to_a_hyperparameter_follows_it() -> None:
    search = search_of("weight_decay=interval(0, 0.1)")
    assert search.baseline["weight_decay"] == 5e-4
    assert search.settings({"weight_decay": 0.02}, {}).weight_decay_linear == 0.02
    own = search_of("weight_decay=interval(0, 0.1)", "weight_decay_linear=0.001")
    assert own.settings({"weight_decay": 0.02}, {}).weight_decay_linear == 0.001


def test_where_each_value_came_from() -> None:
    provenance = search_of("weight_decay=interval(0, 0.1)").provenance({"weight_decay": 0.02}, {"seed": 7})
    for key in ("weight_decay", "weight_decay_linear", "seed", "hidden"):
        assert provenance[key] == "command line"
    assert provenance["lr"] == "default"


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(UserError, match=r"^split must be one of 0, 1, "):
        search_of().settings({}, {"split": 10})


def test_an_override_replaces_a_range_or_the_baseline() -> None:
    assert search_of("p_drop=interval(0, 0.3)").baseline == {"p_drop": 0.0, "dropout": 0.5}
    assert search_of("hidden=16,32").baseline["hidden"] == 16
    assert search_of().pair == "csbm-gcn"


@pytest.mark.parametrize(
    ("objective", "directions"),
    [
        (None, ["maximize"]),
        ("val_loss", ["minimize"]),
        (["val_acc", "seconds"], ["maximize", "minimize"]),
        (["val_acc", "dirichlet_energy"], ["maximize", "maximize"]),
    ],
)
def test_objectives(objective: Any, directions: list[str]) -> None:
    assert search_of(objective=objective).directions == directions


def test_a_dataset_with_a_score_of_its_own() -> None:
    search = search_of("dataset.metric=roc_auc")
    assert search.objectives == ["val_roc_auc"]


def test_the_same_command_has_the_same_content() -> None:
    first = search_of(seeds=2).content()
    assert first == search_of(seeds=2).content()
    assert set(first["space"]) == {"p_drop", "dropout"}
    for typed in ("tracking.experiment=other", "trainer.threads=2", "checkpoint_every=7", "seed=3"):
        assert search_of(typed, seeds=2).content() == first, typed


@pytest.mark.parametrize(
    ("typed", "changes", "word"),
    [
        ("p_drop=interval(0, 0.5)", {}, "space"),
        ("lr=interval(0.01, 0.1)", {}, "space"),
        ("depth=2", {"objective": "val_loss"}, "objective"),
        ("depth=2", {"seeds": 3}, "number of seeds"),
        ("depth=2", {"splits": [{"split": 1}]}, "splits"),
        ("depth=3", {}, "network, recipe or graph"),
        ("epochs=4", {}, "network, recipe or graph"),
        ("dataset.homophily=0.2", {}, "network, recipe or graph"),
        ("model=mlp", {}, "network, recipe or graph"),
    ],
)
def test_another_command_has_another_content(typed: str, changes: dict[str, Any], word: str) -> None:
    first, second = search_of(seeds=2).content(), search_of(typed, **{"seeds": 2} | changes).content()
    assert word in [key for key in first if first[key] != second[key]]


def test_the_space_is_stored_as_plain_types() -> None:
    space = search_of("p_drop=interval(0, 0.5)", "dropout=0.2,0.3").content()["space"]
    assert space == {
        "p_drop": {"low": 0.0, "high": 0.5, "log": False, "integer": False},
        "dropout": {"choices": [0.2, 0.3]},
    }


def test_whole_numbers_are_another_space_than_all_numbers() -> None:
    contents = [search_of(space={"dropout": text}).content() for text in ("interval(0, 0.5)", "0,0.5")]
    assert contents[0]["space"] != contents[1]["space"]


def test_an_option_of_the_optimizer_is_searched() -> None:
    search = search_of("optimizer.momentum=interval(0, 0.9)", "optimizer=sgd")
    assert search.settings({"optimizer.momentum": 0.25}, search.trainings()[0]).optimizer.arguments["momentum"] == 0.25


@pytest.mark.parametrize(
    ("text", "baseline"),
    [
        ("interval(0, 0.8)", 0.5),
        ("interval(0.6, 0.8)", 0.6),
        ("interval(0, 0.3)", 0.3),
        ("0.1,0.2", 0.1),
        ("0.5,0.1", 0.5),
    ],
)
def test_the_baseline_is_in_the_space(text: str, baseline: float) -> None:
    search = search_of(space={"dropout": text})
    assert search.baseline == {"dropout": baseline}
    assert baseline in search.space["dropout"]


def test_settings_of_a_rewiring_are_searched(sweep: Sweep) -> None:
    search = sweep.search("rewiring=random", "rewiring.num_edges=int(interval(5, 60))")
    settings = search.settings({"rewiring.num_edges": 7}, {})
    assert (settings.rewiring.arguments["num_edges"], search.baseline["rewiring.num_edges"]) == (7, 50)
