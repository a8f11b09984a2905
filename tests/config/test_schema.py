"""What may be set, and which value wins."""

from dataclasses import fields, replace
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from depthlab.config.compose import compose_settings
from depthlab.config.schema import LIST_GROUPS, LISTED, OPTION_GROUPS, RUN_LIMITS, Settings, allowed_values
from depthlab.config.settings import flatten, to_dict
from depthlab.folders import CONF
from depthlab.graph.drop_edge import MODES
from depthlab.measures.registry import selectable
from depthlab.nn.norm import NORMS
from tests.settings import ARCHITECTURES

REWIRINGS = sorted(path.stem for path in (CONF / "rewiring").glob("*.yaml"))
OWN = dict.fromkeys(("npz", "folder", "csv", "pt", "ogb", "tu"), "dataset.path=own") | {
    "pyg": "dataset.name=KarateClub"
}
DATASETS = sorted(path.stem for path in (CONF / "dataset").glob("*.yaml"))
RECIPES = sorted(f"{path.parent.name}/{path.stem}" for path in (CONF / "recipe").glob("*/*.yaml"))


def overrides(dataset: str, model: str) -> list[str]:
    return [f"dataset={dataset}", f"model={model}", *([OWN[dataset]] if dataset in OWN else [])]


@pytest.mark.slow
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_goes_with_every_model(dataset: str) -> None:
    for model in ARCHITECTURES:
        settings = compose_settings(overrides(dataset, model))
        assert settings.dataset.option == dataset
        assert settings.dataset.name == (dataset if dataset not in OWN else OWN[dataset].partition("=")[2])
        assert settings.model.target.startswith(f"depthlab.nn.{model}.")
        assert settings.split == str(settings.dataset.split)


@pytest.mark.slow
@pytest.mark.parametrize("name", REWIRINGS)
def test_every_rewiring_goes_with_every_model_and_recipe(name: str) -> None:
    for model in ARCHITECTURES:
        settings = compose_settings(["dataset=texas", f"model={model}", f"rewiring={name}"])
        assert settings.rewiring.name == name
        plainly = compose_settings(["dataset=texas", f"model={model}"])
        assert replace(settings, rewiring=plainly.rewiring) == plainly


@pytest.mark.parametrize("name", sorted(set(REWIRINGS) - {"none"}))
def test_every_rewiring_has_what_a_run_asks_of_it(name: str) -> None:
    content = yaml.safe_load((CONF / "rewiring" / f"{name}.yaml").read_text())
    assert content["_target_"].startswith("depthlab.graph.rewiring.")
    assert content["layers"] in content["limits"]["layers"] == ["all", "last"]
    assert content["seed"] == 0 and content["limits"]["seed"] == RUN_LIMITS["seed"][1]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_in_effect(name: str) -> None:
    kind, _, pair = name.partition("/")
    dataset, _, model = pair.rpartition("-")
    assert dataset in DATASETS and model in ARCHITECTURES
    recipe: Any = OmegaConf.to_container(OmegaConf.load(CONF / "recipe" / f"{name}.yaml"))
    in_effect = flatten(to_dict(compose_settings([*overrides(dataset, model), f"recipe={kind}"])))
    assert recipe
    for key, value in flatten(recipe).items():
        assert in_effect[key] == value, key


def test_command_line_wins_over_recipe_and_recipe_over_default() -> None:
    recipe = yaml.safe_load((CONF / "recipe" / "published" / "texas-gcnii.yaml").read_text())
    default = yaml.safe_load((CONF / "config.yaml").read_text())
    assert recipe["depth"] != default["depth"], "nothing would be seen"
    assert compose_settings(["dataset=texas"]).depth == recipe["depth"]
    assert compose_settings(["dataset=texas", "recipe=none"]).depth == default["depth"]
    typed = compose_settings(["depth=3", "model.alpha=0.7", "dataset=texas"])
    assert (typed.depth, typed.model.arguments["alpha"]) == (3, 0.7)
    assert typed.model.arguments["theta"] == recipe["model"]["theta"]


def test_weight_decay_linear_follows_weight_decay() -> None:
    assert compose_settings(["recipe=none", "weight_decay=0.125"]).weight_decay_linear == 0.125


def test_schema_names_what_the_code_knows() -> None:
    assert LISTED["measures"]() == selectable()
    assert RUN_LIMITS["norm"][1] == list(NORMS)
    assert RUN_LIMITS["drop_edge.mode"][1] == list(MODES)


def test_schema_has_the_settings_of_the_config_file() -> None:
    written = set(yaml.safe_load((CONF / "config.yaml").read_text())) - {"defaults", "hydra"}
    assert written | {*OPTION_GROUPS, *LIST_GROUPS, "trainer"} == {field.name for field in fields(Settings)}


def test_a_group_of_arguments_is_set_by_its_parts() -> None:
    assert allowed_values("model.args") == "set by its parts, such as model.args.NAME=VALUE"
    assert "trainer.threads" in allowed_values("trainer")
