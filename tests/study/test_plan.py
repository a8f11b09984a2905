"""What is done and what is left to do."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from depthlab.config.errors import UserError
from depthlab.data.prepare import load
from depthlab.study.grid import Cell
from depthlab.study.plan import Plan, make_plan
from depthlab.tracking.search import Recorded
from depthlab.training.identity import code_hash
from tests.study.conftest import Study

Make = Callable[..., Recorded]


@pytest.fixture
def cell(study: Study) -> Cell:
    return study.cells("depth=2", "seed=0", lines={"GCN": "model=gcn"})[0]


@pytest.fixture
def data(cell: Cell) -> str:
    return load(cell.settings["dataset"])[1]


def is_done(plan: Plan) -> bool:
    assert len(plan.done) + len(plan.todo) == len(plan.cells)
    return not plan.todo


def test_nothing_is_recorded(cell: Cell, data: str) -> None:
    plan = make_plan([cell], [], same_code=False)
    assert (plan.todo, plan.done, plan.data) == ([cell], {}, {cell.hash: data})


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [("finished", True), ("diverged", True), ("failed", False), ("interrupted", False), ("running", False)],
)
def test_only_results_are_done(cell: Cell, data: str, recorded: Make, outcome: str, expected: bool) -> None:
    assert is_done(make_plan([cell], [recorded(cell, data, outcome=outcome)], same_code=False)) is expected


def test_a_result_of_another_device_does_not_count(study: Study, cell: Cell, data: str, recorded: Make) -> None:
    (gpu,) = study.cells("depth=2", "seed=0", "trainer=gpu", lines={"GCN": "model=gcn"})
    assert not is_done(make_plan([gpu], [recorded(cell, data)], same_code=False))
    assert is_done(make_plan([gpu], [recorded(gpu, data)], same_code=False))


def test_results_of_an_earlier_version_are_counted(cell: Cell, data: str, recorded: Make) -> None:
    older = recorded(cell, "older data")
    older.tags.pop("resume_hash")
    parent = Recorded("parent", "quick: csbm GCN", "FINISHED", {"kind": "study", "outcome": "finished"}, {}, {})
    assert make_plan([cell], [older, recorded(cell, data), parent], same_code=False).earlier == 1


@pytest.mark.parametrize("change", [{"config_hash": "x"}, {"data_hash": "x"}])
def test_another_experiment_is_not_it(cell: Cell, data: str, recorded: Make, change: dict[str, str]) -> None:
    run = recorded(cell, data)
    other = Recorded(run.run_id, "", "FINISHED", run.tags | change, {}, {})
    assert not is_done(make_plan([cell], [other], same_code=False))


def test_the_latest_result_counts(cell: Cell, data: str, recorded: Make) -> None:
    runs = [recorded(cell, data, str(number)) for number in range(3)]
    later = recorded(cell, data, "3", outcome="failed")
    plan = make_plan([cell], [*runs, later], same_code=False)
    assert plan.done[cell.hash].run_id == "2"


def test_each_cell_finds_its_own_run(study: Study, data: str, recorded: Make) -> None:
    cells = study.cells()
    plan = make_plan(cells, [recorded(cell, data, f"run of {cell.hash}") for cell in cells[::2]], same_code=False)
    assert plan.todo == cells[1::2]
    assert {key: run.run_id for key, run in plan.done.items()} == {c.hash: f"run of {c.hash}" for c in cells[::2]}


def test_other_code_counts_unless_it_must_not(cell: Cell, data: str, recorded: Make) -> None:
    same = recorded(cell, data, code_hash=code_hash(cell.settings))
    other = recorded(cell, data, code_hash="of another day")
    for same_code in (False, True):
        plan = make_plan([cell], [same], same_code)
        assert is_done(plan)
        assert not plan.other_code
    plan = make_plan([cell], [other], same_code=False)
    assert is_done(plan)
    assert plan.other_code == {cell.hash}
    plan = make_plan([cell], [other], same_code=True)
    assert (plan.todo, plan.other_code) == ([cell], {cell.hash})


def test_data_that_cannot_be_read(cell: Cell, study: Study) -> None:
    cell.settings["dataset"] |= {"name": "npz", "_target_": "depthlab.data.heterophilous.read_npz"}
    cell.settings["dataset"]["path"] = str(study.folder / "gone.npz")
    with pytest.raises(UserError, match=r"gone\.npz"):
        make_plan([cell], [], same_code=False)


def test_the_same_dataset_with_other_settings_is_other_data(study: Study) -> None:
    cells = study.cells("dataset.homophily=0.2,0.8", "depth=2", "seed=0", lines={"GCN": "model=gcn"})
    plan = make_plan(cells, [], same_code=False)
    assert plan.data == {cell.hash: load(cell.settings["dataset"])[1] for cell in cells}
    assert len(set(plan.data.values())) == 2


def test_a_rewiring_is_part_of_the_data(study: Study, data: str) -> None:
    rewired = "model=gcn rewiring=random"
    lines = {"GCN": "model=gcn", "rewired": rewired, "other": f"{rewired} p_drop=0.1"}
    plan = make_plan(study.cells("depth=2", "seed=0", lines=lines), [], same_code=False)
    plain, once, again = (plan.data[cell.hash] for cell in plan.cells)
    assert plain == data != once == again


def test_a_split_on_which_the_metric_is_undefined_is_refused_before_any_run(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = study.cells("depth=2", "split=0,1", "dataset.metric=roc_auc", lines={"GCN": "model=gcn"})
    dataset, data_hash = load(cells[0].settings["dataset"])
    make_plan(cells, [], same_code=False)
    val = dataset.val.clone()
    val[1] &= dataset.y == 0
    monkeypatch.setattr("depthlab.study.plan.load", lambda _: (replace(dataset, val=val), data_hash))
    with pytest.raises(UserError, match="ROC-AUC is undefined on the validation part of split=1"):
        make_plan(cells, [], same_code=False)
