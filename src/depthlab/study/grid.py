"""Expands the methods and swept settings of a study into planned runs. Imports nothing heavy."""

import functools
import itertools
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from depthlab.config.compose import compose
from depthlab.config.errors import UserError
from depthlab.config.overrides import check_distinct, check_runs, count_values
from depthlab.config.provenance import provenance
from depthlab.config.schema import MAX_RUNS, RUN_LIMITS, Settings
from depthlab.config.settings import config_hash, parse, resume_hash
from depthlab.config.validation import check_limits, validate

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
    settings: Settings
    provenance: dict[str, str]
    animated: bool = False

    @property
    def depth(self) -> int:
        return self.settings.depth

    @property
    def seed(self) -> int:
        return self.settings.seed

    @property
    def split(self) -> str:
        return self.settings.split_name

    @functools.cached_property
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
    """All planned runs of a study, seed by seed; of equally long runs, those of the first seed are trained first.

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
    from_command_line = values_of(typed, max_runs)
    swept = values_of(_overrides(grid), max_runs) | from_command_line
    texts = [(label, text) for label, value in (graphs or {}).items() for text in _as_list(value)]
    if "dataset" in swept:
        texts = []
    if "model" in swept:
        methods = {model: shlex.quote(f"model={model}") for model in swept.pop("model")}
    _check_conflicts(methods, texts, swept)
    texts = texts or [("", f"dataset={name}") for name in swept.pop("dataset", [])] or [("", "")]
    axes = {key: swept.pop(key) for key in AXES if key in swept}
    places = []  # label, overrides and axes of each graph
    for label, text in texts:
        values = _split(label, text, AXES)
        own = {key: values[key] for key in AXES if key in values and key not in from_command_line}
        places.append((label, [f"{key}={values[key][0]}" for key in values if key not in AXES], axes | own))
    fixed = [f"{key}={values[0]}" for key, values in swept.items() if len(values) == 1]
    varied = {key: values for key, values in swept.items() if len(values) > 1}
    points = sum(math.prod(map(len, own_axes.values())) for _, _, own_axes in places)
    check_runs([len(methods) or 1, *map(len, varied.values()), points], max_runs, "this study")
    methods = _multiply(methods or {"gcnii": ""}, varied)
    runs: list[PlannedRun] = []
    seen: set[tuple[str, str]] = set()  # labels and hashes: the texts of one label share their runs
    for graph, overrides, own_axes in places:
        new = [
            run
            for label, text in methods.items()
            for run in _planned_runs(graph, label, [*overrides, *shlex.split(text), *fixed], own_axes, animation)
            if (graph, run.hash) not in seen
        ]
        runs += new
        seen |= {(graph, run.hash) for run in new if graph}
    _check_distinct(runs)
    return sorted(runs, key=lambda run: (run.seed, *_number_or_word(run.split)))


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _check_conflicts(
    methods: Mapping[str, str], texts: Sequence[tuple[str, str]], swept: Mapping[str, list[str]]
) -> None:
    """Raise UserError if two parts of a study set the same setting, or one sets what a study cannot vary."""
    by_method = {key: label for label, text in methods.items() for key in _split(label, text)}
    for key in by_method.keys() & swept.keys():
        raise UserError(
            f"the method '{by_method[key]}' sets {key} itself: leave {key} out, or name the models, model=..."
        )
    by_graph = {key: label for label, text in texts for key in _split(label, text, AXES) if key not in AXES}
    for key in by_graph.keys() & (swept.keys() | by_method.keys()):
        raise UserError(
            f"the graph '{by_graph[key]}' sets {key} itself: leave {key} out, or name datasets, dataset=..."
        )
    if "ckpt" in swept:
        raise UserError("a study resumes interrupted runs by itself: leave ckpt out")
    for key in ("tracking.uri", "tracking.experiment"):
        if len(swept.get(key, [""])) > 1:
            raise UserError(f"all runs of a study are recorded in one store: give one {key}")
    if len(swept.get("split_seed", [""])) > 1 and swept.get("split") != ["random"]:
        raise UserError("split_seed is used by random splits only: add split=random")


def _multiply(methods: Mapping[str, str], varied: Mapping[str, list[str]]) -> dict[str, str]:
    """Every method with every combination of the varied settings, which its label names: `gcnii p_drop=0.2`."""
    product = {}
    for (label, text), values in itertools.product(methods.items(), itertools.product(*varied.values())):
        pairs = [f"{key}={value}" for key, value in zip(varied, values, strict=True)]
        options = [pair.removeprefix("model.") for pair in pairs]
        product[" ".join([label, *options])] = " ".join([text, *map(shlex.quote, pairs)])
    return product


def _split(label: str, text: str, axes: Sequence[str] = ()) -> dict[str, list[str]]:
    """The settings of a method or graph of a yaml, each with one value except for the `axes`."""
    try:
        values = values_of(shlex.split(text))
    except ValueError:
        raise UserError(f"cannot read '{label}': {text} lacks a quotation mark") from None
    for key, given in values.items():
        if len(given) > 1 and key not in axes:
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
    typed = [*overrides, *(f"{key}={values[0]}" for key, values in axes.items())]
    config, choices = compose("config", typed)
    first = validate(config, choices)
    sources = provenance(first, choices, typed)  # the same for all values of the axes
    parsed: dict[str, dict[str, Any]] = {}  # axis -> value as typed -> value
    for key, values in axes.items():
        parsed[key] = {}
        for value in values:
            config[key] = value
            if key == "split" or first.replicas > 1:
                validate(config, choices)
            check_limits(config, {key: RUN_LIMITS[key]})
            parsed[key][value] = str(config[key]) if key == "split" else config[key]
        config[key] = values[0]
    animated = _animated_point(animation, axes) if label in animation.get("methods", [label]) else None
    refers = _refers(config, axes)
    runs = []
    for point in itertools.product(*axes.values()):
        at = {key: parsed[key][value] for key, value in zip(axes, point, strict=True)}
        if refers:
            config.merge_with(at)
        settings = parse(config, choices) if refers else replace(first, **at)  # parsing takes 3 ms
        runs.append(PlannedRun(label, graph or settings.dataset.label, settings, sources, point == animated))
    return runs


def _refers(config: DictConfig, axes: Iterable[str]) -> bool:
    """Whether another setting may have the value of an axis, such as `${seed}`."""
    written = str(OmegaConf.to_container(config, resolve=False))
    return any(re.search(rf"\$\{{[^}}]*\b{key}\b", written) for key in axes)


def _animated_point(animation: Mapping[str, Any], axes: Mapping[str, list[str]]) -> tuple[str, ...]:
    """The values of the axes at which runs are animated."""
    point = []
    for key, values in axes.items():
        usual = max(values, key=lambda value: int(value) if value.isdigit() else 0) if key == "depth" else values[0]
        point.append(str(animation[key]) if str(animation.get(key)) in values else usual)
    return tuple(point)


def _overrides(grid: Mapping[str, Any]) -> list[str]:
    return [f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}" for key, value in grid.items()]


def values_of(overrides: Sequence[str], max_runs: int = MAX_RUNS) -> dict[str, list[str]]:
    """Setting -> its values as typed; the last of two settings of the same name counts.

    Raises:
        UserError: one cannot be used here, has no value, more than `max_runs` values, or a value twice.
    """
    values: dict[str, list[str]] = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        is_own = override.key_or_group.startswith("model.args.")  # a setting without a yaml file
        if override.is_delete() or (override.is_add() and not is_own) or override.package:
            raise UserError(f"cannot read '{override.input_line}': write key=value")
        swept = override.is_sweep_override()
        check_runs([count_values(override)], max_runs, f"'{override.input_line}'")
        check_distinct(override)
        texts = list(override.sweep_string_iterator()) if swept else [override.get_value_element_as_str()]
        if not texts:
            raise UserError(f"'{override.input_line}' holds no value: give one at least")
        values[override.key_or_group] = texts
    return values


def _number_or_word(split: str) -> tuple[int, str]:
    return (int(split), "") if split.isdigit() else (-1, split)
