"""One run in this process: what it scores, records, keeps and refuses."""

import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.tracking import MlflowClient

from src.errors import UserError
from src.settings import compose_settings, flatten
from src.tracking.run import TrackedRun
from src.train.identity import checkpoint_folder
from src.train.run import run

Compose = Callable[..., dict[str, Any]]
CURVES = (
    "dirichlet_energy", "dirichlet_energy_normalized", "rayleigh_quotient",
    "mean_average_distance", "effective_rank", "gradient_norm", "gradient_norm_first_epoch",
)  # fmt: skip


def history(settings: dict[str, Any], run_id: str, metric: str) -> list[tuple[int, float]]:
    points = MlflowClient(settings["tracking"]["uri"]).get_metric_history(run_id, metric)
    return sorted((point.step, point.value) for point in points)


def test_the_record_keeps_the_contract_of_metric_names(settings: Compose) -> None:
    chosen = settings("model=gcnii", "depth=3", "epochs=7", "p_drop=0.3")
    result = run(chosen, {"depth": "command line"})
    for name in ("train_loss", "train_acc", "val_loss", "val_acc"):
        assert [step for step, _ in history(chosen, result.run_id, name)] == list(range(7)), name
    for name in CURVES:
        assert [step for step, _ in history(chosen, result.run_id, name)] == [0, 1, 2, 3], name
    for name in (
        "test_acc",
        "best_val_acc",
        "best_epoch",
        "epochs_run",
        "seconds_per_epoch",
        "base_edges",
        "active_edges",
        "edge_homophily",
    ):
        assert len(history(chosen, result.run_id, name)) == 1, name
    recorded = MlflowClient(chosen["tracking"]["uri"]).get_run(result.run_id)
    assert recorded.info.run_name == "csbm-gcnii-d3-s0-split0"
    assert recorded.info.status == "FINISHED"
    assert recorded.data.tags["outcome"] == result.outcome == "finished"
    assert recorded.data.tags["command_line"] == "depth=3"
    assert recorded.data.params == {key: str(value) for key, value in flatten(chosen).items()}
    assert 0 < result.scores["active_edges"] < result.scores["base_edges"]


def test_the_tested_state_is_the_best_on_validation(settings: Compose) -> None:
    chosen = settings("model=mlp", "depth=2", "epochs=60", "patience=60", "lr=0.1", "dataset.signal=0.5")
    result = run(chosen)
    losses = [value for _, value in history(chosen, result.run_id, "val_loss")]
    assert losses.index(min(losses)) == result.scores["best_epoch"] < 59
    assert result.scores["best_val_loss"] == pytest.approx(min(losses), rel=1e-6)


@pytest.mark.parametrize("monitor", ["val_loss", "val_acc"])
def test_patience_ends_the_run(settings: Compose, monitor: str) -> None:
    result = run(settings("model=gcn", "depth=2", "epochs=400", "patience=5", "lr=0.1", f"monitor={monitor}"))
    assert result.scores["epochs_run"] == result.scores["best_epoch"] + 6 < 400


def test_seed_governs_weights_and_masks_and_split_the_split(settings: Compose) -> None:
    runs = [run(settings("depth=2", "epochs=4", *more)) for more in ([], [], ["seed=1"], ["split=1"])]
    losses = [one.scores["best_val_loss"] for one in runs]
    assert losses[0] == losses[1]
    assert len(set(losses)) == 3


def test_divergence_is_an_outcome(settings: Compose) -> None:
    chosen = settings("depth=2", "epochs=50", "lr=1e30")
    result = run(chosen)
    assert result.outcome == "diverged"
    assert "test_acc" not in result.scores
    recorded = MlflowClient(chosen["tracking"]["uri"]).get_run(result.run_id)
    assert recorded.data.tags["outcome"] == "diverged"
    assert recorded.info.status == "FINISHED"


