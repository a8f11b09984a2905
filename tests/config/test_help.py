"""The help of a command comes from its docstring and the comments of its settings file."""

import pytest

from depthlab.config.help import command_help
from depthlab.config.schema import GROUPS


def test_the_help_of_a_command_with_settings_shows_them_and_the_options_of_every_group() -> None:
    text = command_help("depthlab.training.command", "config")
    assert text.startswith("`depthlab train ") and "depth: 8 # number of propagation layers" in text
    assert all(f"\n  {group:9} " in text for group in GROUPS)
    assert text.endswith("`--cfg job` prints the resolved settings and exits.")


def test_a_command_with_a_settings_file_of_its_own_has_a_group_of_that_name() -> None:
    text = command_help("depthlab.study.command", "study")
    assert "\n  study     citeseer, cora, " in text and "--cfg job" not in text


@pytest.mark.parametrize("module", ["prepare", "rewire"])
def test_the_help_of_data_commands_lists_no_settings_of_training(module: str) -> None:
    text = command_help(f"depthlab.data.{module}", "", ["dataset"])
    assert "  dataset   actor, " in text and "dataset.nodes=120" in text
    assert "epochs" not in text and "model" not in text


def test_long_lists_of_options_are_broken_into_lines() -> None:
    options = command_help("depthlab.data.prepare", "", ["dataset"]).partition("\n  dataset")[2].splitlines()
    assert len(options) > 1
    assert all(len(line) <= 118 and line.startswith(12 * " ") for line in options[1:])
