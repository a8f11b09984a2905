"""The estimated duration of planned runs."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from depthlab.config.compose import compose_settings
from depthlab.config.files import option_names
from depthlab.data.prepare import load
from depthlab.study.estimate import OVERHEAD, costs, estimate, expected
from depthlab.study.grid import PlannedRun
from depthlab.study.plan import make_plan
from depthlab.tracking.search import Recorded
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


def test_another_method_is_estimated_for_itself(study: Study, recorded: Make) -> None:
    gcn, other = study.planned("depth=2", "seed=0", methods={"GCN": "model=gcn", "MLP": "model=mlp"})
    seconds = estimate(make_plan([gcn, other], [done(gcn, recorded, 10, 1e6)], same_code=False))
    assert seconds == {other.hash: expected(other.settings) + OVERHEAD}


def test_an_estimate_is_linear_in_depth_and_bounded_by_epochs_and_patience() -> None:
    def seconds(*words: str) -> float:
        return expected(compose_settings(["model=gcnii", "dataset=csbm", "patience=50", *words]))

    shallow, middle, deep = (seconds(f"depth={depth}", "epochs=100") for depth in (2, 4, 6))
    assert deep - middle == pytest.approx(middle - shallow) and shallow < middle
    assert seconds("depth=2", "epochs=10") == pytest.approx(shallow / 10)
    assert seconds("depth=2", "epochs=100000000") == pytest.approx(2 * shallow)  # four times the patience


def test_a_larger_graph_and_more_steps_cost_more() -> None:
    def seconds(*words: str) -> float:
        return expected(compose_settings(["model=gcn", "depth=4", *words]))

    assert seconds("dataset=csbm", "dataset.nodes=100000") > 10 * seconds("dataset=csbm", "dataset.nodes=1000")
    few, many = (seconds("dataset=ring_transfer", f"dataset.batch_size={size}") for size in (5000, 5))
    assert many > 10 * few
    assert seconds("dataset=cora") > seconds("dataset=texas")


def test_every_architecture_is_in_the_table_and_others_cost_as_much_as_the_median() -> None:
    assert {*costs()["models"], "module"} == set(option_names("model"))
    settings = compose_settings(["model=gcn", "dataset=csbm", "depth=4"])
    other = expected(replace(settings, model=replace(settings.model, name="mine")))
    times = sorted(expected(replace(settings, model=replace(settings.model, name=name))) for name in costs()["models"])
    assert times[0] < other < times[-1]


def test_nothing_to_do_takes_no_time(study: Study, recorded: Make) -> None:
    planned = study.planned("depth=2", "seed=0", methods={"GCN": "model=gcn"})
    assert estimate(make_plan(planned, [done(planned[0], recorded, 1, 1)], same_code=False)) == {}
