"""The estimated duration of planned runs."""

from collections.abc import Callable

import pytest
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.data.prepare import load
from depthlab.graph.graph import Graph
from depthlab.study import estimate as estimate_module
from depthlab.study.estimate import OVERHEAD, STEPS, estimate
from depthlab.study.grid import PlannedRun, expand
from depthlab.study.plan import make_plan
from depthlab.tracking.search import Recorded
from depthlab.training.module import TrainingModule
from tests.study.conftest import Study

Make = Callable[..., Recorded]


def done(run: PlannedRun, recorded: Make, epochs: float, seconds: float) -> Recorded:
    tags = {"epochs_run": str(epochs), "seconds_per_epoch": str(seconds)}
    return recorded(run, load(run.settings.dataset)[1], **tags)


def test_done_runs_tell_the_time_of_those_like_them(study: Study, recorded: Make) -> None:
    planned = study.planned("depth=2,8,20", "seed=0,1,2", methods={"GCN": "model=gcn"})
    at = {(run.depth, run.seed): run for run in planned}
    runs = [done(at[2, 0], recorded, 10, 0.5), done(at[2, 1], recorded, 10, 0.7), done(at[20, 0], recorded, 100, 0.9)]
    seconds = estimate(make_plan(planned, runs, same_code=False))
    assert seconds == {
        at[2, 2].hash: pytest.approx(6 + OVERHEAD),  # the mean of the same depth
        **{at[8, seed].hash: pytest.approx(6 * 9 / 3 + OVERHEAD) for seed in range(3)},  # the nearest, linear in depth
        **{at[20, seed].hash: pytest.approx(90 + OVERHEAD) for seed in (1, 2)},
    }


def test_another_method_is_timed_for_itself(study: Study, recorded: Make) -> None:
    gcn, wide = study.planned("depth=2", "seed=0", methods={"GCN": "model=gcn", "wide": "model=mlp"})
    seconds = estimate(make_plan([gcn, wide], [done(gcn, recorded, 10, 1e6)], same_code=False))
    assert OVERHEAD < seconds[wide.hash] < 1000


def test_unknown_runs_are_timed_at_their_deepest(study: Study) -> None:
    planned = study.planned("depth=2,17", "seed=0", "patience=50", "epochs=100000", methods={"GCN": "model=gcn"})
    shallow, deep = estimate(make_plan(planned, [], same_code=False)).values()
    assert deep > OVERHEAD
    assert shallow - OVERHEAD == pytest.approx((deep - OVERHEAD) * 3 / 18)


def test_a_training_is_not_longer_than_its_epochs(study: Study) -> None:
    def seconds(epochs: int) -> float:
        planned = study.planned(f"epochs={epochs}", "patience=1000", "depth=8", "seed=0", methods={"GCN": "model=gcn"})
        (found,) = estimate(make_plan(planned, [], same_code=False)).values()
        return found - OVERHEAD

    few, many, more = seconds(10), seconds(4000), seconds(10**8)
    assert few < many / 50
    assert more < 10 * many  # four times the patience, however many epochs are allowed


def test_a_long_epoch_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of mini-batches a few are timed, and fewer where these take long."""
    typed = ["dataset=ring_transfer", "dataset.batch_size=5", "epochs=7", "patience=100", "depth=2", "seed=0"]
    (run,) = expand({"GCN": "model=gcn"}, {}, {}, typed)
    steps: list[int] = []
    plain = TrainingModule.training_step

    def counted(model: TrainingModule, graph: Graph) -> Tensor:
        steps.append(1)
        return plain(model, graph)

    monkeypatch.setattr(TrainingModule, "training_step", counted)
    (few,) = estimate(make_plan([run], [], same_code=False)).values()
    assert len(steps) == STEPS + 1
    monkeypatch.setattr("depthlab.study.estimate.LONGEST", 1e-9)
    (one,) = estimate(make_plan([run], [], same_code=False)).values()
    assert len(steps) == STEPS + 2
    for seconds in (few, one):
        assert 7 * 1000 * 1e-4 < seconds < 7 * 1000  # of 1,000 steps an epoch


def test_few_batches_are_taken_again() -> None:
    """A tree of radius 2 has one batch to train on and two to evaluate."""
    typed = ["dataset=tree_neighbors_match", "dataset.radius=2", "dataset.batch_size=100", "epochs=3", "depth=2"]
    (run,) = expand({"GCN": "model=gcn"}, {}, {}, typed)
    (seconds,) = estimate(make_plan([run], [], same_code=False)).values()
    assert OVERHEAD < seconds < 60


def test_nothing_to_do_takes_no_time(study: Study, recorded: Make) -> None:
    planned = study.planned("depth=2", "seed=0", methods={"GCN": "model=gcn"})
    assert estimate(make_plan(planned, [done(planned[0], recorded, 1, 1)], same_code=False)) == {}


def test_a_run_that_cannot_run_does_not_stop_the_estimate(study: Study) -> None:
    methods = {"GCN": "model=gcn", "normed": "model=appnp norm=batch"}
    good, bad = study.planned("depth=2", "seed=0", methods=methods)
    seconds = estimate(make_plan([good, bad], [], same_code=False))
    assert seconds[bad.hash] == OVERHEAD < seconds[good.hash]


def test_a_depth_that_cannot_run_says_nothing_of_the_others(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = estimate_module._timed
    asked: list[int] = []

    def deep_fails(run: PlannedRun) -> float:
        asked.append(run.depth)
        if run.depth == 8:
            raise UserError("it does not fit")
        return timed(run)

    monkeypatch.setattr(estimate_module, "_timed", deep_fails)
    planned = study.planned("depth=2,4,8", "seed=0,1", methods={"GCN": "model=gcn"})
    seconds = estimate(make_plan(planned, [], same_code=False))
    assert asked == [8, 4] and min(seconds.values()) > OVERHEAD
