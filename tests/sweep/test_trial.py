"""A trial: its value is the mean of plain trainings, and study and MLflow record how it ends."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from depthlab.config.schema import Settings
from depthlab.sweep import training
from depthlab.sweep import trial as module
from depthlab.sweep.prune import STARTUP_TRIALS, Reporter
from depthlab.sweep.queue import distribution, requeue
from depthlab.sweep.search import Search
from depthlab.sweep.trial import tell_failed, work
from depthlab.tracking.search import PARENT
from depthlab.training.run import run
from tests.sweep.conftest import Sweep, add

Begin = Callable[..., tuple[optuna.Study, Any]]
BETTER = {"p_drop": 0.1, "dropout": 0.1}
TWO = {"splits": [{"split": 0}, {"split": 1}]}


@pytest.fixture
def begin(sweep: Sweep) -> Begin:
    """The study `small` and the task of its next trial, at the values that the search starts from."""

    def make(search: Search, pruner: str = "none", done: dict[str, Any] | None = None) -> tuple[optuna.Study, Any]:
        study = sweep.study(search, pruner)
        study.enqueue_trial(search.baseline, user_attrs=done)
        trial = study.ask({key: distribution(values) for key, values in search.space.items()})
        return study, sweep.task(search, trial, pruner)

    return make


def last(study: optuna.Study) -> FrozenTrial:
    return study.get_trials()[-1]


def test_the_value_is_the_mean_of_plain_trainings(sweep: Sweep, begin: Begin) -> None:
    search = sweep.search("epochs=20", "monitor=val_acc", seeds=2, **TWO)
    study, task = begin(search)
    outcome, sentence = work(task, 1)
    plain = [run(settings).scores["best_val_acc"] for settings in task.settings]
    assert len(plain) == 4
    assert len(set(plain)) > 1
    assert outcome == "finished"
    assert sentence == f"val_acc {100 * fmean(plain):.1f} %"
    assert last(study).state == TrialState.COMPLETE
    assert last(study).value == pytest.approx(fmean(plain), abs=1e-12)
    assert [last(study).user_attrs[f"training {k}"]["val_acc"] for k in range(4)] == plain


def test_records_of_a_trial(sweep: Sweep, begin: Begin) -> None:
    study, task = begin(sweep.search(seeds=2))
    work(task, 1)
    run = sweep.children()["0"]
    assert (run.status, run.tags["outcome"], run.tags["sweep"]) == ("FINISHED", "finished", "small")
    assert run.tags["mlflow.parentRunId"] == "the parent"
    assert run.run_id == last(study).user_attrs["run_id"]
    assert run.metrics["mean/val_acc"] == last(study).value
    for seed in range(2):
        assert len(sweep.records.curve(run.run_id, f"split0-s{seed}/val_acc")) == 3
    recorded = [*run.metrics, *last(study).user_attrs["training 0"], *last(study).user_attrs]
    assert not any("test" in name for name in recorded)
    assert sweep.records.file(run.run_id, "config.yaml", sweep.folder)


def test_trainings_on_random_splits_have_own_labels(sweep: Sweep, begin: Begin) -> None:
    """With one label their curves would be mixed."""
    _, task = begin(sweep.search(**TWO))
    splits = [replace(settings, split="random", split_seed=k) for k, settings in enumerate(task.settings)]
    assert [module.label(settings) for settings in splits] == ["splitrandom0-s0", "splitrandom1-s0"]


@pytest.mark.parametrize("objective", ["val_loss", ["val_acc", "seconds"], ["val_acc", "dirichlet_energy"]])
def test_other_objectives(sweep: Sweep, begin: Begin, objective: Any) -> None:
    search = sweep.search(objective=objective)
    study, task = begin(search)
    assert work(task, 1)[0] == "finished"
    values = last(study).values
    assert len(values) == len(search.objectives)
    assert all(math.isfinite(value) and value > 0 for value in values)
    if "dirichlet_energy" in search.objectives:
        plain = run(task.settings[0])
        assert values[1] == pytest.approx(plain.curves["dirichlet_energy"][-1], rel=1e-5)


@pytest.mark.parametrize(("objective", "state"), [(None, "PRUNED"), (["val_acc", "seconds"], "FAIL")])
def test_a_trial_that_diverges(sweep: Sweep, begin: Begin, objective: Any, state: str) -> None:
    study, task = begin(sweep.search("lr=1e30", "epochs=10", seeds=2, objective=objective))
    outcome, sentence = work(task, 1)
    assert outcome == "diverged"
    assert sentence.startswith("training 1 of 2, at epoch ")
    assert last(study).state.name == state
    assert last(study).user_attrs["reason"] == sentence
    assert sweep.children()["0"].tags["outcome"] == "diverged"


def test_an_objective_that_is_not_a_number(sweep: Sweep, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    study, task = begin(sweep.search("epochs=3", objective=["val_acc", "dirichlet_energy"]))
    monkeypatch.setattr("depthlab.sweep.training.layer_measures", lambda *_: {"dirichlet_energy": [math.nan]})
    outcome, sentence = work(task, 1)
    assert (outcome, sentence.partition(", ")[2]) == ("undefined", "dirichlet_energy is not a number")
    assert last(study).state == TrialState.FAIL and last(study).user_attrs["reason"] == sentence


def test_settings_that_the_network_refuses(sweep: Sweep, begin: Begin) -> None:
    search = sweep.search("model=acmp", "model.step_size=50", "model.repulsion=interval(0, 3)")
    study, task = begin(search)
    outcome, sentence = work(task, 1)
    assert outcome == "refused"
    assert "model.stability_check=off" in sentence
    assert last(study).state == TrialState.PRUNED
    assert last(study).user_attrs["reason"] == sentence


def better(study: optuna.Study, search: Search, steps: list[int]) -> None:
    """As many trials with the best score as the median pruner waits for."""
    for _ in range(STARTUP_TRIALS):
        add(study, search, [1.0], BETTER, dict.fromkeys(steps, 1.0))


def test_pruning_at_an_epoch(sweep: Sweep, begin: Begin) -> None:
    search = sweep.search("epochs=100", "patience=100", "lr=1e-6", seeds=2)
    better(sweep.study(search), search, [20, 40, 60, 80, 100])
    study, task = begin(search, "median")
    outcome, sentence = work(task, 1)
    assert outcome == "pruned"
    assert re.match(r"training 1 of 2, at epoch 60 with \d+\.\d %", sentence)
    assert last(study).state == TrialState.PRUNED
    assert set(last(study).intermediate_values) == {20, 40, 60}
    assert "training 0" not in last(study).user_attrs
    assert len(sweep.records.curve(sweep.children()["8"].run_id, "split0-s0/val_acc")) == 60


def test_pruning_between_trainings(sweep: Sweep, begin: Begin) -> None:
    search = sweep.search("epochs=30", "lr=1e-6", seeds=3)
    better(sweep.study(search), search, [20, 31, 51, 62, 82])
    study, task = begin(search, "median")
    outcome, sentence = work(task, 1)
    assert outcome == "pruned"
    assert re.match(r"after training 2 of 3 with \d+\.\d %", sentence)
    assert [key for key in last(study).user_attrs if key.startswith("training")] == ["training 0", "training 1"]


def test_several_objectives_are_never_pruned(sweep: Sweep, begin: Begin) -> None:
    study, task = begin(sweep.search("epochs=60", "lr=1e-6", objective=["val_acc", "seconds"]), "median")
    assert work(task, 1)[0] == "finished"
    assert last(study).intermediate_values == {}


def test_finished_trainings_are_not_trained_again(sweep: Sweep, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    done = {"training 0": {"val_acc": 0.25}}
    study, task = begin(sweep.search(seeds=2), done=done)
    trained: list[int] = []
    real = training.train

    def train(settings: Settings, *more: Any) -> dict[str, float]:
        trained.append(settings.seed)
        return real(settings, *more)

    monkeypatch.setattr(module, "train", train)
    work(task, 1)
    assert trained == [1]
    assert last(study).value == fmean([0.25, last(study).user_attrs["training 1"]["val_acc"]])


def test_ctrl_c_queues_the_trial_again(sweep: Sweep, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    search = sweep.search(seeds=2)
    study, task = begin(search)
    real = training.train

    def train(settings: Settings, *more: Any) -> dict[str, float]:
        if settings.seed == 1:
            raise KeyboardInterrupt
        return real(settings, *more)

    monkeypatch.setattr(module, "train", train)
    with pytest.raises(KeyboardInterrupt):
        work(task, 1)
    (trial,) = study.get_trials()
    assert (trial.state, trial.params) == (TrialState.WAITING, search.baseline)
    assert "training 0" in trial.user_attrs
    run = sweep.children()["0"]
    assert (run.status, run.tags["outcome"]) == ("KILLED", "interrupted")


def test_a_resumed_trial_resumes_its_run(sweep: Sweep, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The curves of finished trainings stay, and no step of the interrupted one is recorded twice."""
    study, task = begin(sweep.search("epochs=40", "patience=40", seeds=2), "median")
    real = Reporter.report

    def report(self: Reporter, value: float, step: int, where: str) -> str:
        if step == 81:  # the last of the second training
            raise KeyboardInterrupt
        return real(self, value, step, where)

    monkeypatch.setattr(Reporter, "report", report)
    with pytest.raises(KeyboardInterrupt):
        work(task, 1)
    monkeypatch.undo()
    before = sweep.children()["0"].run_id
    study.ask()
    assert work(task, 1)[0] == "finished"
    run = sweep.children()["0"]
    assert (run.run_id, run.status, run.tags["outcome"]) == (before, "FINISHED", "finished")
    for seed in range(2):
        history = sweep.records.client.get_metric_history(before, f"split0-s{seed}/val_acc")
        assert sorted(point.step for point in history) == list(range(40))


