"""Where the value of each setting came from."""

from typing import Any

import pytest

from depthlab.config.compose import compose_config, compose_settings
from depthlab.config.provenance import provenance, untuned
from depthlab.config.settings import flatten, parse, to_dict


def test_provenance() -> None:
    typed = ["dataset=texas", "depth=3", "++model.alpha=0.3", "drop_edge={mode: rescale}", "rewiring=random"]
    choices = {"recipe@_global_": "published/texas-gcnii", "dataset": "texas", "model": "gcnii", "trainer": "cpu"}
    choices["rewiring"] = "random"
    sources = provenance(compose_settings(typed), choices, typed)
    recipe = "recipe published/texas-gcnii"
    wanted = {
        "depth": "command line", "dataset": "command line", "dataset.name": "dataset texas", "split": "dataset texas",
        "model.alpha": "command line", "drop_edge.mode": "command line", "model.theta": recipe, "lr": recipe,
        "model.star": "model gcnii", "weight_decay": recipe, "weight_decay_linear": recipe,
        "rewiring": "command line", "rewiring.seed": "rewiring random",
        "norm": "default", "tracking.uri": "default", "trainer.threads": "trainer cpu",
    }  # fmt: skip
    assert {key: sources[key] for key in wanted} == wanted


@pytest.mark.parametrize("recipe", ["none/cora-gcnii", "published/texas-gcn", None])
def test_provenance_without_a_recipe(recipe: Any) -> None:
    sources = provenance(compose_settings(["recipe=none"]), {"recipe@_global_": recipe}, [])
    assert set(sources.values()) == {
        "default",
        "model None",
        "dataset None",
        "rewiring None",
        "loader None",
        "optimizer None",
        "lr_scheduler None",
        "logger None",
        "trainer None",
    }


OWN = ["dataset=npz", "dataset.path=own.npz"]


@pytest.mark.parametrize(
    ("typed", "values"),
    [([], {"dataset.normalize_features": (False, "dataset npz"), "dataset.metric": ("acc", "dataset npz"),
           "depth": (8, "default")}),
     (["like=cornell"], {"dataset.normalize_features": (True, "like cornell"),
                         "depth": (16, "recipe published/cornell-gcnii"), "dataset.name": ("own", "dataset npz")}),
     (["like=cornell", "dataset.normalize_features=false", "depth=3"],
      {"dataset.normalize_features": (False, "command line"), "depth": (3, "command line"),
       "weight_decay": (1e-3, "recipe published/cornell-gcnii")}),
     (["like=wisconsin", "recipe=tuned"], {"depth": (8, "recipe tuned/wisconsin-gcnii")}),
     (["like=minesweeper"], {"dataset.metric": ("roc_auc", "like minesweeper"), "monitor": ("val_roc_auc", "default")}),
     (["dataset.metric=roc_auc"], {"monitor": ("val_roc_auc", "default")}),
     (["dataset.metric=roc_auc", "monitor=val_loss"], {"monitor": ("val_loss", "command line")})],
)  # fmt: skip
def test_a_users_graph_takes_the_settings_of_a_named_dataset(typed: list[str], values: dict[str, Any]) -> None:
    config, choices = compose_config([*OWN, *typed])
    settings = parse(config, choices)
    sources = provenance(settings, choices, [*OWN, *typed])
    assert {key: (flatten(to_dict(settings))[key], sources[key]) for key in values} == values


@pytest.mark.parametrize(
    ("typed", "said"),
    [(OWN, True), ([*OWN, "dataset.metric=roc_auc"], True), (["dataset=folder", "dataset.path=own"], True),
     ([*OWN, "like=cornell"], False), ([*OWN, "dataset.normalize_features=false"], False),
     (["dataset=cora", "recipe=none"], False), (["dataset=csbm"], False), (["dataset=ring_transfer"], False)],
)  # fmt: skip
def test_a_graph_without_recipe_and_normalisation_gets_a_hint(typed: list[str], said: bool) -> None:
    config, choices = compose_config(typed)
    settings = parse(config, choices)
    notice = untuned(settings, provenance(settings, choices, typed))
    assert (notice is not None) == said
    name = settings.dataset.name
    assert notice is None or notice.startswith(f"{name} has no recipe, and its features are used as they are: ")
