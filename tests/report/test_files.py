"""The data of a report in files: drawn again from them, it is the same."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from depthlab.config.errors import UserError
from depthlab.folders import CHECKOUT
from depthlab.report.files import ANIMATION, CURVES, RUNS, read_data, read_runs, write_data
from depthlab.report.page import page
from depthlab.report.runs import Report
from depthlab.report.table import markdown
from depthlab.report.write import write
from tests.conftest import Command
from tests.report.conftest import STUDY, Frame


@pytest.fixture
def folder(results: Path) -> Path:
    made = results / STUDY
    made.mkdir(parents=True)
    return made


@pytest.mark.slow
def test_page_and_tables_from_the_files_are_those_from_the_store(report: Report, folder: Path) -> None:
    assert write_data(report, folder) == [RUNS, CURVES, ANIMATION]
    again = read_data(STUDY)
    assert page(again) == page(replace(report, link=""))
    assert markdown(again.runs) == markdown(report.runs)
    assert again.curves.keys() == report.curves.keys()
    for key, values in report.curves.items():
        np.testing.assert_array_equal(again.curves[key], values)
    assert (again.question, again.animations_asked) == (report.question, report.animations_asked)
    for one, other in zip(again.animations, report.animations, strict=True):
        np.testing.assert_array_equal(one.points, other.points)


def test_no_address_is_in_the_files(report: Report, folder: Path) -> None:
    write_data(replace(report, link="http://secret:5000/RUN"), folder)
    assert all(b"secret" not in path.read_bytes() for path in folder.iterdir())
    assert read_data(STUDY).link == ""


def test_equal_reports_have_equal_files(report: Report, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_data(report, folder)
    write_data(report, other)
    assert all((other / path.name).read_bytes() == path.read_bytes() for path in folder.iterdir())


def test_a_label_that_a_spreadsheet_would_run_comes_back(frame: Frame, folder: Path) -> None:
    runs = pd.concat([frame(label, 2, [0.5]) for label in ("=1+1", "'quoted'", "None")])
    write_data(Report(STUDY, runs), folder)
    assert read_data(STUDY).runs["method"].tolist() == ["=1+1", "'quoted'", "None"]


@pytest.mark.slow
def test_a_report_written_again_has_the_same_bytes(report: Report, folder: Path) -> None:
    write(replace(report, link=""))
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    write(read_data(STUDY))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_runs_alone_give_tables_and_a_page_without_curves(report: Report, folder: Path) -> None:
    write_data(report, folder)
    (folder / CURVES).unlink()
    (folder / ANIMATION).unlink()
    again = read_data(STUDY)
    assert (again.curves, again.animations) == ({}, [])
    assert {path.name for path in write(again)} >= {"tables.md", "accuracy.png", "depth.png", "report.html"}


@pytest.mark.parametrize("name", [RUNS, CURVES, ANIMATION])
def test_a_damaged_file_ends_in_a_sentence(report: Report, folder: Path, name: str) -> None:
    write_data(report, folder)
    (folder / name).write_bytes(b"" if name == RUNS else (folder / name).read_bytes()[:100])
    with pytest.raises(UserError, match=rf"cannot read .*{re.escape(name)} \(.*\): restore it"):
        read_data(STUDY)


def test_a_study_without_files(command: Command, results: Path) -> None:
    done = command("report", "study=nothing", "from=results")
    assert (done.code, done.out) == (1, "")
    assert "runs.csv: choose a study with results, or leave from=results out" in done.err
    assert command("report", "from=elsewhere").err == "error: from must be store or results, got elsewhere\n"


def test_the_report_again_from_the_command_line(command: Command, report: Report, folder: Path) -> None:
    write_data(report, folder)
    done = command("report", f"study={STUDY}", "from=results", "formats=[svg,pdf]", "width=3.3in", "latex=true")
    assert (done.code, done.err) == (0, "")
    names = {Path(line).name for line in done.out.splitlines()}
    assert {"tables.tex", "accuracy.svg", "accuracy.pdf", "layers-csbm.pdf", "report.html"} <= names
    assert (folder / "accuracy.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("path", sorted((CHECKOUT / "results").glob("*/runs.csv")), ids=lambda path: path.parent.name)
def test_committed_runs_can_be_read(path: Path) -> None:
    runs = read_runs(path)
    if "method" in runs:  # a study's, not a sweep's
        assert runs["metric"].notna().all()
        assert runs["seed"].dtype == int
