"""All files of a report."""

import shutil
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from depthlab.files import atomic_write, lock_of
from depthlab.report.cells import Report, measured, read_report
from depthlab.report.figures import STYLE, depth_figure, film_figure, layers_figure, score_figure
from depthlab.report.page import page
from depthlab.report.repulsion import is_repulsion_study, repulsion_figure
from depthlab.report.rewiring import has_rewirings, rewiring_tables
from depthlab.report.table import markdown
from depthlab.report.task_range import is_range_study, range_figure, range_tables, sensitivity_figure
from depthlab.study.lines import results_folder
from depthlab.text import for_csv, printable, slug
from depthlab.tracking.search import Records

DPI = {"film": 100}  # thousands of points
OWN = ("cells.csv", "tables.md", "report.html", "*.png")  # files of a report: those of an earlier report are replaced


def write_report(records: Records, study: str) -> list[Path]:
    """Write `cells.csv`, `tables.md`, the PNG figures and `report.html`; returns their paths.

    They are written to a temporary folder, which then replaces the report's folder: a report that fails does not change
    the earlier one. Other files in the folder stay.

    Raises:
        UserError: as `read_report`.
        OSError: the folder cannot be written, or the disk is full.
    """
    report = read_report(records, study)
    folder = results_folder(study)
    with lock_of(folder), atomic_write(folder) as part:
        part.mkdir()
        names = _write(report, part)
        if folder.is_dir():
            shutil.copytree(folder, part, ignore=shutil.ignore_patterns(*OWN), dirs_exist_ok=True)
    if report.other_code:
        print(
            f"{report.other_code} of {len(report.cells)} runs are of other code than the present: to replace them, run"
            " the study with reuse=same_code",
            file=sys.stderr,
        )
    for typed in report.unfilmed:
        again = f'depthlab train {typed} "tracking.artifacts=[config,figures,model,states]"'
        print(
            f"not in the animation, because an earlier run without states is reused; to add it: {printable(again)}",
            file=sys.stderr,
        )
    return [folder / name for name in names]


def _write(report: Report, folder: Path) -> list[str]:
    """Write the files into a folder; returns their names."""
    report.cells.map(for_csv).to_csv(folder / "cells.csv", index=False)
    ranged = is_range_study(report.cells)
    first = range_tables(report) if ranged else rewiring_tables(report.cells) if has_rewirings(report.cells) else ""
    (folder / "tables.md").write_text(markdown(report.cells, first), encoding="utf-8")
    names = ["cells.csv", "tables.md"]
    with mpl.rc_context(STYLE):
        for name, figure in _figures(report, ranged).items():
            names.append(f"{name}.png")
            figure.savefig(folder / names[-1], dpi=DPI.get(name, 150))
    (folder / "report.html").write_text(page(report), encoding="utf-8")
    return [*names, "report.html"]


def _figures(report: Report, ranged: bool) -> dict[str, Figure]:
    """By the names of their files."""
    figures: dict[str, Figure] = {}
    if ranged:
        figures["range"] = range_figure(report)
        if any(name == "sensitivity" for _, name in report.curves):
            figures["sensitivity"] = sensitivity_figure(report)
    elif report.cells.filter(like="test_").notna().any(axis=None):
        figures["accuracy"] = score_figure(report)
    if is_repulsion_study(report.cells):
        figures["repulsion"] = repulsion_figure(report)
    if not ranged and measured(report.cells):
        figures["depth"] = depth_figure(report)
    for dataset, cells in report.cells.groupby("dataset", sort=False):
        figures[f"layers-{slug(str(dataset))}"] = layers_figure(report, str(dataset), int(cells["depth"].max()))
    if report.films:
        figures["film"] = film_figure(report.films, report.films_asked)
    return figures
