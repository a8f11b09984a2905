"""Compose the files of conf/ with Hydra, read by `read_yaml` of this package. Imports nothing heavy."""

from pathlib import Path
from typing import Any

from hydra import compose as compose_by_hydra
from hydra import initialize_config_dir
from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from depthlab.config.files import config_dirs, config_file, option_names
from depthlab.config.overrides import check_options
from depthlab.config.schema import LIKE, OPTION_GROUPS, Settings, StudySettings, SweepSettings, hydra_schema
from depthlab.config.validation import validate
from depthlab.config.yaml_files import read_mapping
from depthlab.folders import CONF
from depthlab.tasks.task import default_monitor


class FileConfigSource(file_config_source.FileConfigSource):
    """A folder of configs, each a yaml file with a mapping.

    It has the same name as Hydra's class: in a launcher's job Hydra registers its class again, and skips known names.
    """

    def is_config(self, config_path: str) -> bool:
        path = Path(config_path)
        replaces = path.parent == Path() and Path(self.path) != CONF and config_file("", path.stem).is_file()
        if replaces or ".." in path.parts:
            return False
        return bool(super().is_config(config_path))

    def load_config(self, config_path: str) -> ConfigResult:
        path = Path(self.path, self._normalize_file_name(config_path)).resolve()
        read = read_mapping(path)
        content = OmegaConf.create(read)
        for key, value in read.items() if path.parent.name in OPTION_GROUPS else ():
            if value == {}:  # takes any settings, also without a +
                OmegaConf.set_struct(content[key], False)
        header = self._get_header_dict(path.read_text(encoding="utf-8")[:512])
        return ConfigResult(self.provider, f"{self.scheme()}://{self.path}", content, header)


class ConfigDirs(SearchPathPlugin):
    """Makes Hydra search the user's folder of yaml files before the program's."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in config_dirs()[:-1]:
            search_path.prepend("user", f"file://{folder}", anchor="main")


def register() -> None:
    """Register what conf/ refers to with Hydra: config source, search path, schemas, the group `like` and resolvers."""
    store = ConfigStore.instance().store
    for name, schema in {"schema": Settings, "study_schema": StudySettings, "sweep_schema": SweepSettings}.items():
        store(name=name, node=hydra_schema(schema))
    store(group="like", name="none", node={}, package="_global_")
    for name in option_names("dataset"):
        taken = {key: f"${{dataset_setting:{name},{key}}}" for key in LIKE}
        store(group="like", name=name, node={"dataset": taken}, package="_global_")
    for function in (dataset_setting, default_monitor, recipe_dataset):
        OmegaConf.register_new_resolver(function.__name__, function, replace=True)
    Plugins.instance().register(ConfigDirs)  # registers Hydra's own config sources first
    SourcesRegistry.instance().types[FileConfigSource.scheme()] = FileConfigSource


def dataset_setting(name: str, key: str) -> Any:
    """A setting of a dataset's yaml file, or None."""
    return read_mapping(config_file("dataset", name)).get(key)


def recipe_dataset(like: str, dataset: str) -> str:
    """The dataset whose recipe is used."""
    return dataset if like == "none" else like


def compose(name: str, overrides: list[str]) -> tuple[DictConfig, dict[str, str]]:
    """Config `name` of conf/ with overrides, not validated, and the option that each config group has.

    Raises:
        UserError: a file cannot be read.
        hydra.errors.HydraException: an override cannot be read or applied.
    """
    register()
    check_options(overrides)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose_by_hydra(name, overrides=overrides, return_hydra_config=True)
    choices = {key: str(value) for key, value in config.hydra.runtime.choices.items()}
    OmegaConf.set_struct(config, False)
    config.pop("hydra")
    return config, choices


def compose_config(overrides: list[str]) -> tuple[DictConfig, dict[str, str]]:
    """The config that `depthlab train OVERRIDES` would use, validated, and the option of each config group."""
    config, choices = compose("config", overrides)
    validate(config, choices)
    return config, choices


def compose_settings(overrides: list[str]) -> Settings:
    """The settings of `depthlab train OVERRIDES`.

    Raises:
        UserError: a setting is not allowed.
        hydra.errors.HydraException: as `compose`.
    """
    return validate(*compose("config", overrides))
