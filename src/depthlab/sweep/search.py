"""What a sweep optimises: the space, the objectives and the trainings of a trial. Imports nothing heavy."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from depthlab.config.compose import compose_config
from depthlab.config.errors import UserError
from depthlab.config.limits import nearest_drop_probability
from depthlab.config.provenance import provenance
from depthlab.config.schema import OPTION_GROUPS, Settings
from depthlab.config.settings import EXECUTION_SETTINGS, parse, resume_hash
from depthlab.config.validation import DROPPING, validate
from depthlab.study.grid import AXES
from depthlab.sweep.space import Range, Value
from depthlab.tasks.metrics import higher_is_better
from depthlab.tasks.task import recorded_metrics
from depthlab.text import file_name

Direction = Literal["minimize", "maximize"]
TRADE_OFFS: dict[str, Direction] = {
    "seconds": "minimize",  # of training
    "dirichlet_energy": "maximize",  # of the last layer
}
NOT_SEARCHED = (*AXES[1:], *EXECUTION_SETTINGS, "dataset", "recipe", "epochs", "measures", "metrics")
FRESH = 1000  # first seed of the final test; a search uses smaller ones


@dataclass
class Search:
    """What a sweep optimises.

    Attributes:
        config: the network and the graph, with the hyperparameters of the baseline.
        choices: option of each config group.
        overrides: settings from the command line that fix something.
        space: range of each hyperparameter.
        objectives: recorded scores, or names of TRADE_OFFS.
        splits: of every trial.
        seeds: of every trial on each split.
        baseline: the hyperparameters in `config`, each moved to the nearest value of its range: the first trial.
    """

    config: DictConfig
    choices: dict[str, str]
    overrides: list[str]
    space: dict[str, Range]
    objectives: list[str]
    splits: list[dict[str, Any]]
    seeds: list[int]
    baseline: dict[str, Value] = field(init=False)

    def __post_init__(self) -> None:
        self.baseline = {key: values.nearest(OmegaConf.select(self.config, key)) for key, values in self.space.items()}

    @property
    def directions(self) -> list[Direction]:
        return [TRADE_OFFS.get(name, "maximize" if higher_is_better(name) else "minimize") for name in self.objectives]

    @property
    def dataset(self) -> str:
        """The name of the graph."""
        return parse(self.config, self.choices).dataset.label

    @property
    def network(self) -> str:
        """The name of the network: of its option, or of the class of model=module."""
        return parse(self.config, self.choices).model.label

    @property
    def pair(self) -> str:
        """`cora-gcnii`, as recipes are named."""
        return f"{file_name(self.dataset)}-{file_name(self.network)}"

    def trainings(self, seeds: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """Seed and split of each training of a trial; all splits of the first seed come first."""
        pairs = itertools.product(seeds if seeds is not None else self.seeds, self.splits)
        return [{"seed": seed} | split for seed, split in pairs]

    def settings(self, params: Mapping[str, Value], training: Mapping[str, Any]) -> Settings:
        """Settings of one training, for `depthlab.training.run.run`.

        Raises:
            UserError: values that are each allowed do not go together.
        """
        config = _changed(self.config, {**params, **training})
        for key in DROPPING:  # some values of an interval from 0 would be rounded to 0
            config[key] = nearest_drop_probability(config[key])
        return validate(config, self.choices)

    def provenance(self, params: Mapping[str, Value], training: Mapping[str, Any]) -> dict[str, str]:
        """Where each of these settings came from."""
        overrides = [*self.overrides, *(f"{key}={value}" for key, value in {**params, **training}.items())]
        return provenance(self.settings(params, training), self.choices, overrides)

    def content(self) -> dict[str, Any]:
        """What two starts of the same sweep have in common, under the names that an error uses."""
        base = self.settings(self.baseline, {"seed": 0} | self.splits[0])
        return {
            "space": {key: values.content for key, values in self.space.items()},
            "objective": self.objectives,
            "number of seeds": len(self.seeds),
            "splits": [[str(value) for value in split.values()] for split in self.splits],
            "network, recipe or graph": resume_hash(base, without=self.space),
            "device": base.trainer.accelerator,
        }


def make_search(
    space: Mapping[str, Range],
    overrides: Sequence[str],
    objective: Any,
    seeds: int | None,
    splits: Sequence[dict[str, Any]],
) -> Search:
    """Compose the network and check both ends of every range.

    Args:
        overrides: settings that are fixed.
        objective: a name, a list of names, or None for the dataset's own score.
        seeds: number of seeds of a trial; None for 3 on one split and 1 on several.
        splits: of a trial; if empty, all fixed splits of the dataset, or the one in `overrides`.

    Raises:
        UserError: a hyperparameter is unknown, a range too wide, or the objective cannot be used.
    """
    config, choices = compose_config(list(overrides))
    count = config.dataset.splits if isinstance(config.dataset.splits, int) else 0
    one_split = count < 2 or any(text.split("=")[0] == "split" for text in overrides)
    default = [{"split": config.split}] if one_split else [{"split": number} for number in range(count)]
    chosen = list(splits) or default
    number = seeds or (3 if len(chosen) == 1 else 1)
    for split in chosen:
        validate(_changed(config, split), choices)
    for key, values in space.items():
        if key.split(".")[0] in NOT_SEARCHED or key in OPTION_GROUPS:
            raise UserError(f"{key} is not searched: give it one value")
        if OmegaConf.select(config, key) is None:
            group = next((name for name in OPTION_GROUPS if key.startswith(f"{name}.")), "model")
            raise UserError(f"there is no setting {key} to search in {group}={choices[group]}: `depthlab train --help`")
        for value in values.ends():
            validate(_changed(config, {key: value}), choices)
    given = objective if objective is not None else f"val_{config.dataset.metric}"
    names = list(map(str, given)) if isinstance(given, Sequence) and not isinstance(given, str) else [str(given)]
    scores = [*(f"val_{name}" for name in recorded_metrics(config.dataset, config.metrics)), "val_loss"]
    every = [*scores, *TRADE_OFFS]
    if not names or any(name not in every for name in names) or len(set(names)) < len(names):
        raise UserError(f"objective must be one of {', '.join(scores)} or a list of {', '.join(every)}, got {given}")
    if names[0] not in scores:
        raise UserError(f"the first objective has to be a score, one of {', '.join(scores)}, got {names[0]}")
    return Search(config, choices, list(overrides), dict(space), names, chosen, list(range(number)))


def _changed(config: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    """A copy with other values."""
    changed = config.copy()
    for key, value in values.items():
        OmegaConf.update(changed, key, value)
    return changed
