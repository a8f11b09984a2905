from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.training.experiment import experiment, read_data

Compose = Callable[..., Settings]
SMALL = ("dataset=csbm", "dataset.nodes=60", "model=gcn", "depth=2", "hidden=4")


def test_the_data_is_shared_by_runs_that_differ_in_split_and_seed(settings: Compose) -> None:
    first, second = (settings(*SMALL, f"split={split}", f"seed={split}") for split in (0, 1))
    data = read_data(first)
    for one in (first, second):
        alone, shared = experiment(one), experiment(one, data)
        assert shared.data is data
        assert alone.data.rewired.data_hash == data.rewired.data_hash
        for part in ("train", "val", "test"):
            assert torch.equal(getattr(alone.graph, part), getattr(shared.graph, part))
        for mine, theirs in zip(alone.module.parameters(), shared.module.parameters(), strict=True):
            assert torch.equal(mine, theirs)
    assert not torch.equal(experiment(first, data).graph.train, experiment(second, data).graph.train)


def test_memory_is_decided_and_the_other_settings_stay(settings: Compose) -> None:
    chosen = settings(*SMALL)
    made = experiment(chosen)
    assert chosen.memory == "auto"
    assert made.settings == replace(chosen, memory="full")
    assert made.module.memory == "full"


def test_a_metric_that_is_undefined_is_refused_before_a_network_is_made(settings: Compose) -> None:
    chosen = settings(*SMALL, "dataset.classes=2", "dataset.metric=roc_auc")
    data = read_data(chosen)
    data = replace(data, dataset=replace(data.dataset, y=torch.ones_like(data.dataset.y)))
    with pytest.raises(UserError, match=r"^ROC-AUC is undefined on the training part"):
        experiment(chosen, data)
