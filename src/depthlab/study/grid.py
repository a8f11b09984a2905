"""From lines and swept settings to cells, each of them the settings of one run. Imports nothing heavy."""

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

AXES = ("depth", "seed", "split", "split_seed")  # what varies within a line


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
        line: label of the line that it belongs to, such as `GCN + DropEdge`.
        dataset: the dataset's name, or its label in `graphs`.
        settings: as for `depthlab.training.run.run`.
        origin: where each value came from.
        film: whether its states are kept when it is run.
    """

    line: str
    dataset: str
    settings: dict[str, Any]
    origin: dict[str, str]
    film: bool = False

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
    lines: Mapping[str, str],
    grid: Mapping[str, Any],
    film: Mapping[str, Any],
    typed: Sequence[str],
    graphs: Mapping[str, str | list[str]] | None = None,
    max_runs: int = MAX_RUNS,
) -> list[Cell]:
    """All cells of a study, seed by seed, so that a study that is interrupted has something of every line.

    Args:
        lines: label -> settings of that line alone, as typed for `depthlab train`.
        grid: setting -> its values as typed, such as `depth: 2,4,8`.
        film: values of `depth`, `seed` and `split` whose cells keep their states, and the labels of the `lines` that
            do, else all; by default, or if not in the grid, the largest depth, the first seed and the first split.
        typed: settings from the command line: they win over `grid`, `model=...` over `lines`, `dataset=...` over
            `graphs`.
        graphs: label -> dataset and its settings, with axes that replace those of `grid`:
            `dataset=texas split=range(10)`. With a list of such strings the label has the cells of all of them, each
            once: for example fewer seeds at an expensive depth.
        max_runs: how many cells are allowed.

    Raises:
        UserError: a setting is not allowed, is set twice, or there is nothing or too much to run.
        hydra.errors.HydraException: a setting cannot be read.
    """
    by_hand = values_of(typed, max_runs)
    swept = values_of(_overrides(grid), max_runs) | by_hand
    if "model" in swept:
        lines = {}
    several = {label: [text] if isinstance(text, str) else text for label, text in (graphs or {}).items()}
    texts = [(label, text) for label, found in several.items() for text in found] if "dataset" not in swept else []
    taken = {key: label for label, text in lines.items() for key in _split(label, text)}
    for key in taken.keys() & swept.keys():
        raise UserError(f"the line '{taken[key]}' sets {key} itself: leave {key} out, or name the models, model=...")
    held = {key: label for label, text in texts for key in _split(label, text, AXES) if key not in AXES}
    for key in held.keys() & (swept.keys() | taken.keys()):
        raise UserError(f"the graph '{held[key]}' sets {key} itself: leave {key} out, or name datasets, dataset=...")
    if "ckpt" in swept:
        raise UserError("a study goes on by itself with what was interrupted: leave ckpt out")
    for key in ("tracking.uri", "tracking.experiment"):
        if len(swept.get(key, [""])) > 1:
            raise UserError(f"all cells of a study are recorded in one place: give one {key}")
    if len(swept.get("split_seed", [""])) > 1 and swept.get("split") != ["random"]:
        raise UserError("split_seed is of random splits alone: add split=random")
    places = [("", f"dataset={name}") for name in swept.pop("dataset", [])] or texts or [("", "")]
    axes = {key: swept.pop(key) for key in AXES if key in swept}
    fixed = [f"{key}={values[0]}" for key, values in swept.items() if len(values) == 1 and key != "model"]
    varied = {key: values for key, values in swept.items() if len(values) > 1 or key == "model"}
    each = [len(values) for values in varied.values()]
    axes_of = [{**axes, **_own_axes(graph, place, by_hand)} for graph, place in places]
    points = sum(math.prod(map(len, there.values())) for there in axes_of)
    check_runs([len(lines) or 1, *each, points], max_runs, "this study")
    if not lines:
        lines = dict(_line(varied, values) for values in itertools.product(*varied.values()))
    else:
        lines = {
            " ".join([label, *_options(varied, values)]): " ".join([text, *_typed(varied, values)])
            for label, text in lines.items()
            for values in itertools.product(*varied.values())
        }
    cells: list[Cell] = []
    earlier: dict[str, set[str]] = {}  # cells of a label from texts before
    for graph, place in places:
        here = _split(graph, place, AXES)
        there = axes | _own_axes(graph, place, by_hand)
        where = [f"{key}={values[0]}" for key, values in here.items() if key not in AXES]
        point = _film(film, there)
        found = [
            cell
            for label, text in lines.items()
            for cell in _cells(graph, label, [*where, *shlex.split(text), *fixed], there, point)
            if cell.hash not in earlier.get(graph, ())
        ]
        cells += found
        if graph:
            earlier.setdefault(graph, set()).update(cell.hash for cell in found)
    _check_distinct(cells)
    return sorted(cells, key=lambda cell: (cell.seed, *_number_or_word(cell.split)))


def _own_axes(graph: str, place: str, by_hand: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The axes that a graph sets itself, except those on the command line."""
    here = _split(graph, place, AXES)
    return {key: values for key, values in here.items() if key in AXES and key not in by_hand}


