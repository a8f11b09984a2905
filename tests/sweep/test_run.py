"""A sweep in this process: its trials, its run in MLflow, and how it continues."""

from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.sweep import run as module
from depthlab.sweep import training
from depthlab.sweep import trial as trials
from depthlab.sweep.prune import Reporter
from depthlab.sweep.queue import ask, ownership
from depthlab.sweep.search import Search
from depthlab.tracking.search import PARENT
from depthlab.training.experiment import experiment
from tests.sweep.conftest import Sweep, add

Capture = pytest.CaptureFixture[str]
GRID = {"p_drop": "0.0,0.5", "dropout": "0.2,0.5,0.7"}


def params(sweep: Sweep, search: Search) -> list[tuple[Any, ...]]:
    return [tuple(trial.params[key] for key in search.space) for trial in sweep.trials(search)]


def pages(sweep: Sweep, folder: Path) -> dict[str, bytes]:
    """The figures on the sweep's run."""
    records, run_id = sweep.records, sweep.parent().run_id
    names = [entry.path for entry in records.client.list_artifacts(run_id)]
    files = {name: records.file(run_id, name, folder) for name in names}
    return {name: file.read_bytes() for name, file in files.items() if file}


def test_a_sweep_and_its_records(sweep: Sweep, capsys: Capture, tmp_path: Path) -> None:
    search = sweep.search(objective="val_loss", seeds=2)
    assert sweep.run(search, trials=5)
    out, errors = capsys.readouterr()
    assert out.startswith("sweep small: 5 trials, 5 complete\n")
    for count in range(1, 6):
        assert f"[{count}/5 trials" in errors
    found = sweep.trials(search)
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * 5
    assert found[0].params == search.baseline
    assert len(set(params(sweep, search))) == 5

    parent, children = sweep.parent(), sweep.children()
    assert (parent.status, parent.tags["outcome"], parent.name) == ("FINISHED", "finished", "sweep small")
    assert parent.params["space.p_drop"] == "0 to 0.8"
    values = [trial.values[0] for trial in found]
    assert sweep.records.curve(parent.run_id, "value/val_loss") == values
    best = sweep.records.curve(parent.run_id, "best/val_loss")
    assert best == [min(values[: k + 1]) for k in range(5)]
    shares = [parent.metrics[f"importance/{key}"] for key in search.space]
    assert sum(shares) == pytest.approx(1)
    assert {run.tags[PARENT] for run in children.values()} == {parent.run_id}
    assert [children[str(k)].metrics["mean/val_loss"] for k in range(5)] == values
    assert len(sweep.records.runs()) == 6

    files = pages(sweep, tmp_path)
    assert set(files) == {
        f"{name}.{kind}"
        for name in ("history", "parallel_coordinates", "slice", "importance")
        for kind in ("png", "html")
    }
    assert all(content.startswith(b"\x89PNG") for name, content in files.items() if name.endswith("png"))
    assert not any(b'src="http' in content for content in files.values())
    assert not list((sweep.folder / "checkpoints").glob("sweep-*.lock.*"))


def test_a_sweep_continues_with_more_trials(sweep: Sweep, capsys: Capture) -> None:
    search = sweep.search()
    assert sweep.run(search, trials=2)
    first = sweep.parent().run_id
    assert sweep.run(search, trials=2)
    assert sweep.run(search, trials=4)
    assert capsys.readouterr().out.count("sweep small: 2 trials, 2 complete") == 2
    assert len(set(params(sweep, search))) == 4
    assert sweep.parent().run_id == first
    for name in ("value/val_acc", "best/val_acc"):
        assert len(sweep.records.curve(first, name)) == 4  # each once
    assert len(sweep.children()) == 4


def test_trials_of_other_code_are_reported(capsys: Capture) -> None:
    study = optuna.create_study()
    for code in ("a", "a"):
        module.check_code(study, code)
    module.check_code(study, "b")
    assert capsys.readouterr().out == ""  # there is no trial yet
    study.optimize(lambda trial: 0.0, n_trials=2)
    module.check_code(study, "a")
    assert capsys.readouterr().out == ""
    module.check_code(study, "b")
    assert capsys.readouterr().out.startswith("2 trials were run by another version of the code, and count")


