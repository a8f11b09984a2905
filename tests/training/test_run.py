"""One run in this process: what it selects, keeps and refuses, and how it ends."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.tracking.run import TrackedRun
from depthlab.training.member import lightning_checkpoint
from depthlab.training.replicas import run_replicas
from depthlab.training.run import run
from tests.training.conftest import REWIRED, TREE, Compose, history


def test_the_tested_state_is_the_best_on_validation(settings: Compose) -> None:
    chosen = settings("model=mlp", "depth=2", "epochs=60", "patience=60", "lr=0.1", "dataset.signal=0.5")
    result = run(chosen)
    losses = [value for _, value in history(chosen, result.run_id, "epoch/val_loss")]
    assert losses.index(min(losses)) == result.statistics["best_epoch"] < 59
    assert result.scores["best_val_loss"] == pytest.approx(min(losses), rel=1e-6)


@pytest.fixture
def task_of_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a Dask worker finds that `srun` has started in a job of 32 tasks."""
    for name, value in {"NTASKS": "32", "JOB_NAME": "depth", "JOB_ID": "7", "PROCID": "5", "LOCALID": "5"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE", raising=False)


@pytest.mark.usefixtures("task_of_slurm")
def test_a_run_inside_a_slurm_job_is_one_process(settings: Compose) -> None:
    assert run(settings("model=gcn", "depth=2", "epochs=2", "checkpoint_every=1")).outcome == "finished"
    assert lightning_checkpoint(epochs=1, limit=2)["epoch"] == 1


@pytest.mark.parametrize("monitor", ["val_loss", "val_acc"])
def test_patience_ends_the_run(settings: Compose, monitor: str) -> None:
    result = run(settings("model=gcn", "depth=2", "epochs=400", "patience=5", "lr=0.1", f"monitor={monitor}"))
    assert result.statistics["epochs_run"] == result.statistics["best_epoch"] + 6 < 400


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
    recorded = MlflowClient(chosen.tracking.uri).get_run(result.run_id)
    assert recorded.data.tags["outcome"] == "diverged"
    assert recorded.info.status == "FINISHED"


def test_a_defect_closes_the_run_as_failed(settings: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    chosen = settings("depth=2", "epochs=2")
    monkeypatch.setattr("depthlab.training.run.evaluate", broken)
    with pytest.raises(ZeroDivisionError):
        run(chosen)
    (recorded,) = MlflowClient(chosen.tracking.uri).search_runs(["1"])
    assert (recorded.info.status, recorded.data.tags["outcome"]) == ("FAILED", "failed")


def test_resume_needs_a_checkpoint_and_a_run_that_has_not_finished(settings: Compose) -> None:
    with pytest.raises(UserError, match="no checkpoint"):
        run(settings("depth=2", "epochs=3", "ckpt=last"))
    run(settings("depth=2", "epochs=3"))
    with pytest.raises(UserError, match="has finished"):
        run(settings("depth=2", "epochs=3", "ckpt=last"))


def test_roc_auc_needs_two_classes(settings: Compose) -> None:
    chosen = settings("depth=2", "epochs=2", "dataset.classes=3")
    chosen = replace(chosen, dataset=replace(chosen.dataset, metric="roc_auc"))
    with pytest.raises(UserError, match="two classes"):
        run(chosen)


@pytest.fixture
def one_class_a_part(tmp_path: Path) -> str:
    """60 nodes, classes alternating, validation on even nodes, test on odd ones."""
    node = np.arange(60)
    train, even = node < 20, node % 2 == 0
    path = tmp_path / "g.npz"
    np.savez(
        path, node_features=np.eye(60), node_labels=node % 2, edges=np.stack([node, (node + 1) % 60], 1),
        train_masks=train[None], val_masks=(~train & even)[None], test_masks=(~train & ~even)[None],
    )  # fmt: skip
    return str(path)


def test_roc_auc_of_a_part_with_one_class_is_refused_before_training(settings: Compose, one_class_a_part: str) -> None:
    path = f"dataset.path={one_class_a_part}"
    typed = ["dataset.metric=roc_auc", "monitor=val_roc_auc", "model=gcn", "depth=2", "epochs=2"]
    chosen = settings()
    own = compose_settings(["dataset=npz", path, *typed, "progress=false", "trainer.threads=1"])
    own = replace(own, tracking=chosen.tracking)
    with pytest.raises(UserError, match="ROC-AUC is undefined on the validation part of split=0"):
        run(own)
    with pytest.raises(UserError, match="ROC-AUC is undefined on the validation part of split=0"):
        list(run_replicas([own, replace(own, seed=1)], [{}, {}]))
    assert MlflowClient(chosen.tracking.uri).search_runs(["0", "1"]) == []


def test_a_rewiring_of_seed_another_is_another_run_and_the_same_again_is_the_same(settings: Compose) -> None:
    runs = [run(settings(*REWIRED, "rewiring=random", f"rewiring.seed={seed}")) for seed in (0, 0, 1)]
    losses = [one.scores["best_val_loss"] for one in runs]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [(["model=acmp", "rewiring=random", "rewiring.layers=last"],
      "ACMP does not support rewiring.layers=last, its layers share one graph: use rewiring.layers=all"),
     (["rewiring=random", "rewiring.num_edges=9999"], r"only \d+ pairs of nodes are not joined yet")],
)  # fmt: skip
def test_a_rewiring_that_cannot_be_is_refused_before_a_run_is_created(
    settings: Compose, tmp_path: Path, typed: list[str], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        run(settings(*REWIRED, *typed))
    assert MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}").search_runs(["1"]) == []


def test_ctrl_c_while_a_run_is_being_created_leaves_none_running(
    settings: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(TrackedRun):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGINT)
            created.append(self.run_id)

    created: list[str] = []
    monkeypatch.setattr("depthlab.training.result.TrackedRun", Slow)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    chosen = settings("model=mlp", "depth=2", "epochs=3")
    try:
        with pytest.raises(KeyboardInterrupt):
            run(chosen)
    finally:
        signal.signal(signal.SIGINT, before)
    recorded = MlflowClient(chosen.tracking.uri).get_run(created[0])
    assert (recorded.info.status, recorded.data.tags["outcome"]) == ("KILLED", "interrupted")


RING = ["dataset=ring_transfer", "dataset.train_graphs=40", "dataset.test_graphs=10", "recipe=none"]


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
    values = [value for _, value in history(chosen, result.run_id, f"epoch/{monitor}")]
    assert values.index(max(values)) == result.statistics["best_epoch"]
    assert result.scores[f"best_{monitor}"] == pytest.approx(max(values), rel=1e-6)