def _split(label: str, text: str, several: Sequence[str] = ()) -> dict[str, list[str]]:
    """The settings of a line or graph of a yaml, each with one value but for those that may have `several`."""
    try:
        values = values_of(shlex.split(text))
    except ValueError:
        raise UserError(f"cannot read '{label}': {text} lacks a quotation mark") from None
    for key, found in values.items():
        if len(found) > 1 and key not in several:
            raise UserError(f"'{label}' gives {key} several values: write one of them, or type {key}=...")
    return values


def _check_distinct(cells: Sequence[Cell]) -> None:
    """Two cells of the same settings would train at the same time in the same folder."""
    first: dict[str, Cell] = {}
    for cell in cells:
        other = first.setdefault(resume_hash(cell.settings), cell)
        if other is not cell:
            names = [f"{one.line} on {one.dataset}" for one in (other, cell)]
            what = f"{names[0]} and {names[1]} hold" if names[0] != names[1] else f"{names[0]} holds"
            raise UserError(f"{what} the same run twice: leave one out")


def _cells(
    graph: str, label: str, overrides: list[str], axes: Mapping[str, list[str]], film: Mapping[str, Any]
) -> list[Cell]:
    """The cells of one line on one dataset: composed once, then only the axes change."""
    first = [f"{key}={values[0]}" for key, values in axes.items()]
    config, choices = compose_config([*overrides, *first])
    for key, values in axes.items():
        for value in values:
            config[key] = value
            validate(config, choices)
        config[key] = values[0]
    cells = []
    for point in itertools.product(*axes.values()):
        for key, value in zip(axes, point, strict=True):
            config[key] = value
        settings = plain(config)
        kept = label in film.get("lines", [label]) and _is_at(settings, film)
        typed = [*overrides, *(f"{key}={value}" for key, value in zip(axes, point, strict=True))]
        origin = provenance(settings, choices, typed)
        cells.append(Cell(label, graph or str(settings["dataset"]["name"]), settings, origin, kept))
    return cells


def _film(film: Mapping[str, Any], axes: Mapping[str, list[str]]) -> dict[str, Any]:
    """The one point of the grid that is filmed."""
    point = dict(film)
    for key, values in axes.items():
        usual = max(values, key=lambda value: int(value) if value.isdigit() else 0) if key == "depth" else values[0]
        if str(point.get(key)) not in values:
            point[key] = usual
    return {key: value for key, value in point.items() if key in axes or key == "lines"}


def _is_at(settings: Mapping[str, Any], point: Mapping[str, Any]) -> bool:
    return all(str(settings[key]) == str(value) for key, value in point.items() if key != "lines")


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


def _line(varied: Mapping[str, list[str]], values: tuple[str, ...]) -> tuple[str, str]:
    """Label and settings of a line that was typed: `gcnii p_drop=0.2`."""
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
