"""The help of a command comes from its docstring and the comments of the yaml files."""

import pytest

from depthlab.config.files import config_file, option_names
from depthlab.config.help import WIDTH, command_help, settings_help
from depthlab.config.schema import GROUPS, LIST_GROUPS


def test_the_help_of_a_command_has_examples_settings_and_the_options_of_every_group() -> None:
    text = command_help("depthlab.training.command", "config")
    assert text.startswith("`depthlab train ")
    assert "\n    depthlab train model=gcn depth=32 " in text
    for title in ("Run", "Network and DropEdge", "Training", "Measures", "Records"):
        assert f"\n\n{title}\n  " in text
    for group in (*GROUPS, *LIST_GROUPS):
        assert f"\n\n{group}" in text
    assert text.endswith("`--cfg job` prints the resolved settings and exits.")
    assert all(len(line) <= WIDTH for line in text.splitlines() if " " in line.strip())


def test_every_option_has_its_meaning() -> None:
    lines = command_help("depthlab.training.command", "config").splitlines()
    words = {line.split()[0]: len(line.split()) for line in lines if line.startswith("  ") and line.split()}
    for group in (*GROUPS, *LIST_GROUPS):
        assert [name for name in option_names(group) if words[name] < 3] == []


def test_every_setting_of_the_file_is_there_with_its_default_and_meaning() -> None:
    text = "\n".join(settings_help(config_file("", "config").read_text()))
    for words in (
        "depth=8 ",
        "drop_edge.per_layer=false",
        "split=(dataset.split)",
        "monitor=...",
        "tracking.artifacts=[config, figures, model]",
        "measures=[dirichlet_energy,",
        "max_runs=10000",
    ):
        assert f"\n  {words}" in text
    assert "initialisation, dropout, DropEdge and the order of mini-batches" in text
    assert "hydra" not in text and "defaults" not in text


def test_nested_settings_and_lists() -> None:
    block = "# Title\na: 1 # one\nb: # of both\n  c: x # first\n  d: y\ne: # a list\n  - f\n  - g"
    assert settings_help(f"defaults:\n  - a: b # c\n\n{block}\n\nhydra:\n  x: y")[0].splitlines() == [
        "Title",
        "  a=1      one",
        "  b.c=x    first",
        "  b.d=y    of both",
        "  e=[f,g]  a list",
    ]


def test_a_command_with_a_settings_file_of_its_own_has_a_group_of_that_name() -> None:
    text = command_help("depthlab.study.command", "study")
    assert "\n\nstudy\n  alpha " in text
    assert "--cfg job" not in text


@pytest.mark.parametrize("module", ["prepare", "rewire"])
def test_the_help_of_data_commands_lists_no_settings_of_training(module: str) -> None:
    text = command_help(f"depthlab.data.{module}", "", ["dataset"])
    assert "\n\ndataset\n  actor " in text
    assert "dataset.nodes=120" in text
    assert "epochs=" not in text and "\n\nmodel\n" not in text
