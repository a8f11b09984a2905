"""All files of a report."""

import io
import shutil
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from depthlab.files import atomic_write, lock_of
from depthlab.report.drawing import style
from depthlab.report.figures import animation_figure, depth_figure, layers_figure, score_figure
from depthlab.report.files import ANIMATION, CURVES, RUNS, write_data
from depthlab.report.latex import latex
from depthlab.report.output import Output
from depthlab.report.page import page
from depthlab.report.page_parts import again_with_states
from depthlab.report.repulsion import is_repulsion_study, repulsion_figure
from depthlab.report.rewiring import has_rewirings, rewiring_tables
from depthlab.report.runs import Report, measured, read_report
from depthlab.report.table import markdown
from depthlab.report.task_range import is_range_study, range_figure, range_tables, sensitivity_figure
from depthlab.study.methods import results_folder
from depthlab.text import printable, slug
from depthlab.tracking.search import Records

DPI = {"animation": 100}  # thousands of points
ON_PAGE = {  # figures that the page shows as they are
    "range": "Training and test score against the size of the task",
    "sensitivity": "Sensitivity to a node by its distance, as a share of that at distance 0",
    "repulsion": "Validation score against repulsion, and the best repulsion against homophily",
}
SCREEN = Output()
METADATA: dict[str, Any] = {"png": None, "pdf": {"CreationDate": None}, "svg": {"Date": None}}  # equal bytes each time
# files of a report, which replace those of an earlier one
OWN = (RUNS, CURVES, ANIMATION, "tables.*", "report.html", "*.png", "*.pdf", "*.svg")


def write_report(records: Records, study: str, output: Output = SCREEN) -> list[Path]:
    """Write the report of a recorded study; returns the paths of its files.

    Raises:
        UserError: as `read_report`.
        OSError: the folder cannot be written, or the disk is full.
    """
    return write(read_report(records, study), output)


def write(report: Report, output: Output = SCREEN) -> list[Path]:
    """Write data, tables, figures and page of a report; returns their paths.

    They are written to a temporary folder, which then replaces the report's folder: a report that fails does not change
    the earlier one. Other files in the folder stay.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    folder = results_folder(report.study)
    with lock_of(folder), atomic_write(folder) as part:
        part.mkdir()
        names = _write(report, part, output)
        if folder.is_dir():
            shutil.copytree(folder, part, ignore=shutil.ignore_patterns(*OWN), dirs_exist_ok=True)
    if report.other_code:
        print(
            f"{report.other_code} of {len(report.runs)} runs were computed by another version of the code:"
            " to replace them, run the study with reuse=same_code",
            file=sys.stderr,
        )
    for name, overrides in report.without_states.items():
        print(
            f"{name} is not in the animation, because an earlier run without states is reused; to add it:"
            f" {printable(again_with_states(overrides))}",
            file=sys.stderr,
        )
    return [folder / name for name in names]


def _write(report: Report, folder: Path, output: Output) -> list[str]:
    """Write the files into a folder; returns their names."""
    data = write_data(report, folder)
    ranged = is_range_study(report.runs)
    first = range_tables(report) if ranged else rewiring_tables(report.runs) if has_rewirings(report.runs) else ""
    (folder / "tables.md").write_text(markdown(report.runs, first), encoding="utf-8")
    names = [*data, "tables.md"]
    if output.latex:
        (folder / "tables.tex").write_text(latex(report.runs), encoding="utf-8")
        names.append("tables.tex")
    pictures: dict[str, bytes] = {}
    with mpl.rc_context(style(output.width)):
        for name, figure in _figures(report, ranged, output.width).items():
            for ending in output.formats:
                names.append(f"{name}.{ending}")
                figure.savefig(folder / names[-1], dpi=_dpi(name, output), metadata=METADATA[ending])
            if name in ON_PAGE:
                picture = io.BytesIO()
                figure.savefig(picture, format="png", dpi=150)
                pictures[ON_PAGE[name]] = picture.getvalue()
    (folder / "report.html").write_text(page(report, names, pictures), encoding="utf-8")
    return [*names, "report.html"]


def _dpi(name: str, output: Output) -> int:
    return 300 if output.width is not None else DPI.get(name, 150)


def _figures(report: Report, ranged: bool, width: float | None) -> dict[str, Figure]:
    """By the names of their files."""
    figures: dict[str, Figure] = {}
    if ranged:
        figures["range"] = range_figure(report, width)
        if any(name == "sensitivity" for _, name in report.curves):
            figures["sensitivity"] = sensitivity_figure(report, width)
    elif report.runs.filter(like="test_").notna().any(axis=None):
        figures["accuracy"] = score_figure(report, width)
    if is_repulsion_study(report.runs):
        figures["repulsion"] = repulsion_figure(report, width)
    if not ranged and measured(report.runs):
        figures["depth"] = depth_figure(report, width)
    for dataset, runs in report.runs.groupby("dataset", sort=False) if report.curves else ():
        figures[f"layers-{slug(str(dataset))}"] = layers_figure(report, str(dataset), int(runs["depth"].max()), width)
    if report.animations:
        figures["animation"] = animation_figure(report.animations, report.animations_asked, width)
    return figures
