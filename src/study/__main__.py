"""`python -m src.study`: a grid of runs along depth, side by side, resumable.

    python -m src.study                                  the small default study, conf/study/quick.yaml
    python -m src.study study=cora dry=true              what a study would run, and for how long
    python -m src.study model=gcn,gcnii depth=2,8,32 "seed=range(3)" p_drop=0,0.2

Every setting of `python -m src.train` can be typed, with several values or one. Settings of the study itself:
"""

import os
import re
import sys
from typing import Any

from omegaconf import DictConfig

from src.cli import guarded
from src.config import CONF, STUDY_KNOBS, check_limits, register_schema
from src.data.raw import check
from src.errors import UserError
from src.settings import NOT_THE_EXPERIMENT
from src.study.grid import expand
from src.tracking.store import check_store, store_uri

OWN = {key.split(".")[0] for key in STUDY_KNOBS}


def main() -> None:
    """Compose and check all cells cheaply, then import the heavy libraries and run."""
    typed = sys.argv[1:]
    if {"-h", "--help"}.intersection(typed):
        print(__doc__ + "\n" + (CONF / "study.yaml").read_text().partition("_self_\n")[2].partition("\nhydra:")[0])
        return
    own = {override for override in typed if _key(override) in OWN}
    other = [override for override in typed if override not in own]
    config = _compose(sorted(own), {_key(override) for override in other})
    content: dict[str, Any] = config.study
    cells = expand(content["lines"], content["grid"], content["film"], other)
    if config.only:
        unknown = set(config.only) - {cell.line for cell in cells}
        if unknown:
            labels = ", ".join(dict.fromkeys(cell.line for cell in cells))
            raise UserError(f"there is no line {sorted(unknown)[0]}: choose from {labels}")
    uri = store_uri(cells[0].settings["tracking"]["uri"])
    check_store(uri)
    for settings in {cell.dataset: cell.settings["dataset"] for cell in cells}.values():
        check(settings)
    for cell in cells:
        cell.settings["tracking"]["uri"] = uri
        if not any(_key(override) == "tracking.artifacts" for override in other):
            cell.settings["tracking"]["artifacts"] = ["config"]  # figures and weights of a thousand cells fill a disk

    from src.study.run import run_study

    jobs = config.jobs or os.cpu_count() or 1
    sys.exit(0 if run_study(config.name, cells, jobs, config) else 1)


def _key(override: str) -> str:
    return override.lstrip("+~").split("=")[0]


def _compose(own: list[str], other: set[str]) -> DictConfig:
    """The study's own settings, validated. Without `study=`, what else was typed makes it a custom one.

    Models that are typed replace the default study's lines; anything else that is typed changes them.
    """
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    register_schema()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        named = any(_key(override) == "study" for override in own)
        grid = [] if named or "model" not in other else ["study=custom"]
        config = compose("study", overrides=[*grid, *own], return_hydra_config=True)
    changed = any(key.split(".")[0] not in NOT_THE_EXPERIMENT for key in other)
    choice = "custom" if changed and not named else config.hydra.runtime.choices["study"]
    OmegaConf.set_struct(config, False)
    config.pop("hydra")
    check_limits(config, STUDY_KNOBS)
    config.name = config.name or choice
    if not re.fullmatch(r"\w[\w.+-]*", config.name):  # it names a folder and is part of MLflow's filters
        raise UserError(f"name must be made of letters, digits and . _ + -, got {config.name}")
    return config


if __name__ == "__main__":
    guarded(main)
