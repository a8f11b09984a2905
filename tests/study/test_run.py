"""One study from start to end in this process: what it runs, closes, prints and refuses."""

from dataclasses import replace

import pytest
from filelock import FileLock

from depthlab.config.errors import UserError
from depthlab.data.prepare import load
from depthlab.study import plan
from depthlab.study.dry import list_runs
from depthlab.study.run import check_data
from depthlab.tracking.search import PARENT
from depthlab.training import identity
from depthlab.training.identity import LAST, checkpoint_folder
from tests.study.conftest import Study, options

ONE = {"GCN": "model=gcn"}
Capture = pytest.CaptureFixture[str]


def test_a_study_runs_its_runs_and_says_what_came_of_them(study: Study, capsys: Capture) -> None:
    assert study.run(study.planned("seed=0"))
    out, errors = capsys.readouterr()
    assert out.startswith("study small: 4 runs, 0 done, 4 to do\n")
    assert "study small: test scores" in out
    assert out.count("    depth    ") == 4
    for count in range(1, 5):
        assert f"[{count}/4 runs" in errors
    assert len(study.finished()) == 4


def test_what_is_done_is_not_run_again(study: Study, capsys: Capture) -> None:
    assert study.run(study.planned("seed=0", methods=ONE))
    first = set(study.finished())
    assert study.run(study.planned("seed=0,1", methods=ONE))
    assert first < set(study.finished())
    assert len(study.finished()) == 4
    assert "4 runs, 2 done, 2 to do" in capsys.readouterr().out


def test_where_no_gpu_is_results_of_the_processor_count(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert study.run(study.planned("seed=0", methods=ONE))
    first = set(study.finished())
    on_gpu = study.planned("seed=0", "trainer=gpu", methods=ONE)
    assert "2 runs, 2 done, 0 to do" in list_runs("small", on_gpu, options())
    assert study.run(on_gpu)
    assert set(study.finished()) == first


def test_other_code_is_told_and_run_again_on_demand(
    study: Study, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = study.planned("seed=0", methods=ONE)
    assert study.run(planned)
    for module in (plan, identity):
        monkeypatch.setattr(module, "code_hash", lambda _: "of tomorrow")
    assert study.run(planned)
    assert len(study.finished()) == 2
    assert "2 results were computed by another version of the code: reuse=same_code trains" in capsys.readouterr().out
    study.run(planned, reuse="same_code")
    assert len(study.finished()) == 4
    assert "2 results were computed by another version of the code: none is used" in capsys.readouterr().out


def test_a_study_ends_where_its_workers_have_other_code_than_its_plan(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = study.planned("seed=0", methods=ONE)
    assert study.run(planned)
    monkeypatch.setattr(plan, "code_hash", lambda _: "of tomorrow")
    assert not study.run(planned, reuse="same_code")
    assert len(study.finished()) == 2


def test_a_run_that_fails_is_told_and_tried_again(
    study: Study, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = study.planned("seed=0", methods=ONE)
    broken = replace(planned[0], settings=replace(planned[0].settings, measures=["nothing"]))
    assert not study.run([broken, *planned[1:]])
    out, errors = capsys.readouterr()
    assert "1 runs failed: the same command tries them again" in out
    assert "failed, KeyError: 'nothing'" in errors
    assert len(study.finished()) == 1
    assert study.run(planned)
    assert len(study.finished()) == 2


def test_a_method_whose_runs_all_failed_is_recorded_as_failed(study: Study) -> None:
    (planned,) = study.planned("depth=2", "seed=0", methods=ONE)
    real = planned.settings.measures
    for measures, ended in ((["nothing"], ("FAILED", "failed")), (real, ("FINISHED", "finished"))):
        changed = replace(planned, settings=replace(planned.settings, measures=measures))
        assert study.run([changed]) is (measures is real)
        parent = study.parents()["GCN"]
        assert (parent.status, parent.tags["outcome"]) == ended


def test_the_second_study_of_a_name_is_refused(study: Study) -> None:
    planned = study.planned("depth=2", "seed=0", methods=ONE)
    (study.folder / "checkpoints").mkdir()
    with FileLock(study.folder / "checkpoints" / "study-small.lock"):
        with pytest.raises(
            UserError, match=r"^the study small is running already: wait for it, or give this one another"
        ):
            study.run(planned)
        assert study.records.runs() == []
        assert study.run(planned, name="another")


@pytest.mark.usefixtures("second_run_interrupted")
def test_an_interrupted_study_goes_on(study: Study) -> None:
    planned = study.planned("depth=2", "seed=0,1,2", methods=ONE)
    with pytest.raises(KeyboardInterrupt, match=r"^interrupted, 1 of 3 runs are done: the same command continues$"):
        study.run(planned)
    assert not (study.folder / "results").exists()  # what it holds so far is no result
    (parent,) = study.records.runs("tags.kind = 'study'")
    assert (parent.status, parent.tags["outcome"], parent.metrics) == ("KILLED", "interrupted", {})
    before = set(study.finished())
    assert (checkpoint_folder(planned[1].settings) / LAST).is_file()

    assert study.run(planned)
    assert before < set(study.finished())
    assert {run.tags[PARENT] for run in study.finished().values()} == {parent.run_id}
    assert len(study.records.runs()) == 4


def test_a_split_on_which_the_metric_is_undefined_is_refused_before_any_run(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = study.planned("depth=2", "split=0,1", "dataset.metric=roc_auc", methods={"GCN": "model=gcn"})
    dataset, data_hash = load(planned[0].settings.dataset)
    check_data(planned)
    val = dataset.val.clone()
    val[1] &= dataset.y == 0
    monkeypatch.setattr("depthlab.study.run.load", lambda _: (replace(dataset, val=val), data_hash))
    with pytest.raises(UserError, match="ROC-AUC is undefined on the validation part of split=1"):
        check_data(planned)
