"""All files of a report."""

import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from src.report.cells import read_report
from src.report.figures import STYLE, accuracy_figure, depth_figure, film_figure, layers_figure
from src.report.page import page
from src.report.repulsion import is_repulsion_study, repulsion_figure
from src.report.rewiring import has_rewirings, rewiring_tables
from src.report.table import markdown
from src.report.task_range import is_range_study, range_figure, range_tables, sensitivity_figure
from src.study.lines import RESULTS, file_name
from src.tracking.search import Records

DPI = {"film": 100}  # thousands of points


def write_report(records: Records, study: str) -> list[Path]:
    """Write `cells.csv`, `tables.md`, the PNG figures and `report.html`; returns their paths.

    Raises:
        UserError: as `read_report`.
    """
    report = read_report(records, study)
    folder = RESULTS / study
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):  # of a study that had other datasets, or a film
        old.unlink()
    report.cells.to_csv(folder / "cells.csv", index=False)
    ranged = is_range_study(report.cells)
    first = range_tables(report) if ranged else rewiring_tables(report.cells) if has_rewirings(report.cells) else ""
    (folder / "tables.md").write_text(markdown(report.cells, first))
    written = [folder / "cells.csv", folder / "tables.md"]
    with mpl.rc_context(STYLE):
        figures: dict[str, Figure] = {}
        if ranged:
            figures["range"] = range_figure(report)
            if report.by_hop:
                figures["sensitivity"] = sensitivity_figure(report)
        elif report.cells["test_acc"].notna().any():
            figures["accuracy"] = accuracy_figure(report)
        if is_repulsion_study(report.cells):
            figures["repulsion"] = repulsion_figure(report)
        if not ranged:
            figures["depth"] = depth_figure(report)
        for dataset, cells in report.cells.groupby("dataset", sort=False):
            figures[f"layers-{file_name(str(dataset))}"] = layers_figure(
                report, str(dataset), int(cells["depth"].max())
            )
        if report.films:
            figures["film"] = film_figure(report.films)
        for name, figure in figures.items():
            written.append(folder / f"{name}.png")
            figure.savefig(written[-1], dpi=DPI.get(name, 150))
    (folder / "report.html").write_text(page(report))
    for typed in report.unfilmed:
        again = f'python -m src.train {typed} "tracking.artifacts=[config,figures,model,states]"'
        print(f"not in the film, since a run of before counts, which kept no states: {again}", file=sys.stderr)
    return [*written, folder / "report.html"]
