"""A regression on a small graph: from a user's file to the record, and a task that a test adds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow.tracking import MlflowClient
from torch import Tensor
from torch.nn import functional as F

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.data.prepare import load, prepare
from depthlab.tasks.metrics import METRICS
from depthlab.tasks.task import TASKS, Regression
from depthlab.training.replica_settings import replica_settings
from depthlab.training.replicas import run_replicas
from depthlab.training.run import run
from depthlab.training.summary import summary

NODES = 60
Compose = Callable[..., Settings]


def arrays(targets: np.ndarray[Any, Any] | None = None) -> dict[str, np.ndarray[Any, Any]]:
    """A ring whose target is twice the mean feature of a node and its neighbours, which one layer can tell."""
    nodes = np.arange(NODES)
    x = np.random.default_rng(0).standard_normal((NODES, 4)).astype(np.float32)
    y = sum(np.roll(x[:, 0], shift) for shift in (-1, 0, 1)) * 2 / 3 if targets is None else targets
    parts = {f"{part}_masks": (nodes % 3 == number) for number, part in enumerate(("train", "val", "test"))}
    return {"node_features": x, "edges": np.stack([nodes, np.roll(nodes, -1)], 1), "node_labels": y, **parts}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compose:
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    np.savez(tmp_path / "own.npz", **arrays())  # type: ignore[arg-type]

    def compose(*overrides: str) -> Settings:
        typed = ["dataset=npz", f"dataset.path={tmp_path / 'own.npz'}", "dataset.task=regression", "dataset.metric=mae"]
        typed += ["model=gcn", "depth=1", "lr=0.1", "dropout=0", "weight_decay=0", "epochs=100", "progress=false"]
        found = compose_settings([*typed, "trainer.threads=1", "measures=[dirichlet_energy]", *overrides])
        found = found.with_tracking(uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
        return found

    return compose


def test_numbers_are_learnt_measured_and_recorded(settings: Compose) -> None:
    result = run(settings("tracking.artifacts=[states]"))
    scores, chance = result.scores, result.statistics["chance"]
    y = torch.from_numpy(arrays()["node_labels"])[torch.arange(NODES) % 3 == 0]
    assert chance == pytest.approx(float((y - y.median()).abs().mean()), rel=1e-5)
    assert scores["test_mae"] < chance / 2
    assert scores["test_r2"] > 0.7
    assert result.diagnosis.verdict == "healthy"
    assert "edge_homophily" not in result.statistics
    assert (
        f"MAE                test {scores['test_mae']:.4g}, validation {scores['best_val_mae']:.4g}; the best"
        in summary(result)
    )
    metrics = MlflowClient(result.uri).get_run(result.run_id).data.metrics
    assert metrics.keys() >= {"epoch/train_loss", "epoch/train_mae", "epoch/val_r2", "best_val_mae", "test_mae"}
    assert not any(name.endswith("_acc") for name in metrics)


def test_replicas_learn_numbers_as_each_does_alone(settings: Compose) -> None:
    chosen = settings("replicas=2", "epochs=10", "replicate=seed")
    members = replica_settings(chosen)
    together = {result.name: result.scores for result in run_replicas(members, [{}, {}])}
    alone = run(settings("epochs=10", "seed=1"))
    for name in ("best_val_mae", "test_mae", "test_r2", "test_loss"):
        assert together[alone.name][name] == pytest.approx(alone.scores[name], rel=1e-4), name


def test_the_lowest_error_selects_the_state(settings: Compose) -> None:
    result = run(settings("monitor=val_mae", "epochs=30", "patience=30"))
    history = MlflowClient(result.uri).get_metric_history(result.run_id, "epoch/val_mae")
    assert result.scores["best_val_mae"] == pytest.approx(min(point.value for point in history), rel=1e-5)


def test_statistics_of_numbers_have_no_classes(settings: Compose, tmp_path: Path) -> None:
    path = prepare(settings().dataset, tmp_path)
    text = path.with_suffix(".json").read_text()
    assert '"nodes": 60' in text
    assert "homophily" not in text and "classes" not in text


@pytest.mark.parametrize(
    ("targets", "typed", "sentence"),
    [
        (
            None,
            ["dataset.task=classification", "dataset.metric=acc"],
            r"integers of shape .*: for a regression use dataset.task=regression",
        ),
        (np.full(NODES, np.inf), [], "node_labels must hold numbers that are finite as float32, or NaN"),
        (np.ones((NODES, 2)), [], r"node_labels must hold numbers of shape \(60,\), one for each row of node_features"),
        (
            np.where(np.arange(NODES) == 3, np.nan, 1.5),
            [],
            r"train_masks has nodes without a target \(NaN in node_labels\)",
        ),
        (np.ones(NODES), [], "R2 is undefined on the training part of split=0, where every target is 1: use a split"),
    ],
)
def test_targets_that_cannot_be(
    targets: Any, typed: list[str], sentence: str, settings: Compose, tmp_path: Path
) -> None:
    np.savez(tmp_path / "own.npz", **arrays(targets))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=sentence):
        run(settings("epochs=1", *typed))


def test_a_graph_may_have_a_node_without_a_number(settings: Compose, tmp_path: Path) -> None:
    content = arrays()
    content["node_labels"][0] = np.nan
    content["train_masks"][0] = False
    np.savez(tmp_path / "own.npz", **content)  # type: ignore[arg-type]
    assert load(settings().dataset)[0].y.isnan().sum() == 1
    assert np.isfinite(run(settings("epochs=2")).scores["test_mae"])


class Huber(Regression):
    """A task of a test's own: another loss."""

    usual = ("worst",)

    def loss(self, output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        return F.huber_loss(output.squeeze(-1), target, reduction=reduction)


def test_a_loss_and_a_metric_are_one_entry_each(settings: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    def worst(output: Tensor, target: Tensor) -> Tensor:
        return (output.squeeze(-1) - target).abs().max()

    monkeypatch.setitem(TASKS, "huber", Huber)
    monkeypatch.setitem(METRICS, "worst", replace(METRICS["mae"], label="largest error", function=worst))
    result = run(settings("dataset.task=huber", "dataset.metric=worst", "epochs=20"))
    assert result.scores["best_val_worst"] > 0
    assert "largest error      test" in summary(result)
    assert not any("mae" in name for name in result.scores)
