"""Runs are read from a real store."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from depthlab.config.errors import UserError
from depthlab.tracking import search
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import Recorded, Records, recorded_runs
from tests.tracking.conftest import Start


def test_a_run_as_it_was_recorded(records: Records, start: Start) -> None:
    run = start("cora-gcn-d2-s0", config_hash="a", data_hash="b")
    run.log_curve("dirichlet_energy", [3.0, 2.0, 0.5])
    run.log({"test_acc": 0.8})
    run.finish("FINISHED", "finished")
    (found,) = records.runs()
    assert found.training_seconds == 0.0
    assert (found.run_id, found.name, found.status) == (run.run_id, "cora-gcn-d2-s0", "FINISHED")
    assert found.identity == ("a", "b")
    assert found.tags["outcome"] == "finished"
    assert found.metrics == {"dirichlet_energy": 0.5, "test_acc": 0.8}
    assert found.params == {"depth": "2"}


def test_runs_are_read_from_the_file_as_mlflow_reads_them(records: Records, start: Start) -> None:
    run = start("first", config_hash="a")
    run.log({"last": float("inf"), "lost": float("nan"), "test_acc": 0.1})
    run.log({"test_acc": 0.8}, 1)
    run.finish("FINISHED", "finished")
    start("second").abandon("KILLED", "interrupted")
    records.delete(start("deleted").run_id)
    TrackedRun(records.uri, "other", "one", {}, {})
    by_mlflow, read = records.runs(), recorded_runs(records.uri, "mine")
    assert [repr(one) for one in read] == [
        repr(replace(one, **_sorted(one, two))) for one, two in zip(by_mlflow, read, strict=True)
    ]
    assert len(read) == 2 and read[0].metrics["last"] == float("inf")
    assert recorded_runs(records.uri, "none") == []


def _sorted(one: Recorded, like: Recorded) -> dict[str, Any]:
    """The mappings of a run in the order of those of another."""
    names = ("tags", "metrics", "params")
    assert all(getattr(one, name).keys() == getattr(like, name).keys() for name in names)
    return {name: {key: getattr(one, name)[key] for key in getattr(like, name)} for name in names}


def test_a_file_that_is_missing_has_no_runs(tmp_path: Path) -> None:
    assert recorded_runs(f"sqlite:///{tmp_path / 'mlflow.db'}", "mine") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("page", [1, 2, 5, 100])
def test_all_pages_are_read_the_oldest_first(
    records: Records, start: Start, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(search, "PAGE", page)
    expected = [start(f"run{number}").run_id for number in range(5)]
    assert [run.run_id for run in records.runs()] == expected


def test_filter(records: Records, start: Start) -> None:
    run, parent = start(kind="run"), start(kind="study", study="a")
    start(kind="study", study="b")
    assert [run.run_id for run in records.runs("tags.kind = 'study' and tags.study = 'a'")] == [parent.run_id]
    run.finish("FINISHED", "finished")
    assert run.run_id not in [found.run_id for found in records.runs("attributes.status = 'RUNNING'")]
    assert records.runs("tags.kind = 'none'") == []


def test_runs_of_another_experiment_are_not_seen(records: Records) -> None:
    TrackedRun(records.uri, "other", "one", {}, {})
    assert records.runs() == []


def test_curve_is_in_the_order_of_steps(records: Records, start: Start) -> None:
    run = start()
    for step in (3, 0, 2, 1):
        run.log({"energy": 10.0 * step}, step)
    run.flush()
    assert records.curve(run.run_id, "energy") == [0.0, 10.0, 20.0, 30.0]
    assert records.curve(run.run_id, "nothing") == []


def test_infinity_and_nan_are_read_back(records: Records, start: Start) -> None:
    run = start()
    run.log_curve("energy", [1.0, float("inf"), -float("inf"), 1e300])
    run.log({"last": float("inf"), "lost": float("nan")})
    run.flush()
    assert records.curve(run.run_id, "energy") == [1.0, float("inf"), -float("inf"), 1e300]
    (found,) = records.runs()
    assert found.metrics["last"] == float("inf")
    assert math.isnan(found.metrics["lost"])


def test_training_seconds(records: Records, start: Start) -> None:
    start(epochs_run="10", seconds_per_epoch="0.5")
    assert records.runs()[0].training_seconds == 5.0


def test_file(records: Records, start: Start, tmp_path: Path) -> None:
    run = start()
    run.text("[1, 2]", "grid.json")
    run.flush()
    (tmp_path / "copies").mkdir()
    copy = records.file(run.run_id, "grid.json", tmp_path / "copies")
    assert copy is not None
    assert copy.parent == tmp_path / "copies"
    assert copy.read_text() == "[1, 2]"
    assert records.file(run.run_id, "grid", tmp_path / "copies") is None


def test_tag_close_and_delete(records: Records, start: Start) -> None:
    run = start(outcome="running")
    records.tag(run.run_id, "mlflow.parentRunId", "above")
    records.close(run.run_id, "interrupted")
    (found,) = records.runs()
    assert (found.status, found.tags["outcome"], found.tags[search.PARENT]) == ("KILLED", "interrupted", "above")
    records.delete(run.run_id)
    assert records.runs() == []
    records.client.restore_run(run.run_id)  # from the trash
    assert len(records.runs()) == 1


CALLS: dict[str, Callable[[Records], object]] = {
    "search_runs": lambda records: records.runs(),
    "get_metric_history": lambda records: records.curve("1", "energy"),
    "list_artifacts": lambda records: records.file("1", "grid.json", Path()),
    "set_tag": lambda records: records.tag("1", "a", "b"),
    "set_terminated": lambda records: records.close("1", "failed"),
    "delete_run": lambda records: records.delete("1"),
}


@pytest.mark.parametrize("method", CALLS)
def test_an_error_of_the_store_is_one_sentence(records: Records, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    def away(*_: object, **__: object) -> None:
        raise MlflowException("the server\nis away")

    monkeypatch.setattr(MlflowClient, "set_tag", lambda *_: None)
    monkeypatch.setattr(MlflowClient, method, away)
    with pytest.raises(UserError, match=f"^the tracking store {records.uri} does not answer: the server$"):
        CALLS[method](records)


def test_a_filter_that_cannot_be_read(records: Records) -> None:
    with pytest.raises(UserError, match="does not answer: Invalid"):
        records.runs("nonsense")
