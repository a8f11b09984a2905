"""Which runs are trained together, and that each has the record that it would have by itself."""

import pytest

from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.study.grid import PlannedRun
from depthlab.study.groups import group
from depthlab.study.work import Job
from depthlab.tracking.search import Records
from depthlab.training.replica_settings import check_replicas
from tests.study.conftest import Study


def grouped(runs: list[PlannedRun], replicas: str | int, workers: int = 1) -> list[list[PlannedRun]]:
    return [[job.run for job in jobs] for jobs in group([Job(run, {}) for run in runs], replicas, workers)]


def test_runs_of_one_method_and_depth_are_trained_together(study: Study) -> None:
    runs = study.planned("seed=range(3)")
    groups = grouped(runs, "auto")
    assert [len(found) for found in groups] == [3, 3, 3, 3]
    assert sorted(map(id, runs)) == sorted(id(run) for found in groups for run in found)
    for found in groups:
        assert len({(run.method, run.depth) for run in found}) == 1
        assert [run.seed for run in found] == [0, 1, 2]


def test_groups_are_as_large_as_is_asked_and_leave_no_worker_idle(study: Study) -> None:
    runs = study.planned("seed=range(4)", "split=0,1,2", "depth=2", methods={"GCN": "model=gcn"})
    assert [len(found) for found in grouped(runs, 5)] == [5, 5, 2]
    assert [len(found) for found in grouped(runs, 1)] == [1] * 12
    assert [len(found) for found in grouped(runs, "auto")] == [10, 2]
    assert [len(found) for found in grouped(runs, "auto", workers=4)] == [3, 3, 3, 3]


def test_what_cannot_be_trained_together_or_is_large_stays_alone(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    methods = {"GAT": "model=gat", "normed": "model=gcn norm=layer", "GCN": "model=gcn"}
    runs = study.planned("seed=0,1", "depth=2", methods=methods)
    assert sorted(len(found) for found in grouped(runs, "auto")) == [1, 1, 1, 1, 2]
    monkeypatch.setattr("depthlab.study.groups.STATE", 100)
    assert [len(found) for found in grouped(runs, "auto")] == [1] * 6
    assert sorted(len(found) for found in grouped(runs, 2)) == [1, 1, 1, 1, 2]


def test_runs_without_others_to_be_trained_with_are_not_probed(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    probed: list[int] = []

    def probe(settings: Settings) -> bool:
        probed.append(settings.depth)
        return True

    monkeypatch.setattr("depthlab.study.groups.can_replicate", probe)
    runs = study.planned("seed=0", "depth=2,3", methods={"GCN": "model=gcn"})
    runs += study.planned("seed=0,1", "depth=4", methods={"GCN": "model=gcn"})
    assert [len(found) for found in grouped(runs, "auto")] == [1, 1, 2] and probed == [4]


@pytest.mark.slow
def test_a_study_of_replicas_is_found_again_and_has_the_scores_of_one_of_single_runs(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = study.planned("seed=0,1,2", "depth=2", "epochs=10", methods={"GCNII": "model=gcnii"})
    assert study.run(planned, replicas="auto")
    assert (
        "csbm-gcnii-d2-s0-split0-nodes120-epochs10-hidden16 and 2 more (GCNII): finished, 3 runs: test accuracy "
        in capsys.readouterr().err
    )
    runs = {run.tags["seed"]: run for run in study.finished().values()}
    parent = study.parents()["GCNII"].run_id
    assert {run.tags["mlflow.parentRunId"] for run in runs.values()} == {parent} and len(runs) == 3
    plan = study.plan(planned)
    assert not plan.todo and len(plan.done) == 3
    assert study.run(planned, replicas=1)
    assert len(study.finished()) == 3
    again = study.planned(
        "seed=0,1,2", "depth=2", "epochs=10", "tracking.experiment=alone", methods={"GCNII": "model=gcnii"}
    )
    assert study.run(again, replicas=1)
    for run in Records(study.uri, "alone").runs("tags.outcome = 'finished' and tags.model = 'gcnii'"):
        ours = runs[run.tags["seed"]]
        assert ours.tags["config_hash"] == run.tags["config_hash"]
        for name in ("test_acc", "best_val_loss", "layer/dirichlet_energy"):
            assert ours.metrics[name] == pytest.approx(run.metrics[name], rel=1e-3)


@pytest.mark.parametrize("value", [0, -1, "many", 1.5, True])
def test_another_number_is_refused(value: object) -> None:
    with pytest.raises(UserError, match=r"^replicas must be auto or a whole number in \[1, inf\), got "):
        check_replicas(value)
