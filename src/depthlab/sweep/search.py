"""What a sweep searches: knobs of one network on one graph, and the trainings of a trial. Imports nothing heavy."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from depthlab.config.errors import UserError
from depthlab.config.limits import nearest_drop
from depthlab.config.schema import OWN_KNOBS
from depthlab.config.settings import NOT_THE_EXPERIMENT, compose_config, plain, provenance, resume_hash
from depthlab.config.validation import DROPPING, validate
from depthlab.study.grid import AXES
from depthlab.sweep.space import Knob, Value
from depthlab.tasks.metrics import higher_is_better
from depthlab.tasks.task import recorded_metrics
from depthlab.text import file_name

Direction = Literal["minimize", "maximize"]
TRADE_OFFS: dict[str, Direction] = {
    "seconds": "minimize",  # of training
    "dirichlet_energy": "maximize",  # of the last layer
}
NOT_SEARCHED = (*AXES[1:], *NOT_THE_EXPERIMENT, "dataset", "recipe", "epochs", "measures", "metrics")
FRESH = 1000  # the first seed with which the best is tested: no search gets so far


@dataclass
class Search:
    """A sweep before anything has been trained.

    Attributes:
        config: the network and the graph, its knobs at the values that the sweep starts from.
        choices: option of each config group.
        typed: settings from the command line that fix something.
        knobs: what is searched.
        objectives: recorded scores, or names of TRADE_OFFS.
        splits: of every trial.
        seeds: of every trial on each of them.
        start: what each knob starts from: the value in `config`, or the nearest that it may have.
    """

    config: DictConfig
    choices: dict[str, str]
    typed: list[str]
    knobs: dict[str, Knob]
    objectives: list[str]
    splits: list[dict[str, Any]]
    seeds: list[int]
    start: dict[str, Value] = field(init=False)

    def __post_init__(self) -> None:
        self.start = {key: knob.nearest(OmegaConf.select(self.config, key)) for key, knob in self.knobs.items()}

    @property
    def directions(self) -> list[Direction]:
        return [TRADE_OFFS.get(name, "maximize" if higher_is_better(name) else "minimize") for name in self.objectives]

    @property
    def pair(self) -> str:
        """`cora-gcnii`, as recipes are named."""
        return f"{file_name(self.config.dataset.name)}-{self.choices['model']}"

    def points(self, seeds: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """The trainings of a trial: each split with each seed, one seed after the other."""
        pairs = itertools.product(seeds if seeds is not None else self.seeds, self.splits)
        return [{"seed": seed} | split for seed, split in pairs]

    def settings(self, params: Mapping[str, Value], point: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of one training, for `depthlab.training.run.run`.

        Raises:
            UserError: values that are each allowed do not go together.
        """
        config = self.config.copy()
        for key, value in {**params, **point}.items():
            OmegaConf.update(config, key, value)
        for key in DROPPING:  # some values of an interval from 0 would be rounded to 0
            config[key] = nearest_drop(config[key])
        validate(config, self.choices)
        return plain(config)

    def origin(self, params: Mapping[str, Value], point: Mapping[str, Any]) -> dict[str, str]:
        """Where each of those values came from."""
        typed = [*self.typed, *(f"{key}={value}" for key, value in {**params, **point}.items())]
        return provenance(self.settings(params, point), self.choices, typed)

    def content(self) -> dict[str, Any]:
        """What two starts of the same sweep have in common, by the words that an error would name it with."""
        base = self.settings(self.start, {"seed": 0} | self.splits[0])
        for key in self.knobs:
            owner, _, name = key.rpartition(".")
            part: Any = base
            for word in owner.split(".") if owner else []:
                part = part[word]
            part.pop(name, None)
        return {
            "space": {key: repr(knob) for key, knob in self.knobs.items()},
            "objective": self.objectives,
            "number of seeds": len(self.seeds),
            "splits": [[str(value) for value in split.values()] for split in self.splits],
            "network, recipe or graph": resume_hash(base),
            "device": base["trainer"]["accelerator"],
        }


def make_search(
    knobs: Mapping[str, Knob], typed: Sequence[str], objective: Any, seeds: int | None, splits: Sequence[dict[str, Any]]
) -> Search:
    """Compose the network and check every knob at both of its ends.

    Args:
        typed: settings that are fixed.
        objective: a name, a list of names, or None for the dataset's own score.
        seeds: how many a trial has, None for 3 on one split and 1 on several.
        splits: of a trial; none are all fixed splits of the dataset, or the one that the settings name.

    Raises:
        UserError: a knob is unknown or goes too far, or the objective cannot be used.
    """
    config, choices = compose_config(list(typed))
    count = config.dataset.splits if isinstance(config.dataset.splits, int) else 0
    named = any(text.split("=")[0] == "split" for text in typed)
    known = [{"split": number} for number in range(count)] if count > 1 and not named else [{"split": config.split}]
    places = list(splits) or known
    number = seeds or (3 if len(places) == 1 else 1)
    for place in places:
        _checked(config, choices, place)
    for key, knob in knobs.items():
        if key.split(".")[0] in NOT_SEARCHED or key in OWN_KNOBS:
            raise UserError(f"{key} is not searched: give it one value")
        if OmegaConf.select(config, key) is None:
            group = "rewiring" if key.startswith("rewiring.") else "model"
            raise UserError(f"there is no setting {key} to search in {group}={choices[group]}: `depthlab train --help`")
        for value in knob.ends():
            _checked(config, choices, {key: value})
    found = objective if objective is not None else f"val_{config.dataset.metric}"
    names = list(map(str, found)) if isinstance(found, Sequence) and not isinstance(found, str) else [str(found)]
    scores = [*(f"val_{name}" for name in recorded_metrics(config.dataset, config.metrics)), "val_loss"]
    every = [*scores, *TRADE_OFFS]
    if not names or any(name not in every for name in names) or len(set(names)) < len(names):
        raise UserError(f"objective must be one of {', '.join(scores)} or a list of {', '.join(every)}, got {found}")
    if names[0] not in scores:
        raise UserError(f"the first objective has to be a score, one of {', '.join(scores)}, got {names[0]}")
    return Search(config, choices, list(typed), dict(knobs), names, places, list(range(number)))


def _checked(config: DictConfig, choices: dict[str, str], values: Mapping[str, Any]) -> None:
    changed = config.copy()
    for key, value in values.items():
        OmegaConf.update(changed, key, value)
    validate(changed, choices)
