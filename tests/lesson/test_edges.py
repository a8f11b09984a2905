"""The edges of DropEdge, drawn again."""

from pathlib import Path
from typing import Any

import pytest

from depthlab.api.train import train
from depthlab.config.compose import compose_settings
from depthlab.graph.drop_edge import active_edges
from depthlab.lesson.edges import dropped_edges
from depthlab.training.module import TrainingModule

TYPED = ["dataset=csbm", "dataset.nodes=120", "model=gcn", "depth=3", "p_drop=0.3", "epochs=6", "progress=false"]


@pytest.mark.parametrize("more", [[], ["seed=3", "drop_edge.mode=rescale"]])
def test_they_are_the_edges_of_the_training(more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    seen, original = [], TrainingModule.training_graph

    def watched(self: TrainingModule, *args: Any) -> Any:
        graphs = original(self, *args)
        if self._trainer:  # in training, not where `active_edges` of the run is counted
            seen.append(active_edges(graphs.at(0)))
        return graphs

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_graph", watched)
        run = train(overrides=[*TYPED, *more, "tracking.artifacts=[]", "logger=csv"])
    edges = dropped_edges(compose_settings([*TYPED, *more]), 6)
    assert len(set(edges.active)) > 1
    assert edges.base == run.statistics["base_edges"]
    assert edges.active[0] == run.statistics["active_edges"]
    assert edges.active == seen[:6]
