"""Pruners by name, what they compare, and decisions that an interruption does not change."""

import optuna
import pytest

from depthlab.sweep.prune import STARTUP_TRIALS, Reporter, make_pruner
from tests.sweep.conftest import Sweep, add


def test_pruners_by_name() -> None:
    assert isinstance(make_pruner("median", 100, 3), optuna.pruners.MedianPruner)
    assert isinstance(make_pruner("hyperband", 100, 3), optuna.pruners.HyperbandPruner)
    assert isinstance(make_pruner("none", 100, 3), optuna.pruners.NopPruner)


def test_a_good_beginning_does_not_save_a_trial_that_falls_behind(sweep: Sweep) -> None:
    """What is reported is a running mean: its best moment says nothing."""
    search = sweep.search(seeds=3)
    study = sweep.study(search, "median")
    for _ in range(STARTUP_TRIALS):
        add(study, search, [1.0], {"p_drop": 0.1, "dropout": 0.1}, {100: 1.0, 200: 1.0})
    trial = study.ask()
    trial.report(1.1, 100)
    assert not trial.should_prune()
    trial.report(0.9, 200)
    assert trial.should_prune()


def test_what_was_decided_before_an_interruption_stands(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    study = sweep.study(sweep.search())
    trial, judged = study.ask(), list[int | None]()

    def prune(self: object, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        judged.append(trial.last_step)
        return trial.last_step == 60

    monkeypatch.setattr(optuna.pruners.NopPruner, "prune", prune)
    assert [Reporter(trial).report(0.5, step, f"at {step}") for step in (20, 40)] == ["", ""]
    resumed = optuna.trial.Trial(study, trial._trial_id)
    judge = Reporter(resumed)
    assert [judge.report(0.6, step, f"at {step}") for step in (20, 40, 60)] == ["", "", "at 60"]
    assert judged == [20, 40, 40, 60]  # at the last report it may have been killed before the decision
    assert study.get_trials()[0].intermediate_values == {20: 0.5, 40: 0.5, 60: 0.6}
    assert Reporter(optuna.trial.Trial(study, trial._trial_id)).report(0.6, 20, "at 20") == "at 60"
    assert len(judged) == 4