@pytest.mark.slow
def test_two_objectives_give_a_trade_off(sweep: Sweep, capsys: Capture, tmp_path: Path) -> None:
    search = sweep.search("epochs=5", "lr=tag(log, interval(1e-6, 0.1))", objective=["val_acc", "seconds"])
    assert sweep.run(search, trials=6, fresh=2, pruner="none")
    out = capsys.readouterr().out
    assert "  Pareto-optimal trials (val_acc, seconds):\n    trial " in out
    assert {"best/val_acc", "best/seconds", "value/seconds"} <= set(sweep.parent().metrics)
    files = pages(sweep, tmp_path)
    assert {"pareto.png", "pareto.html"} <= set(files)
    assert b'src="http' not in files["pareto.html"]
    assert not (sweep.folder / "conf").exists()  # no recipe
    assert len(sweep.records.runs()) == 7  # no fresh seeds


@pytest.mark.slow
def test_a_grid_is_every_combination_once(sweep: Sweep, capsys: Capture) -> None:
    search = sweep.search(space=GRID)
    assert sweep.run(search, trials=4, sampler="grid")
    assert sweep.run(search, trials=40, sampler="grid")
    assert params(sweep, search)[0] == tuple(search.baseline.values())
    assert Counter(params(sweep, search)) == Counter((a, b) for a in (0.0, 0.5) for b in (0.2, 0.5, 0.7))
    assert "sweep small: 6 trials, 6 complete" in capsys.readouterr().out


def test_a_grid_is_complete_after_a_kill_at_its_start(sweep: Sweep) -> None:
    search = sweep.search(space=GRID)
    study = sweep.study(search)
    study.enqueue_trial(search.baseline)  # of six: killed here
    study.enqueue_trial({"p_drop": 0.5, "dropout": 0.7})
    assert sweep.run(search, trials=40, sampler="grid")
    assert Counter(params(sweep, search)) == Counter((a, b) for a in (0.0, 0.5) for b in (0.2, 0.5, 0.7))


INTERRUPTED = (2, 8, 13)  # of the reports of all trials
Stored = list[tuple[int, TrialState, dict[str, Any], Any, dict[int, float]]]


def stored(sweep: Sweep, search: Search, storage: str) -> Stored:
    """Everything that samplers and pruners see of the trials of a sweep."""
    return [
        (trial.number, trial.state, trial.params, trial.values, trial.intermediate_values)
        for trial in sweep.trials(search, storage)
    ]


