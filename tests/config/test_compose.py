"""Hydra composes the files of conf/, read by the program's own reader, and those of a user's folder."""

from pathlib import Path

import pytest
from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry

from depthlab.config.compose import (
    FileConfigSource,
    compose,
    compose_config,
    compose_settings,
    dataset_setting,
    recipe_dataset,
)
from depthlab.config.errors import UserError
from depthlab.config.schema import OPTION_GROUPS


def test_the_config_comes_with_the_option_of_each_group_and_without_hydras_own_settings() -> None:
    config, choices = compose("config", ["model=gat", "dataset=texas"])
    assert (choices["model"], choices["dataset"]) == ("gat", "texas")
    assert config.dataset.name == "texas" and "hydra" not in config


def test_the_config_and_the_settings_have_the_same_values() -> None:
    overrides = ["model=gcn", "depth=3", "hidden=7"]
    config, _ = compose_config(overrides)
    settings = compose_settings(overrides)
    assert (settings.depth, settings.hidden) == (config.depth, config.hidden) == (3, 7)


def test_a_user_file_replaces_one_of_the_package(conf: Path) -> None:
    (conf / "model" / "gcn.yaml").write_text("_target_: depthlab.nn.gin.GIN\n")
    assert compose_settings(["model=gcn"]).model.target == "depthlab.nn.gin.GIN"


def test_resolvers() -> None:
    assert dataset_setting("texas", "task") == "classification"
    assert dataset_setting("texas", "nothing") is None
    assert (recipe_dataset("none", "cora"), recipe_dataset("texas", "cora")) == ("cora", "texas")


@pytest.mark.parametrize("content", [b"- a", b"just a word", b"\xff\xfe", b"a: &a [*a]", b"a: [", b"3: x"])
@pytest.mark.parametrize("group", [*OPTION_GROUPS, "trainer", "recipe"])
def test_hydra_reads_an_option_by_the_same_reader(conf: Path, group: str, content: bytes) -> None:
    (conf / group / "own.yaml").write_bytes(content)
    with pytest.raises(UserError) as error:
        compose_settings([f"{group}=own"])
    assert f"{group}/own.yaml" in str(error.value)


def test_hydra_may_register_its_own_reader_again() -> None:
    """As it does in a job that a launcher starts."""
    compose_settings([])
    registry = SourcesRegistry.instance()
    registry.register(file_config_source.FileConfigSource)
    assert registry.resolve("file") is FileConfigSource