def test_a_defect_fails_the_trial(sweep: Sweep, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    study, task = begin(sweep.search())
    monkeypatch.setattr("depthlab.sweep.training.experiment", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        work(task, 1)
    assert last(study).state == TrialState.FAIL
    assert last(study).user_attrs["reason"] == "ZeroDivisionError: division by zero"
    run = sweep.children()["0"]
    assert (run.status, run.tags["error"]) == ("FAILED", "ZeroDivisionError: division by zero")
    assert tell_failed(study, task, "another reason")  # too late
    assert last(study).user_attrs["reason"] == "ZeroDivisionError: division by zero"


def test_a_trial_whose_process_was_killed_starts_again(sweep: Sweep, begin: Begin) -> None:
    _, task = begin(sweep.search())
    own = {"kind": "trial", "sweep": task.study, "trial": "0", PARENT: task.parent}
    old = sweep.records.client.create_run(sweep.records.experiment_id, tags=own)
    assert work(task, 1)[0] == "finished"
    assert sweep.children()["0"].run_id != old.info.run_id  # the first was deleted


def test_a_finished_trial_is_not_run_again(sweep: Sweep, begin: Begin) -> None:
    """Its process was killed before the command received its result."""
    study, task = begin(sweep.search())
    first = work(task, 1)
    before = last(study), sweep.children()
    assert work(task, 1) == first
    assert (last(study), sweep.children()) == before


def test_a_trial_that_another_machine_took_over(sweep: Sweep, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    study, task = begin(sweep.search())
    real = training.train

    def train(*given: Any) -> dict[str, float]:
        scores = real(*given)
        assert requeue(study, task.trial_id, task.owner)  # another machine takes this one for dead
        return scores

    monkeypatch.setattr(module, "train", train)
    assert work(task, 1)[0] == "taken over"
    assert [trial.state for trial in study.get_trials()] == [TrialState.WAITING]
    assert not tell_failed(study, task, "a process was killed")
    assert not sweep.records.runs("attributes.status = 'RUNNING'")


def test_an_impossible_rewiring_is_a_pruned_trial(sweep: Sweep, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(sweep.folder))
    search = sweep.search("rewiring=random", "rewiring.num_edges=99999,100000", "rewiring.seed=5")
    study, task = begin(search)
    outcome, sentence = work(task, 1)
    assert outcome == "refused" and "pairs of nodes are not joined yet" in sentence
    assert last(study).state == TrialState.PRUNED
