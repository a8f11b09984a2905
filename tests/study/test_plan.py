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
from tests.settings import dataset_settings
from tests.study.conftest import Study

Make = Callable[..., Recorded]


@pytest.fixture
def run(study: Study) -> PlannedRun:
    return study.planned("depth=2", "seed=0", methods={"GCN": "model=gcn"})[0]


@pytest.fixture
def data(run: PlannedRun) -> str:
    return load(run.settings.dataset)[1]


def is_done(plan: Plan) -> bool:
    assert len(plan.done) + len(plan.todo) == len(plan.runs)
    return not plan.todo


@pytest.mark.parametrize(
    ("tags", "same_code", "done"),
    [
        ({}, False, True),
        ({}, True, True),
        ({"outcome": "diverged"}, False, True),
        ({"outcome": "failed"}, False, False),
        ({"outcome": "interrupted"}, False, False),
        ({"outcome": "running"}, False, False),
        ({"config_hash": "x"}, False, False),
        ({"data_hash": "x"}, False, False),
        ({"code_hash": "x"}, False, True),
        ({"code_hash": "x"}, True, False),
    ],
)
def test_which_records_are_results(
    run: PlannedRun, data: str, recorded: Make, tags: dict[str, str], same_code: bool, done: bool
) -> None:
    result = recorded(run, data, code_hash=code_hash(run.settings.targets))
    result.tags.update(tags)
    plan = make_plan([run], [result], same_code)
    assert (plan.todo, plan.done) == (([], {run.hash: result}) if done else ([run], {}))
    assert (plan.data, plan.other_code) == ({run.hash: data}, {run.hash} if "code_hash" in tags else set())


def test_a_result_of_another_device_does_not_count(study: Study, run: PlannedRun, data: str, recorded: Make) -> None:
    (gpu,) = study.planned("depth=2", "seed=0", "trainer=gpu", methods={"GCN": "model=gcn"})
    assert not is_done(make_plan([gpu], [recorded(run, data)], same_code=False))
    assert is_done(make_plan([gpu], [recorded(gpu, data)], same_code=False))


def test_results_of_an_earlier_version_are_counted(run: PlannedRun, data: str, recorded: Make) -> None:
    older = recorded(run, "older data")
    older.tags.pop("resume_hash")
    parent = Recorded("parent", "quick: csbm GCN", "FINISHED", {"kind": "study", "outcome": "finished"}, {}, {})
    assert make_plan([run], [older, recorded(run, data), parent], same_code=False).earlier == 1


def test_the_latest_result_counts(run: PlannedRun, data: str, recorded: Make) -> None:
    runs = [recorded(run, data, str(number)) for number in range(3)]
    later = recorded(run, data, "3", outcome="failed")
    plan = make_plan([run], [*runs, later], same_code=False)
    assert plan.done[run.hash].run_id == "2"


def test_each_run_finds_its_own_run(study: Study, data: str, recorded: Make) -> None:
    planned = study.planned()
    plan = make_plan(
        planned,
        [recorded(run, data, f"run of {run.hash}") for run in planned[::2]],
        same_code=False,
    )
    assert plan.todo == planned[1::2]
    assert {key: result.run_id for key, result in plan.done.items()} == {
        c.hash: f"run of {c.hash}" for c in planned[::2]
    }


def test_data_that_cannot_be_read(run: PlannedRun, study: Study) -> None:
    gone = dataset_settings(target="depthlab.data.heterophilous.read_npz", path=str(study.folder / "gone.npz"))
    run = replace(run, settings=replace(run.settings, dataset=gone))
    with pytest.raises(UserError, match=r"gone\.npz"):
        make_plan([run], [], same_code=False)


def test_the_same_dataset_with_other_settings_is_other_data(study: Study) -> None:
    planned = study.planned("dataset.homophily=0.2,0.8", "depth=2", "seed=0", methods={"GCN": "model=gcn"})
    plan = make_plan(planned, [], same_code=False)
    assert plan.data == {run.hash: load(run.settings.dataset)[1] for run in planned}
    assert len(set(plan.data.values())) == 2


def test_a_rewiring_is_part_of_the_data(study: Study, data: str) -> None:
    rewired = "model=gcn rewiring=random"
    methods = {"GCN": "model=gcn", "rewired": rewired, "other": f"{rewired} p_drop=0.1"}
    plan = make_plan(study.planned("depth=2", "seed=0", methods=methods), [], same_code=False)
    plain, once, again = (plan.data[run.hash] for run in plan.runs)
    assert plain == data != once == again
