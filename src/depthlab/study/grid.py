"""Expands the methods and swept settings of a study into planned runs. Imports nothing heavy."""

import itertools
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from depthlab.config.errors import UserError
from depthlab.config.overrides import check_distinct, check_runs, count_values
from depthlab.config.schema import MAX_RUNS
from depthlab.config.settings import compose_config, config_hash, plain, provenance, resume_hash
from depthlab.config.validation import validate

AXES = ("depth", "seed", "split", "split_seed")  # settings that vary within a method


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Attributes:
        method: label of its method, such as `GCN + DropEdge`.
        dataset: the dataset's name, or its label in `graphs`.
        settings: as for `depthlab.training.run.run`.
        provenance: where each value came from.
        animated: whether it records its states for the animation.
    """

    method: str
    dataset: str
    settings: dict[str, Any]
    provenance: dict[str, str]
    animated: bool = False

    @property
    def depth(self) -> int:
        return int(self.settings["depth"])

    @property
    def seed(self) -> int:
        return int(self.settings["seed"])

    @property
    def split(self) -> str:
        """`public`, the number of a fixed split, or `random` with its seed."""
        split = str(self.settings["split"])
        return f"random{self.settings['split_seed']}" if split == "random" else split

    @property
    def hash(self) -> str:
        return config_hash(self.settings)


def expand(
    methods: Mapping[str, str],
    grid: Mapping[str, Any],
    animation: Mapping[str, Any],
    typed: Sequence[str],
    graphs: Mapping[str, str | list[str]] | None = None,
    max_runs: int = MAX_RUNS,
) -> list[PlannedRun]:
    """All planned runs of a study, seed by seed, so that an interrupted study has some runs of every method.

    Args:
        methods: label -> settings of that method alone, as typed for `depthlab train`.
        grid: setting -> its values as typed, such as `depth: 2,4,8`.
        animation: `depth`, `seed` and `split` of the runs that record their states, and the labels of their `methods`
            (default: all). By default, or if a value is not in the grid: the largest depth, first seed and first split.
        typed: settings from the command line: they win over `grid`, `model=...` over `methods`, `dataset=...` over
            `graphs`.
        graphs: label -> dataset and its settings, with axes that replace those of `grid`:
            `dataset=texas split=range(10)`. With a list of such strings the label has the runs of all of them, each
            once: for example fewer seeds at an expensive depth.
        max_runs: how many runs are allowed.

    Raises:
        UserError: a setting is not allowed, is set twice, or there is nothing or too much to run.
        hydra.errors.HydraException: a setting cannot be read.
    """
    by_hand = values_of(typed, max_runs)
    swept = values_of(_overrides(grid), max_runs) | by_hand
    if "model" in swept:
        methods = {}
    several = {label: [text] if isinstance(text, str) else text for label, text in (graphs or {}).items()}
    texts = [(label, text) for label, found in several.items() for text in found] if "dataset" not in swept else []
    taken = {key: label for label, text in methods.items() for key in _split(label, text)}
    for key in taken.keys() & swept.keys():
        raise UserError(f"the method '{taken[key]}' sets {key} itself: leave {key} out, or name the models, model=...")
    held = {key: label for label, text in texts for key in _split(label, text, AXES) if key not in AXES}
    for key in held.keys() & (swept.keys() | taken.keys()):
        raise UserError(f"the graph '{held[key]}' sets {key} itself: leave {key} out, or name datasets, dataset=...")
    if "ckpt" in swept:
        raise UserError("a study resumes interrupted runs by itself: leave ckpt out")
    for key in ("tracking.uri", "tracking.experiment"):
        if len(swept.get(key, [""])) > 1:
            raise UserError(f"all runs of a study are recorded in one store: give one {key}")
    if len(swept.get("split_seed", [""])) > 1 and swept.get("split") != ["random"]:
        raise UserError("split_seed is used by random splits only: add split=random")
    places = [("", f"dataset={name}") for name in swept.pop("dataset", [])] or texts or [("", "")]
    axes = {key: swept.pop(key) for key in AXES if key in swept}
    fixed = [f"{key}={values[0]}" for key, values in swept.items() if len(values) == 1 and key != "model"]
    varied = {key: values for key, values in swept.items() if len(values) > 1 or key == "model"}
    each = [len(values) for values in varied.values()]
    axes_of = [{**axes, **_own_axes(graph, place, by_hand)} for graph, place in places]
    points = sum(math.prod(map(len, there.values())) for there in axes_of)
    check_runs([len(methods) or 1, *each, points], max_runs, "this study")
    if not methods:
        methods = dict(_method(varied, values) for values in itertools.product(*varied.values()))
    else:
        methods = {
            " ".join([label, *_options(varied, values)]): " ".join([text, *_typed(varied, values)])
            for label, text in methods.items()
            for values in itertools.product(*varied.values())
        }
    runs: list[PlannedRun] = []
    earlier: dict[str, set[str]] = {}  # hashes of the runs that a label has so far
    for graph, place in places:
        here = _split(graph, place, AXES)
        there = axes | _own_axes(graph, place, by_hand)
        where = [f"{key}={values[0]}" for key, values in here.items() if key not in AXES]
        point = _animation(animation, there)
        found = [
            run
            for label, text in methods.items()
            for run in _planned_runs(graph, label, [*where, *shlex.split(text), *fixed], there, point)
            if run.hash not in earlier.get(graph, ())
        ]
        runs += found
        if graph:
            earlier.setdefault(graph, set()).update(run.hash for run in found)
    _check_distinct(runs)
    return sorted(runs, key=lambda run: (run.seed, *_number_or_word(run.split)))


def _own_axes(graph: str, place: str, by_hand: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The axes that a graph sets itself, except those on the command line."""
    here = _split(graph, place, AXES)
    return {key: values for key, values in here.items() if key in AXES and key not in by_hand}


