"""Hydra composes the files of conf/, read by the program's one reader. Imports nothing heavy."""

from pathlib import Path

from hydra import compose as compose_by_hydra
from hydra import initialize_config_dir
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from src.config import CONF, Config, StudyConfig, SweepConfig
from src.overrides import check_options
from src.yaml_files import read_mapping


class YamlFiles(FileConfigSource):
    """A folder of configs, each of them a yaml file that holds a mapping."""

    def is_config(self, config_path: str) -> bool:
        return ".." not in Path(config_path).parts and bool(super().is_config(config_path))

    def load_config(self, config_path: str) -> ConfigResult:
        path = Path(self.path, self._normalize_file_name(config_path)).resolve()
        content = OmegaConf.create(read_mapping(path))
        header = self._get_header_dict(path.read_text(encoding="utf-8")[:512])
        return ConfigResult(self.provider, f"{self.scheme()}://{self.path}", content, header)


def register() -> None:
    """Make our reader known to Hydra, and the schemas with which config.yaml, study.yaml and sweep.yaml begin."""
    for name, schema in {"schema": Config, "study_schema": StudyConfig, "sweep_schema": SweepConfig}.items():
        ConfigStore.instance().store(name=name, node=schema)
    Plugins.instance()  # registers Hydra's own reader first
    SourcesRegistry.instance().types[YamlFiles.scheme()] = YamlFiles


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
