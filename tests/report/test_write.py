"""The files of a report, as they lie in the folder."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from depthlab.config.errors import UserError
from depthlab.report.runs import Report
from depthlab.report.table import markdown
from depthlab.report.write import write_report
from tests.report.conftest import DEPTHS, METHODS, STUDY, Store

DATA = ["runs.csv", "curves.json.gz", "animation.npz"]
FILES = [*DATA, "tables.md", "accuracy.png", "depth.png", "layers-csbm.png", "animation.png", "report.html"]


def test_all_files_are_there_and_readable(written: tuple[Path, list[Path]], report: Report) -> None:
    results, paths = written
    assert paths == [results / STUDY / name for name in FILES]
    assert sorted(path.name for path in (results / STUDY).iterdir()) == sorted(FILES)
    for path in paths:
        if path.suffix == ".png":
            picture = imread(path)
            assert min(picture.shape[:2]) > 300
            assert picture[..., :3].std() > 0.01  # something is drawn
    assert (results / STUDY / "tables.md").read_text() == markdown(report.runs)
    assert "<canvas" in (results / STUDY / "report.html").read_text()


def test_runs_read_back_from_the_csv(written: tuple[Path, list[Path]], report: Report) -> None:
    kinds = {"split": str, "config_hash": str, "data_hash": str, "git_commit": str}
    read = pd.read_csv(written[0] / STUDY / "runs.csv", dtype=kinds, float_precision="round_trip")
    pd.testing.assert_frame_equal(read, report.runs, check_dtype=False, check_exact=True)


def test_a_second_report_is_the_same(recorded: Store, written: tuple[Path, list[Path]], results: Path) -> None:
    write_report(recorded.records, STUDY)
    for name in ("runs.csv", "tables.md"):
        assert (results / STUDY / name).read_bytes() == (written[0] / STUDY / name).read_bytes()


def test_report_of_a_study_without_any_result(store: Store, results: Path) -> None:
    for row in store.report().runs["run_id"]:
        store.client.delete_run(row)
    written = write_report(store.records, STUDY)
    assert [path.name for path in written] == [
        name
        for name in FILES
        if name not in ("animation.npz", "accuracy.png", "depth.png", "layers-csbm.png", "animation.png")
    ]
    runs = pd.read_csv(results / STUDY / "runs.csv")
    assert runs["outcome"].eq("missing").sum() == len(METHODS) * len(DEPTHS) * 3
    assert np.isnan(runs["test_acc"]).all()


def test_nothing_is_written_for_an_unknown_study(recorded: Store, results: Path) -> None:
    with pytest.raises(UserError, match="there is no record of a study named foo"):
        write_report(recorded.records, "foo")
    assert not results.exists()
