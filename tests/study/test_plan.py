"""What is done and what is left to do."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from depthlab.config.errors import UserError
from depthlab.data.prepare import load
from depthlab.study.grid import PlannedRun
from depthlab.study.plan import Plan, make_plan
from depthlab.tracking.search import Recorded
from depthlab.training.identity import code_hash
from tests.study.conftest import Study

Make = Callable[..., Recorded]


@pytest.fixture
def planned_run(study: Study) -> PlannedRun:
    return study.planned("depth=2", "seed=0", methods={"GCN": "model=gcn"})[0]


@pytest.fixture
def data(planned_run: PlannedRun) -> str:
    return load(planned_run.settings["dataset"])[1]


def is_done(plan: Plan) -> bool:
    assert len(plan.done) + len(plan.todo) == len(plan.runs)
    return not plan.todo


def test_nothing_is_recorded(planned_run: PlannedRun, data: str) -> None:
    plan = make_plan([planned_run], [], same_code=False)
    assert (plan.todo, plan.done, plan.data) == ([planned_run], {}, {planned_run.hash: data})


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [("finished", True), ("diverged", True), ("failed", False), ("interrupted", False), ("running", False)],
)
def test_only_results_are_done(
    planned_run: PlannedRun, data: str, recorded: Make, outcome: str, expected: bool
) -> None:
    assert (
        is_done(make_plan([planned_run], [recorded(planned_run, data, outcome=outcome)], same_code=False)) is expected
    )


def test_a_result_of_another_device_does_not_count(
    study: Study, planned_run: PlannedRun, data: str, recorded: Make
) -> None:
    (gpu,) = study.planned("depth=2", "seed=0", "trainer=gpu", methods={"GCN": "model=gcn"})
    assert not is_done(make_plan([gpu], [recorded(planned_run, data)], same_code=False))
    assert is_done(make_plan([gpu], [recorded(gpu, data)], same_code=False))


def test_results_of_an_earlier_version_are_counted(planned_run: PlannedRun, data: str, recorded: Make) -> None:
    older = recorded(planned_run, "older data")
    older.tags.pop("resume_hash")
    parent = Recorded("parent", "quick: csbm GCN", "FINISHED", {"kind": "study", "outcome": "finished"}, {}, {})
    assert make_plan([planned_run], [older, recorded(planned_run, data), parent], same_code=False).earlier == 1


@pytest.mark.parametrize("change", [{"config_hash": "x"}, {"data_hash": "x"}])
def test_another_experiment_is_not_it(
    planned_run: PlannedRun, data: str, recorded: Make, change: dict[str, str]
) -> None:
    run = recorded(planned_run, data)
    other = Recorded(run.run_id, "", "FINISHED", run.tags | change, {}, {})
    assert not is_done(make_plan([planned_run], [other], same_code=False))


def test_the_latest_result_counts(planned_run: PlannedRun, data: str, recorded: Make) -> None:
    runs = [recorded(planned_run, data, str(number)) for number in range(3)]
    later = recorded(planned_run, data, "3", outcome="failed")
    plan = make_plan([planned_run], [*runs, later], same_code=False)
    assert plan.done[planned_run.hash].run_id == "2"


def test_each_run_finds_its_own_run(study: Study, data: str, recorded: Make) -> None:
    planned = study.planned()
    plan = make_plan(
        planned,
        [recorded(planned_run, data, f"run of {planned_run.hash}") for planned_run in planned[::2]],
        same_code=False,
    )
    assert plan.todo == planned[1::2]
    assert {key: run.run_id for key, run in plan.done.items()} == {c.hash: f"run of {c.hash}" for c in planned[::2]}


def test_other_code_counts_unless_it_must_not(planned_run: PlannedRun, data: str, recorded: Make) -> None:
    same = recorded(planned_run, data, code_hash=code_hash(planned_run.settings))
    other = recorded(planned_run, data, code_hash="of another day")
    for same_code in (False, True):
        plan = make_plan([planned_run], [same], same_code)
        assert is_done(plan)
        assert not plan.other_code
    plan = make_plan([planned_run], [other], same_code=False)
    assert is_done(plan)
    assert plan.other_code == {planned_run.hash}
    plan = make_plan([planned_run], [other], same_code=True)
    assert (plan.todo, plan.other_code) == ([planned_run], {planned_run.hash})


def test_data_that_cannot_be_read(planned_run: PlannedRun, study: Study) -> None:
    planned_run.settings["dataset"] |= {"name": "npz", "_target_": "depthlab.data.heterophilous.read_npz"}
    planned_run.settings["dataset"]["path"] = str(study.folder / "gone.npz")
    with pytest.raises(UserError, match=r"gone\.npz"):
        make_plan([planned_run], [], same_code=False)


def test_the_same_dataset_with_other_settings_is_other_data(study: Study) -> None:
    planned = study.planned("dataset.homophily=0.2,0.8", "depth=2", "seed=0", methods={"GCN": "model=gcn"})
    plan = make_plan(planned, [], same_code=False)
    assert plan.data == {planned_run.hash: load(planned_run.settings["dataset"])[1] for planned_run in planned}
    assert len(set(plan.data.values())) == 2


def test_a_rewiring_is_part_of_the_data(study: Study, data: str) -> None:
    rewired = "model=gcn rewiring=random"
    methods = {"GCN": "model=gcn", "rewired": rewired, "other": f"{rewired} p_drop=0.1"}
    plan = make_plan(study.planned("depth=2", "seed=0", methods=methods), [], same_code=False)
    plain, once, again = (plan.data[planned_run.hash] for planned_run in plan.runs)
    assert plain == data != once == again


def test_a_split_on_which_the_metric_is_undefined_is_refused_before_any_run(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = study.planned("depth=2", "split=0,1", "dataset.metric=roc_auc", methods={"GCN": "model=gcn"})
    dataset, data_hash = load(planned[0].settings["dataset"])
    make_plan(planned, [], same_code=False)
    val = dataset.val.clone()
    val[1] &= dataset.y == 0
    monkeypatch.setattr("depthlab.study.plan.load", lambda _: (replace(dataset, val=val), data_hash))
    with pytest.raises(UserError, match="ROC-AUC is undefined on the validation part of split=1"):
        make_plan(planned, [], same_code=False)
