"""The committed data of a study: runs, curves by layer and animation, from which the report is drawn again.

`runs.csv` has one row per run. `curves.json.gz` has the measures of every run by layer and by hop, with four digits.
`animation.npz` has the states of the animation, with one byte per coordinate.
"""

import gzip
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from depthlab.config.errors import UserError
from depthlab.folders import relative
from depthlab.report.animation import Animation, from_bytes
from depthlab.report.question import question
from depthlab.report.runs import Report
from depthlab.study.methods import results_folder
from depthlab.text import FORMULA, for_csv

RUNS, CURVES, ANIMATION = "runs.csv", "curves.json.gz", "animation.npz"
TEXT = ("study", "dataset", "method", "split", "config_hash", "data_hash", "code_hash", "git_commit", "run_id")
VERSION = 1


def write_data(report: Report, folder: Path) -> list[str]:
    """Write the files of a report's data; returns their names. Equal reports give equal bytes."""
    report.runs.map(for_csv).to_csv(folder / RUNS, index=False)
    curves: dict[str, dict[str, list[float]]] = {}
    for (run_id, measure), values in report.curves.items():
        curves.setdefault(measure, {})[run_id] = values
    content = {
        "version": VERSION,
        "question": report.question,
        "animations_asked": report.animations_asked,
        "without_states": report.without_states,
        "curves": curves,
    }
    text = json.dumps(content, separators=(",", ":"))
    (folder / CURVES).write_bytes(gzip.compress(text.encode(), mtime=0))
    if not report.animations:
        return [RUNS, CURVES]
    names = ("dataset", "method", "depth", "diverged", "layers", "nodes", "classes")
    about = [{name: getattr(one, name) for name in names} | {"extent": one.extent} for one in report.animations]
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about))}
    for k, one in enumerate(report.animations):
        arrays |= {f"points{k}": one.in_bytes(), f"y{k}": one.y.astype(np.uint16)}
    np.savez_compressed(folder / ANIMATION, **arrays)
    return [RUNS, CURVES, ANIMATION]


def read_data(study: str) -> Report:
    """The report of a study from the files in `results/STUDY`. Without curves or animation it has none.

    Raises:
        UserError: there is no `runs.csv`, or a file cannot be read.
    """
    folder = results_folder(study)
    if not (folder / RUNS).is_file():
        raise UserError(
            f"there is no {relative(folder / RUNS)}: choose a study with results, or leave from=results out to read the"
            " store"
        )
    report = Report(study, _read(folder / RUNS, read_runs))
    if (folder / CURVES).is_file():
        content = _read(folder / CURVES, _curves)
        report.question, report.animations_asked = str(content["question"]), int(content["animations_asked"])
        report.without_states = dict(content["without_states"])
        for measure, curves in content["curves"].items():
            report.curves |= {(run_id, measure): values for run_id, values in curves.items()}
    if (folder / ANIMATION).is_file():
        report.animations = _read(folder / ANIMATION, _animations)
    report.question = report.question or question(study, report.runs)
    return report


def read_runs(path: Path) -> pd.DataFrame:
    """The runs of a `runs.csv`; one of an earlier version gets its metric from its columns."""
    kinds = dict.fromkeys(TEXT, str)
    runs = pd.read_csv(path, dtype=kinds, float_precision="round_trip", keep_default_na=False, na_values=[""])
    runs = runs.map(_as_written)
    if "metric" not in runs:
        names = [name.removeprefix("test_") for name in runs.columns if name.startswith("test_")]
        runs["metric"] = next((name for name in names if name != "acc"), "acc")
    return runs


def _as_written(value: Any) -> Any:
    """A text without the apostrophe of `for_csv`."""
    return value[1:] if isinstance(value, str) and value[:1] == "'" and value[1:].startswith(FORMULA) else value


def _curves(path: Path) -> dict[str, Any]:
    content = json.loads(gzip.decompress(path.read_bytes()))
    if content["version"] != VERSION:
        raise ValueError(f"it is of version {content['version']}")
    return dict(content)


def _animations(path: Path) -> list[Animation]:
    animations = []
    with np.load(path, allow_pickle=False) as content:
        for k, about in enumerate(json.loads(str(content["about"]))):
            points = from_bytes(content[f"points{k}"], about.pop("extent"))
            animations.append(Animation(points=points, y=content[f"y{k}"], **about))
    return animations


def _read(path: Path, function: Any) -> Any:
    """The content of a file; raises UserError if it is damaged."""
    try:
        return function(path)
    except (ValueError, KeyError, TypeError, EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"cannot read {relative(path)} ({error}): restore it, or write it again from the store with depthlab report"
        ) from None
