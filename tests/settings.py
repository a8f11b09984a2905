"""Names of the architectures, and settings of datasets that have no yaml."""

from typing import Any

from depthlab.config.option_types import DatasetSettings
from depthlab.config.settings import make_option
from depthlab.folders import CONF

ARCHITECTURES = sorted(path.stem for path in (CONF / "model").glob("*.yaml") if path.stem != "module")


def dataset_settings(**content: Any) -> DatasetSettings:
    """The settings of a dataset of one split, from those of a yaml; `target` stands for `_target_`."""
    target = content.pop("target", "depthlab.data.csbm.make_csbm")
    usual = {"name": "own", "_target_": target, "splits": 1, "split": 0, "task": "classification", "metric": "acc"}
    option: DatasetSettings = make_option("dataset", "own", usual | content)
    return option
