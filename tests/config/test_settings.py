"""From a composed config to plain settings: hash and provenance."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from depthlab.config.settings import (
    compose_config,
    compose_settings,
    config_hash,
    flatten,
    plain,
    provenance,
    resume_hash,
    rewiring_name,
    untuned,
)  # fmt: skip


def test_provenance() -> None:
    typed = ["dataset=texas", "depth=3", "++model.alpha=0.3", "drop_edge={mode: rescale}", "rewiring=random"]
    choices = {"recipe@_global_": "published/texas-gcnii", "dataset": "texas", "model": "gcnii", "trainer": "cpu"}
    choices["rewiring"] = "random"
    origin = provenance(compose_settings(typed), choices, typed)
    recipe = "recipe published/texas-gcnii"
    wanted = {
        "depth": "command line", "dataset": "command line", "dataset.name": "dataset texas", "split": "dataset texas",
        "model.alpha": "command line", "drop_edge.mode": "command line", "model.theta": recipe, "lr": recipe,
        "model.star": "model gcnii", "weight_decay": recipe, "weight_decay_linear": recipe,
        "rewiring": "command line", "rewiring.seed": "rewiring random",
        "norm": "default", "tracking.uri": "default", "trainer.threads": "trainer cpu",
    }  # fmt: skip
    assert {key: origin[key] for key in wanted} == wanted


@pytest.mark.parametrize("recipe", ["none/cora-gcnii", "published/texas-gcn", None])
def test_provenance_without_a_recipe(recipe: Any) -> None:
    origin = provenance(compose_settings(["recipe=none"]), {"recipe@_global_": recipe}, [])
    assert set(origin.values()) == {
        "default",
        "model None",
        "dataset None",
        "rewiring None",
        "loader None",
        "trainer None",
    }


OWN = ["dataset=npz", "dataset.path=own.npz"]


@pytest.mark.parametrize(
    ("typed", "values"),
    [([], {"dataset.normalize_features": (False, "dataset npz"), "dataset.metric": ("acc", "dataset npz"),
           "depth": (8, "default")}),
     (["like=cornell"], {"dataset.normalize_features": (True, "like cornell"),
                         "depth": (16, "recipe published/cornell-gcnii"), "dataset.name": ("npz", "dataset npz")}),
     (["like=cornell", "dataset.normalize_features=false", "depth=3"],
      {"dataset.normalize_features": (False, "command line"), "depth": (3, "command line"),
       "weight_decay": (1e-3, "recipe published/cornell-gcnii")}),
     (["like=wisconsin", "recipe=tuned"], {"depth": (8, "recipe tuned/wisconsin-gcnii")}),
     (["like=minesweeper"], {"dataset.metric": ("roc_auc", "like minesweeper"), "monitor": ("val_roc_auc", "default")}),
     (["dataset.metric=roc_auc"], {"monitor": ("val_roc_auc", "default")}),
     (["dataset.metric=roc_auc", "monitor=val_loss"], {"monitor": ("val_loss", "command line")})],
)  # fmt: skip
def test_a_graph_of_ones_own_takes_the_settings_of_a_named_one(typed: list[str], values: dict[str, Any]) -> None:
    config, choices = compose_config([*OWN, *typed])
    content = plain(config)
    origin = provenance(content, choices, [*OWN, *typed])
    assert {key: (flatten(content)[key], origin[key]) for key in values} == values


@pytest.mark.parametrize(
    ("typed", "said"),
    [(OWN, True), ([*OWN, "dataset.metric=roc_auc"], True), (["dataset=folder", "dataset.path=own"], True),
     ([*OWN, "like=cornell"], False), ([*OWN, "dataset.normalize_features=false"], False),
     (["dataset=cora", "recipe=none"], False), (["dataset=csbm"], False), (["dataset=ring_transfer"], False)],
)  # fmt: skip
def test_a_graph_for_which_nothing_was_chosen_is_told_so(typed: list[str], said: bool) -> None:
    config, choices = compose_config(typed)
    content = plain(config)
    notice = untuned(content, provenance(content, choices, typed))
    assert (notice is not None) == said
    name = content["dataset"]["name"]
    assert notice is None or notice.startswith(f"dataset={name} has no recipe, and its features are used as they are: ")


@pytest.mark.parametrize(("dataset", "monitor"), [("minesweeper", "val_roc_auc"), ("texas", "val_loss")])
def test_the_tested_state_is_selected_by_the_metric_of_the_dataset(dataset: str, monitor: str) -> None:
    assert compose_settings([f"dataset={dataset}", "recipe=none"])["monitor"] == monitor


def test_config_hash() -> None:
    settings = compose_settings([])
    base = config_hash(settings)
    depth = f"depth={settings['depth']}"  # typed or not, it is the same
    for same in ("progress=false", "ckpt=last", "checkpoint_every=7", "tracking.uri=http://here", depth):
        assert config_hash(compose_settings([same])) == base, same
    others = ["lr=0.5", "seed=1", "split=random", "model.star=true", "model=gcn", "dataset=texas", "p_drop=0.1"]
    for other in (*others, "rewiring=random", "rewiring=fosr", "loader=cluster", "loader=cluster loader.parts=20"):
        assert config_hash(compose_settings(other.split())) != base, other
    assert config_hash(compose_settings(["lr=1"])) == config_hash(compose_settings(["lr=1.0"]))


def test_results_of_another_device_are_another_experiment_that_the_same_checkpoint_can_go_on_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu, gpu = (compose_settings([f"trainer={name}"]) for name in ("cpu", "gpu"))
    assert config_hash(cpu) != config_hash(gpu) and resume_hash(cpu) == resume_hash(gpu)
    before = config_hash(cpu)
    monkeypatch.setattr("depthlab.config.settings.RANDOM_NUMBERS", 2)
    assert config_hash(cpu) != before


def test_hashes_know_of_a_trainer_what_changes_a_result() -> None:
    parts = ["dataset=sbm_large", "loader=cluster"]

    def of(*typed: str) -> tuple[str, str]:
        settings = compose_settings([*parts, *typed])
        return config_hash(settings), resume_hash(settings)

    assert of() == of("trainer.threads=1") == of("trainer=ddp", "trainer.devices=1")
    assert of("trainer=ddp") == of("trainer=ddp", "trainer.devices=1", "trainer.num_nodes=2")
    kinds = [of(), of("trainer=ddp"), of("trainer=ddp", "trainer.devices=4"), of("trainer.precision=bf16")]
    assert [len(set(hashes)) for hashes in zip(*kinds, strict=True)] == [4, 4]


def test_plain_holds_no_limits_and_a_split_as_a_word() -> None:
    config = OmegaConf.create(
        {
            "model": {"limits": {}},
            "dataset": {"a": 1},
            "rewiring": {"limits": {}},
            "loader": {},
            "split": 3,
            "b": "${split}",
        }
    )
    assert plain(config) == {"model": {}, "dataset": {"a": 1}, "rewiring": {}, "loader": {}, "split": "3", "b": 3}


def test_home_is_expanded_in_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    typed = ["dataset=npz", "dataset.path='~/g.npz'", "ckpt='~/last.ckpt'"]
    settings = compose_settings(typed)
    assert (settings["dataset"]["path"], settings["ckpt"]) == ("/home/me/g.npz", "/home/me/last.ckpt")
    assert config_hash(settings) == config_hash(compose_settings(["dataset=npz", "dataset.path=/home/me/g.npz"]))
    assert compose_settings(["dataset=npz", "dataset.path='~nobody-here/g'"])["dataset"]["path"] == "~nobody-here/g"


@pytest.mark.parametrize(
    ("options", "key", "whole"),
    [("dataset=csbm", "dataset.degree", 7), ("dataset=sbm_large", "dataset.degree", 20),
     ("dataset=csbm", "dataset.homophily", 1), ("rewiring=sdrf", "rewiring.tau", 5),
     ("model=gcnii", "model.theta", 1), ("model=acmp", "model.repulsion", 2)],
)  # fmt: skip
def test_a_whole_number_is_a_float_where_the_default_is(options: str, key: str, whole: int) -> None:
    one, other = (compose_settings([options, f"{key}={typed}"]) for typed in (whole, float(whole)))
    group, name = key.split(".")
    assert type(one[group][name]) is type(other[group][name]) is float
    assert config_hash(one) == config_hash(other)


def test_a_float_without_a_fraction_is_an_integer_where_the_default_is() -> None:
    settings = compose_settings(["dataset=csbm"])
    for nodes in (300, 300.0):
        config = OmegaConf.create(settings | {"dataset": settings["dataset"] | {"nodes": nodes}})
        assert type(plain(config)["dataset"]["nodes"]) is int


@pytest.mark.parametrize(
    ("content", "name"),
    [({}, "none"), ({"rewiring": {"_target_": None}}, "none"),
     ({"rewiring": {"_target_": "depthlab.graph.rewiring.random_edges.random_edges"}}, "random")],
)  # fmt: skip
def test_rewiring_name(content: dict[str, Any], name: str) -> None:
    assert rewiring_name(content) == name
