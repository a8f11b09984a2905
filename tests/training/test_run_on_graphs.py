"""Runs on a dataset of many graphs: their records, resumed runs, and errors."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.graph.collection_batches import CollectionBatches
from depthlab.training.experiment import experiment
from depthlab.training.identity import STATES, checkpoint_folder
from depthlab.training.run import run
from tests.data.test_tu import tables, write
from tests.training.conftest import CURVES, Compose, history
from tests.training.resuming import check_resumed_weights

SMALL = ("model=gin", "depth=3", "hidden=8", "epochs=6", "dropout=0", "dataset.batch_size=5", "dataset.features=degree")
COUNTS: dict[str, list[str]] = {  # of each graph, the smallest of which has four nodes
    "virtual_node": [],
    "fully_adjacent": [],
    "ppr": ["k=1"],
    "fosr": ["num_edges=1"],
    "random": ["num_edges=1"],
    "sdrf": ["num_steps=1"],
    "borf": ["added=0", "removed=1", "num_batches=1"],
}
OnGraphs = Callable[..., Settings]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Paths and rings, which differ in their degrees."""
    write(tmp_path / "graphs", tables())
    return tmp_path / "graphs"


@pytest.fixture
def settings_of(tasks: Compose, folder: Path) -> OnGraphs:
    def compose(*overrides: str) -> Settings:
        return tasks("dataset=tu", f"dataset.path={folder}", *SMALL, *overrides)

    return compose


def test_a_graph_classification_is_learnt_measured_and_recorded(settings_of: OnGraphs) -> None:
    chosen = settings_of("epochs=60", "lr=0.02", "p_drop=0.1")
    result = run(chosen)
    assert result.scores["test_acc"] >= 0.75 and result.statistics["chance"] == pytest.approx(0.5, abs=0.1)
    assert len(history(chosen, result.run_id, "epoch/train_loss")) == 60
    for name in CURVES:
        assert len(result.curves[name]) == 4 and all(map(math.isfinite, result.curves[name])), name
    assert "edge_homophily" not in result.statistics


def test_a_graph_regression_is_learnt(settings_of: OnGraphs, folder: Path) -> None:
    edges, nodes = (np.array(tables()[name]) for name in ("A", "graph_indicator"))
    count = np.bincount(nodes)[1:]
    write(folder, {"graph_attributes": (np.bincount(nodes[edges[:, 0] - 1])[1:] / count).tolist()})  # the mean degree
    result = run(settings_of("epochs=80", "lr=0.02", "dataset.task=regression", "dataset.metric=mae"))
    assert result.scores["test_mae"] < result.statistics["chance"] / 2
    assert {"test_mae", "test_r2", "best_val_r2"} <= result.scores.keys()


def test_a_resumed_run_gives_the_same_weights(settings_of: OnGraphs, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings_of("p_drop=0.2", "dropout=0.3", "checkpoint_every=2")
    check_resumed_weights(chosen, CollectionBatches, monkeypatch)


@pytest.mark.parametrize(("rewiring", "counts"), COUNTS.items())
@pytest.mark.parametrize("layers", ["all", "last"])
def test_rewired_graphs(settings_of: OnGraphs, rewiring: str, counts: list[str], layers: str) -> None:
    numbers = [f"rewiring.{count}" for count in counts]
    result = run(settings_of(f"rewiring={rewiring}", f"rewiring.layers={layers}", "epochs=2", "model=gcn", *numbers))
    assert 0 <= result.scores["test_acc"] <= 1 and len(result.curves["dirichlet_energy"]) == 4
    assert result.statistics["rewiring/nodes_added"] == 24 * (rewiring == "virtual_node")


def test_the_animation_has_the_class_of_the_graph_at_every_node(
    settings_of: OnGraphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings_of("tracking.artifacts=[states]", "epochs=1")
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
    run(chosen)
    with np.load(checkpoint_folder(chosen) / STATES) as states:
        assert states["points"].shape[:2] == (4, len(states["y"]))
        assert set(states["y"].tolist()) <= {0, 1}


@pytest.mark.parametrize("memory", ["auto", "checkpoint"])
def test_memory(settings_of: OnGraphs, memory: str) -> None:
    made = experiment(settings_of(f"memory={memory}", "model=gcn"))
    assert made.settings.memory == ("full" if memory == "auto" else memory)
    losses = [float(made.module.training_step(graph, 0)) for graph in made.batches]
    assert all(map(math.isfinite, losses)) and len(losses) == len(made.batches) > 1


REFUSED: list[tuple[list[str], str]] = [
    (["replicas=2"], "replicas need one graph, but graphs has many: leave replicas out"),
    (["loader=cluster"], "loader=cluster needs one graph, but graphs has many: leave it out"),
    (["dataset.pooling=none"], "dataset.pooling must be one of mean, sum, max, got none"),
    (["dataset.batch_size=0"], "dataset.batch_size must be a whole number in [1, 1000000], got 0"),
    (["rewiring=random"], "graph 0 of the set: only "),
    (["dataset.batch_size=1", "norm=batch"], "norm=batch needs two nodes or more in every batch"),
]


@pytest.mark.parametrize(("overrides", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_what_is_refused(settings_of: OnGraphs, folder: Path, overrides: list[str], sentence: str) -> None:
    lonely = tables()
    more = {"graph_indicator": lonely["graph_indicator"] + [25 + k for k in range(9)]}
    more |= {"graph_labels": lonely["graph_labels"] + [1] * 9}
    write(folder, more)  # nine graphs of one node
    with pytest.raises(UserError) as error:
        experiment(settings_of(*overrides))
    assert str(error.value).startswith(sentence)
