"""Runs with `loader=cluster`: what they record, and that they go on where they were cut off."""

import math

import pytest
from mlflow.tracking import MlflowClient

from depthlab.graph.cluster import ClusterBatches
from depthlab.training.run import run
from tests.training.conftest import CURVES, Compose, history
from tests.training.resuming import check_resumed_weights

CLUSTER = [
    "dataset=sbm_large", "dataset.degree=6", "dataset.block_size=12", "dataset.features=8", "dataset.classes=3",
    "loader=cluster", "loader.parts=6", "loader.batch_parts=2", "hidden=8", "epochs=7",
]  # fmt: skip


def test_a_run_on_parts_of_a_graph_records_what_one_on_all_of_it_does(
    settings: Compose, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = settings(*CLUSTER, "model=gcnii", "depth=3", "p_drop=0.2", "drop_edge.mode=rescale")
    result = run(chosen)
    for name in ("epoch/train_loss", "epoch/train_acc", "epoch/val_loss", "epoch/val_acc"):
        assert [step for step, _ in history(chosen, result.run_id, name)] == list(range(7)), name
    for name in CURVES:
        assert len(result.curves[name]) == 4 and all(map(math.isfinite, result.curves[name])), name
    assert result.name.startswith("sbm_large-gcnii-d3-s0-split0-cluster-")
    assert 0 <= result.scores["test_acc"] <= 1
    assert MlflowClient(chosen.tracking.uri).get_run(result.run_id).data.tags["loader"] == "cluster"
    assert capsys.readouterr().err == ""


def test_what_cannot_be_evaluated_layer_by_layer_says_so(settings: Compose, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(settings(*CLUSTER, "model=fagcn", "depth=2", "epochs=2"))
    assert 0 <= result.scores["test_acc"] <= 1
    sentence = "cannot be evaluated layer by layer, but only with the full graph in memory"
    assert capsys.readouterr().err == f"{result.name} {sentence}\n"


def test_a_run_on_parts_goes_on_to_the_same_weights(settings: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(*CLUSTER, "model=gcn", "depth=2", "checkpoint_every=3")
    check_resumed_weights(chosen, ClusterBatches, monkeypatch)