def test_a_defect_closes_the_run_as_failed(settings: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    chosen = settings("depth=2", "epochs=2")
    monkeypatch.setattr("src.train.run.evaluate", broken)
    with pytest.raises(ZeroDivisionError):
        run(chosen)
    (recorded,) = MlflowClient(chosen["tracking"]["uri"]).search_runs(["1"])
    assert (recorded.info.status, recorded.data.tags["outcome"]) == ("FAILED", "failed")


def test_artifacts_and_final_checkpoint(settings: Compose, tmp_path: Path) -> None:
    chosen = settings("depth=2", "epochs=3", "tracking.artifacts=[config,figures,model]")
    result = run(chosen, {"depth": "command line"})
    client = MlflowClient(chosen["tracking"]["uri"])
    names = {item.path for item in client.list_artifacts(result.run_id)}
    expected = {"config.yaml", "provenance.yaml", "energy_by_layer.png", "energy_by_layer.html", "final.ckpt"}
    assert names == expected
    final = torch.load(checkpoint_folder(chosen) / "final.ckpt", weights_only=True)
    assert final["config"] == chosen
    assert final["run_id"] == result.run_id
    assert not (checkpoint_folder(chosen) / "last.ckpt").exists()


def test_resume_needs_a_checkpoint_and_a_run_that_has_not_finished(settings: Compose) -> None:
    with pytest.raises(UserError, match="no checkpoint"):
        run(settings("depth=2", "epochs=3", "ckpt=last"))
    run(settings("depth=2", "epochs=3"))
    with pytest.raises(UserError, match="has finished"):
        run(settings("depth=2", "epochs=3", "ckpt=last"))


def test_roc_auc_needs_two_classes(settings: Compose) -> None:
    chosen = settings("depth=2", "epochs=2", "dataset.classes=3")
    chosen["dataset"]["metric"] = "roc_auc"
    with pytest.raises(UserError, match="two classes"):
        run(chosen)


def test_roc_auc_is_recorded_for_two_classes(settings: Compose) -> None:
    chosen = settings("depth=2", "epochs=3")
    chosen["dataset"]["metric"] = "roc_auc"
    result = run(chosen)
    assert 0 <= result.scores["test_roc_auc"] <= 1
    assert len(history(chosen, result.run_id, "val_roc_auc")) == 3


REWIRED = ("dataset.nodes=60", "model=gcn", "depth=3", "epochs=4", "measures=[dirichlet_energy]")


def test_what_a_rewiring_did_is_recorded(settings: Compose) -> None:
    plain = run(settings(*REWIRED))
    chosen = settings(*REWIRED, "rewiring=random", "rewiring.num_edges=9")
    result = run(chosen)
    found = MlflowClient(chosen["tracking"]["uri"]).get_run(result.run_id)
    assert (found.data.tags["rewiring"], found.info.run_name) == ("random", "csbm-gcn-d3-s0-split0-random")
    metrics = found.data.metrics
    assert (metrics["rewiring/edges_added"], metrics["rewiring/edges_removed"]) == (9, 0)
    assert metrics["rewiring/edges_before"] == plain.scores["base_edges"] == metrics["base_edges"] - 9
    assert metrics["edge_homophily"] == plain.scores["edge_homophily"] == metrics["rewiring/homophily_before"]
    assert not [name for name in plain.scores if "rewiring" in name]
    assert result.curves["dirichlet_energy"][0] == plain.curves["dirichlet_energy"][0]  # of X, over the same edges
    recorded = MlflowClient(chosen["tracking"]["uri"]).get_run(plain.run_id).data.tags
    assert recorded["rewiring"] == "none"
    assert recorded["data_hash"] != found.data.tags["data_hash"]


def test_a_rewiring_of_seed_another_is_another_run_and_the_same_again_is_the_same(settings: Compose) -> None:
    runs = [run(settings(*REWIRED, "rewiring=random", f"rewiring.seed={seed}")) for seed in (0, 0, 1)]
    losses = [one.scores["best_val_loss"] for one in runs]
    assert losses[0] == losses[1] != losses[2]


def test_edges_are_dropped_from_the_graph_of_the_first_layers(settings: Compose) -> None:
    last = run(settings(*REWIRED, "rewiring=random", "rewiring.layers=last", "p_drop=0.4")).scores
    everywhere = run(settings(*REWIRED, "rewiring=random", "p_drop=0.4")).scores
    assert last["base_edges"] == last["rewiring/edges_before"] == everywhere["base_edges"] - 50
    assert 0 < last["active_edges"] < last["base_edges"]
    assert 0 < everywhere["active_edges"] < everywhere["base_edges"]


def test_a_virtual_node_is_measured_and_scored_nowhere(settings: Compose) -> None:
    result = run(settings(*REWIRED, "rewiring=virtual_node"))
    assert result.outcome == "finished"
    assert result.scores["rewiring/nodes_added"] == 1
    assert result.scores["base_edges"] == result.scores["rewiring/edges_before"] + 60
    plain = run(settings(*REWIRED))
    assert result.curves["dirichlet_energy"][0] == plain.curves["dirichlet_energy"][0]
    assert (16 * result.scores["test_acc"]) % 1 == pytest.approx(0, abs=1e-5)  # of the sixteen nodes of the split


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [(["model=acmp", "rewiring=random", "rewiring.layers=last"],
      "rewiring.layers=last has no place in ACMP, one equation on one graph: use rewiring.layers=all"),
     (["rewiring=random", "rewiring.num_edges=9999"], r"only \d+ pairs of nodes are not joined yet")],
)  # fmt: skip
def test_a_rewiring_that_cannot_be_is_refused_before_a_run_is_created(
    settings: Compose, tmp_path: Path, typed: list[str], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        run(settings(*REWIRED, *typed))
    assert not (tmp_path / "mlflow.db").exists()


def test_a_flow_that_overflows_is_a_result_with_its_time_and_the_states_before(settings: Compose) -> None:
    knobs = "repulsion=3", "well=off", "stability_check=off", "step_size=0.5"
    chosen = settings("model=acmp", "depth=60", "epochs=5", *(f"model.{knob}" for knob in knobs))
    result = run(chosen)
    assert result.outcome == result.diagnosis.verdict == "diverged"
    assert 0 < result.scores["broke_at_time"] < result.scores["time"] == 30.0
    assert result.diagnosis.evidence.endswith(f"states overflowed at t={result.scores['broke_at_time']:g}")
    assert "test_acc" not in result.scores
    energy = result.curves["dirichlet_energy"]
    assert 0 < energy[0] < energy[1] < energy[2]
    assert result.scores["function_evaluations"] == 4 * 60


def test_ctrl_c_while_a_run_is_being_created_leaves_none_running(
    settings: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(TrackedRun):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGINT)
            created.append(self.run_id)

    created: list[str] = []
    monkeypatch.setattr("src.train.run.TrackedRun", Slow)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    chosen = settings("model=mlp", "depth=2", "epochs=3")
    try:
        with pytest.raises(KeyboardInterrupt):
            run(chosen)
    finally:
        signal.signal(signal.SIGINT, before)
    recorded = MlflowClient(chosen["tracking"]["uri"]).get_run(created[0])
    assert (recorded.info.status, recorded.data.tags["outcome"]) == ("KILLED", "interrupted")


TREE = ("dataset=tree_neighbors_match", "dataset.radius=2", "recipe=none", "hidden=8", "epochs=4")
RING = ["dataset=ring_transfer", "dataset.train_graphs=40", "dataset.test_graphs=10", "recipe=none"]


@pytest.fixture
def tasks(settings: Compose) -> Compose:
    """Settings of a small run on a task: those of `settings` name nodes, which a task has no setting for."""

    def compose(*overrides: str) -> dict[str, Any]:
        uri = settings()["tracking"]["uri"]
        found = compose_settings([*overrides, "progress=false", "trainer.threads=1", "tracking.artifacts=[states]"])
        found["tracking"]["uri"] = uri
        return found

    return compose


def test_a_run_on_many_graphs_records_what_one_on_one_graph_does(tasks: Compose) -> None:
    chosen = tasks(*TREE, "model=gcnii", "depth=3", "p_drop=0.2", "dataset.batch_size=16")
    result = run(chosen)
    for name in ("train_loss", "train_acc", "val_loss", "val_acc"):
        assert [step for step, _ in history(chosen, result.run_id, name)] == list(range(4)), name
    for name in CURVES:
        assert [step for step, _ in history(chosen, result.run_id, name)] == [0, 1, 2, 3], name
        assert all(math.isfinite(value) for value in result.curves[name]), name
    for name in ("test_acc", "best_train_acc", "best_val_acc"):
        assert 0 <= result.scores[name] <= 1
    assert result.scores["task_range"] == 2 and "edge_homophily" not in result.scores
    assert "hops away" not in result.diagnosis.evidence
    losses = [value for _, value in history(chosen, result.run_id, "val_loss")]
    assert result.scores["best_val_loss"] == pytest.approx(min(losses), rel=1e-6)


def test_a_network_that_is_too_shallow_for_the_task_is_told(tasks: Compose) -> None:
    result = run(tasks(*TREE, "model=gcn", "depth=1"))
    assert result.diagnosis.evidence.endswith("; the answer stands 2 hops away, the network has depth 1")
    assert result.scores["test_acc"] < 0.7


@pytest.mark.parametrize(("depth", "reached"), [(2, False), (3, True)])
def test_the_target_of_a_ring_is_heard_from_as_many_layers_on_as_hops(
    tasks: Compose, depth: int, reached: bool
) -> None:
    """Graphs differ at the target alone, three hops away: below that all get one and the same answer."""
    ring = (*RING, "dataset.size=6", "dataset.batch_size=8", "epochs=30", "dropout=0", "norm=batch")
    result = run(tasks(*ring, "model=gcn", f"depth={depth}"))
    assert result.scores["test_acc"] == pytest.approx(1 if reached else 0.2)


def test_the_run_seed_decides_the_order_and_the_dataset_seed_the_graphs(tasks: Compose) -> None:
    typed = (*TREE, "model=gcn", "depth=2", "dataset.batch_size=16")
    runs = [run(tasks(*typed, *more)) for more in ([], [], ["seed=1"], ["dataset.seed=1"])]
    losses = [one.scores["best_val_loss"] for one in runs]
    assert losses[0] == losses[1]
    assert len(set(losses)) == 3


@pytest.mark.parametrize("monitor", ["train_acc", "val_acc"])
def test_what_is_monitored_selects_the_state(tasks: Compose, monitor: str) -> None:
    chosen = tasks(*TREE, "model=gcnii", "depth=3", "lr=0.05", f"monitor={monitor}", "epochs=12")
    result = run(chosen)
    values = [value for _, value in history(chosen, result.run_id, monitor)]
    assert values.index(max(values)) == result.scores["best_epoch"]
    assert result.scores[f"best_{monitor}"] == pytest.approx(max(values), rel=1e-6)
