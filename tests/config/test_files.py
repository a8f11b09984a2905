"""A folder of yaml files of the user's own: found by every look-up, before the program's."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from depthlab.config.compose import compose_config, compose_settings
from depthlab.config.errors import UserError
from depthlab.config.files import CONFIG_DIR, config_dirs, config_file, option_names, use_config_dir, user_folder
from depthlab.config.yaml_files import read_mapping
from depthlab.folders import CONF


def write(folder: Path, group: str, name: str, content: dict[str, Any]) -> None:
    (folder / group).mkdir(parents=True, exist_ok=True)
    (folder / group / f"{name}.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a dataset, a model, a rewiring and a recipe, by the environment variable."""
    folder = tmp_path / "own"
    write(folder, "dataset", "mine", read_mapping(CONF / "dataset" / "csbm.yaml") | {"name": "mine"})
    write(folder, "model", "gcnii", read_mapping(CONF / "model" / "gcnii.yaml") | {"alpha": 0.3})
    write(folder, "rewiring", "mine", read_mapping(CONF / "rewiring" / "random.yaml") | {"_target_": "my.rewire"})
    write(folder, "recipe/tuned", "mine-gcnii", {"lr": 0.003})
    monkeypatch.setenv(CONFIG_DIR, str(folder))
    return folder


def test_an_option_of_the_users_folder_is_used_listed_and_wins(own: Path) -> None:
    settings = compose_settings(["dataset=mine", "recipe=tuned", "rewiring=mine"])
    assert (settings.dataset.name, settings.model.arguments["alpha"], settings.lr) == ("mine", 0.3, 0.003)
    assert settings.rewiring.name == "mine"
    assert {"mine", "cora"} < set(option_names("dataset"))
    assert config_file("model", "gcnii") == own / "model" / "gcnii.yaml"
    assert config_file("model", "gcn") == CONF / "model" / "gcn.yaml"
    with pytest.raises(UserError, match=r"^there is no dataset a/b: choose one of .*, mine, "):
        compose_config(["dataset=a/b"])


def test_its_dataset_can_stand_in_for_another(own: Path) -> None:
    settings = compose_settings(["dataset=npz", "dataset.path=x.npz", "like=mine"])
    mine = read_mapping(own / "dataset" / "mine.yaml")
    assert settings.dataset.normalize_features == mine["normalize_features"]


def test_an_error_names_its_file(own: Path) -> None:
    write(own, "model", "broken", {"alpha": 1})
    with pytest.raises(UserError, match=f"^{own}/model/broken.yaml must hold settings"):
        compose_config(["model=broken"])


def test_it_does_not_replace_the_settings_files_of_the_program(own: Path) -> None:
    write(own, "", "config", {"depth": "no number"})
    assert compose_settings(["recipe=none"]).depth == 8


def test_without_one_that_of_the_project_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONFIG_DIR, raising=False)
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    assert config_dirs() == (CONF,)
    assert user_folder() == tmp_path / "conf"
    write(tmp_path / "conf", "dataset", "mine", read_mapping(CONF / "dataset" / "csbm.yaml"))
    assert config_dirs() == (tmp_path / "conf", CONF)
    assert "mine" in option_names("dataset")


@pytest.mark.parametrize("typed", [["--config-dir", "own"], ["--config-dir=own"], ["-cd", "own"]])
def test_the_flag_is_taken_off_the_command_line(own: Path, monkeypatch: pytest.MonkeyPatch, typed: list[str]) -> None:
    monkeypatch.chdir(own.parent)
    monkeypatch.setenv(CONFIG_DIR, "elsewhere")
    assert use_config_dir(["model=gcn", *typed, "depth=2"]) == ["model=gcn", "depth=2"]
    assert os.environ[CONFIG_DIR] == str(own)  # absolute: child processes may have another current folder


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["--config-dir", "nowhere"], "--config-dir names nowhere, which is not a folder"),
        (["--config-dir"], "--config-dir needs a folder"),
        (["--config-dir="], "--config-dir needs a folder"),
        (["--config-dir", ""], "--config-dir needs a folder"),
        ([], f"{CONFIG_DIR} names elsewhere, which is not a folder"),
    ],
)
def test_a_folder_that_is_not_there(monkeypatch: pytest.MonkeyPatch, typed: list[str], sentence: str) -> None:
    monkeypatch.setenv(CONFIG_DIR, "elsewhere")
    with pytest.raises(UserError, match=f"^{sentence}"):
        use_config_dir(typed)