@pytest.mark.parametrize(
    ("sampler", "pruner", "where"),
    [
        ("tpe", "median", "before"),
        pytest.param("tpe", "hyperband", "after", marks=pytest.mark.slow),
        pytest.param("random", "median", "after", marks=pytest.mark.slow),
        pytest.param("gp", "none", "before", marks=pytest.mark.slow),
        pytest.param("grid", "median", "before", marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_sweep_is_the_uninterrupted_one(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, sampler: str, pruner: str, where: str
) -> None:
    """Trials, parameters, reports and results are equal, wherever it is interrupted."""
    monkeypatch.setattr("depthlab.sweep.prune.REPORT_EVERY", 2)
    monkeypatch.setattr("depthlab.sweep.prune.WARMUP_EPOCHS", 4)
    search = sweep.search("epochs=6", seeds=2, space=GRID if sampler == "grid" else None)

    def searched(storage: str) -> Stored:
        study = sweep.study(search, storage=storage)
        for k in range(10 if sampler != "grid" else 0):  # before so many have ended, tpe and gp sample at random
            score = 0.4 + 0.02 * k
            add(
                study, search, [score], {"p_drop": 0.05 * k, "dropout": 0.1 + 0.05 * k}, dict.fromkeys(range(14), score)
            )
        while True:
            try:
                assert sweep.run(search, trials=13, sampler=sampler, pruner=pruner, storage=storage)
                return stored(sweep, search, storage)
            except KeyboardInterrupt as interrupted:
                assert str(interrupted).endswith(" trials: the same command continues")
                *_, parent = sweep.records.runs("tags.kind = 'sweep'")
                assert (parent.status, parent.tags["outcome"]) == ("KILLED", "interrupted")

    plain = searched(str(sweep.folder / "plain.journal"))
    real, calls = Reporter.report, list[int]()

    def report(self: Reporter, value: float, step: int, at: str) -> str:
        calls.append(step)
        if where == "before" and len(calls) in INTERRUPTED:
            raise KeyboardInterrupt
        decision = real(self, value, step, at)
        if len(calls) in INTERRUPTED:
            raise KeyboardInterrupt
        return decision

    monkeypatch.setattr(Reporter, "report", report)
    assert searched(str(sweep.folder / "interrupted.journal")) == plain
    assert len(calls) > INTERRUPTED[-1]
    assert len({tuple(trial[2].values()) for trial in plain}) == len(plain)


def test_several_workers_print_that_the_search_is_not_repeatable(
    sweep: Sweep, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "execute", lambda *_: iter(()))
    for sampler, pruner, said in (("tpe", "none", True), ("random", "median", True), ("random", "none", False)):
        sweep.run(sweep.search(), jobs=2, sampler=sampler, pruner=pruner)
        words = "2 trials run at the same time, so the order in which they end decides what is tried next"
        assert (words in capsys.readouterr().out) == said


def test_a_trial_that_has_not_started_is_queued_again(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C reaches a process that still imports its libraries."""
    search = sweep.search()

    def stopped(*_: Any) -> tuple[str, str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "work", stopped)
    with pytest.raises(KeyboardInterrupt):
        sweep.run(search)
    assert [trial.state for trial in sweep.trials(search)] == [TrialState.WAITING]


def test_runs_that_a_killed_process_left_open_are_closed(sweep: Sweep) -> None:
    search = sweep.search()
    assert sweep.run(search, trials=1)
    tags = {"kind": "trial", "sweep": "small", "trial": "0", PARENT: sweep.parent().run_id}
    client, experiment = sweep.records.client, sweep.records.experiment_id
    left = client.create_run(experiment, tags=tags).info.run_id  # killed before the trial knew its run
    others = client.create_run(experiment, tags=tags | {PARENT: "of another storage"}).info.run_id
    assert sweep.run(search, trials=1)
    assert client.get_run(left).info.status == "KILLED"
    assert client.get_run(others).info.status == "RUNNING"


def test_a_failed_trial_is_reported(sweep: Sweep, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    search = sweep.search()
    monkeypatch.setattr("depthlab.sweep.training.experiment", lambda s: experiment(s) if s.dropout == 0.5 else 1 / 0)
    assert not sweep.run(search, trials=2)
    out = capsys.readouterr().out
    assert "2 trials, 1 complete, 1 failed" in out
    assert "  trial 1 failed: ZeroDivisionError: division by zero" in out
    assert sweep.parent().status == "FINISHED"


def test_a_sweep_whose_trials_all_fail_is_recorded_as_failed(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthlab.sweep.training.experiment", lambda _: 1 / 0)
    assert not sweep.run(sweep.search(), trials=2)
    assert (sweep.parent().status, sweep.parent().tags["outcome"]) == ("FAILED", "failed")


def test_settings_that_do_not_go_together_are_a_pruned_trial(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    search = sweep.search()
    real = Search.settings

    def settings(self: Search, values: Any, point: Any) -> Settings:
        if values.get("dropout", 0.5) != 0.5:
            raise UserError("these do not go together")
        return real(self, values, point)

    monkeypatch.setattr(Search, "settings", settings)
    assert sweep.run(search, trials=2)
    complete, refused = sweep.trials(search)
    assert complete.state == TrialState.COMPLETE
    assert (refused.state, refused.user_attrs["reason"]) == (TrialState.PRUNED, "these do not go together")


def test_a_baseline_that_the_network_refuses_ends_the_sweep_at_once(sweep: Sweep) -> None:
    with pytest.raises(UserError, match=r"model\.stability_check=off runs it all the same$"):
        sweep.run(sweep.search("model=acmp", "model.step_size=50"))
    assert not Path(sweep.journal).exists()
    assert sweep.records.runs() == []


def test_an_error_of_the_store_ends_the_sweep_and_loses_no_trial(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    search = sweep.search(seeds=2)
    real, calls = training.train, list[int]()

    def train(*given: Any) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 4:  # the second training of the second trial
            raise UserError("the store is full")
        return real(*given)

    monkeypatch.setattr(trials, "train", train)
    with pytest.raises(UserError, match=r"^the store is full; 1 of 3 trials are done, the same command continues$"):
        sweep.run(search)
    assert sweep.run(search)
    assert len(calls) == 7
    assert [trial.state for trial in sweep.trials(search)] == [TrialState.COMPLETE] * 3


def test_trials_of_another_command_are_left_alone(sweep: Sweep, capsys: Capture) -> None:
    search = sweep.search()
    study = sweep.study(search)
    with ownership(study, sweep.folder / "elsewhere") as owner:
        theirs = ask(study, search.space, 3, lambda number: optuna.samplers.RandomSampler(seed=number), owner)
        assert theirs is not None
        assert sweep.run(search, trials=3)
        states = Counter(trial.state for trial in sweep.trials(search))
        assert states == {TrialState.COMPLETE: 2, TrialState.RUNNING: 1}
    out = capsys.readouterr().out
    assert out.endswith("1 trials of other commands are running: the command that ends last tests the best\n")