def _split(label: str, text: str, several: Sequence[str] = ()) -> dict[str, list[str]]:
    """The settings of a method or graph of a yaml, each with one value but for the axes in `several`."""
    try:
        values = values_of(shlex.split(text))
    except ValueError:
        raise UserError(f"cannot read '{label}': {text} lacks a quotation mark") from None
    for key, found in values.items():
        if len(found) > 1 and key not in several:
            raise UserError(f"'{label}' gives {key} several values: write one of them, or type {key}=...")
    return values


def _check_distinct(runs: Sequence[PlannedRun]) -> None:
    """Two runs of the same settings would train at the same time in the same folder."""
    first: dict[str, PlannedRun] = {}
    for run in runs:
        other = first.setdefault(resume_hash(run.settings), run)
        if other is not run:
            names = [f"{one.method} on {one.dataset}" for one in (other, run)]
            what = f"{names[0]} and {names[1]} hold" if names[0] != names[1] else f"{names[0]} holds"
            raise UserError(f"{what} the same run twice: leave one out")


def _planned_runs(
    graph: str, label: str, overrides: list[str], axes: Mapping[str, list[str]], animation: Mapping[str, Any]
) -> list[PlannedRun]:
    """The runs of one method on one dataset. The settings are composed once, then only the axes change."""
    first = [f"{key}={values[0]}" for key, values in axes.items()]
    config, choices = compose_config([*overrides, *first])
    for key, values in axes.items():
        for value in values:
            config[key] = value
            validate(config, choices)
        config[key] = values[0]
    runs = []
    for point in itertools.product(*axes.values()):
        for key, value in zip(axes, point, strict=True):
            config[key] = value
        settings = plain(config)
        animated = label in animation.get("methods", [label]) and _is_at(settings, animation)
        typed = [*overrides, *(f"{key}={value}" for key, value in zip(axes, point, strict=True))]
        dataset = graph or str(settings["dataset"]["name"])
        runs.append(PlannedRun(label, dataset, settings, provenance(settings, choices, typed), animated))
    return runs


def _animation(animation: Mapping[str, Any], axes: Mapping[str, list[str]]) -> dict[str, Any]:
    """The point of the grid whose runs are animated."""
    point = dict(animation)
    for key, values in axes.items():
        usual = max(values, key=lambda value: int(value) if value.isdigit() else 0) if key == "depth" else values[0]
        if str(point.get(key)) not in values:
            point[key] = usual
    return {key: value for key, value in point.items() if key in axes or key == "methods"}


def _is_at(settings: Mapping[str, Any], point: Mapping[str, Any]) -> bool:
    return all(str(settings[key]) == str(value) for key, value in point.items() if key != "methods")


def _overrides(grid: Mapping[str, Any]) -> list[str]:
    return [f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}" for key, value in grid.items()]


def values_of(overrides: Sequence[str], max_runs: int = MAX_RUNS) -> dict[str, list[str]]:
    """Setting -> its values as typed; the last of two settings of the same name counts.

    Raises:
        UserError: one cannot be used here, has no value, more than `max_runs` values, or a value twice.
    """
    values: dict[str, list[str]] = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if override.is_delete() or override.is_add() or override.package:
            raise UserError(f"cannot read '{override.input_line}': write key=value")
        swept = override.is_sweep_override()
        check_runs([count_values(override)], max_runs, f"'{override.input_line}'")
        check_distinct(override)
        found = list(override.sweep_string_iterator()) if swept else [override.get_value_element_as_str()]
        if not found:
            raise UserError(f"'{override.input_line}' holds no value: give one at least")
        values[override.key_or_group] = found
    return values


def _method(varied: Mapping[str, list[str]], values: tuple[str, ...]) -> tuple[str, str]:
    """Label and settings of a method on the command line: `gcnii p_drop=0.2`."""
    named = dict(zip(varied, values, strict=True))
    rest = {key: value for key, value in varied.items() if key != "model"}
    label = " ".join([named.get("model", "gcnii"), *_options(rest, tuple(named[key] for key in rest))])
    return label, " ".join(_typed(varied, values))


def _options(varied: Mapping[str, list[str]], values: tuple[str, ...]) -> list[str]:
    return [f"{key.removeprefix('model.')}={value}" for key, value in zip(varied, values, strict=True)]


def _typed(varied: Mapping[str, list[str]], values: tuple[str, ...]) -> list[str]:
    return [shlex.quote(f"{key}={value}") for key, value in zip(varied, values, strict=True)]


def _number_or_word(split: str) -> tuple[int, str]:
    return (int(split), "") if split.isdigit() else (-1, split)
