"""Where a run computes."""

from dataclasses import replace

import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.graph.batches import OneGraph
from depthlab.training.device import batches_on, with_available_device
from depthlab.training.run import run
from tests.training.conftest import Compose


def test_without_a_gpu_the_processor_trains_and_a_sentence_says_so(
    settings: Compose, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = run(settings("trainer=gpu", "trainer.threads=1", "model=gcn", "depth=2", "epochs=2"))
    assert result.outcome == "finished"
    assert capsys.readouterr().err == "there is no GPU here that PyTorch can use: training on the processor\n"


def test_as_many_gpus_as_processes(settings: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    chosen = settings("trainer=gpu")
    assert with_available_device(chosen) == chosen
    chosen = replace(chosen, trainer=replace(chosen.trainer, devices=2))
    with pytest.raises(UserError, match=r"^trainer\.devices=2 needs as many GPUs, this machine has 1$"):
        with_available_device(chosen)


def test_one_graph_stays_on_the_device_and_others_travel(settings: Compose) -> None:
    from depthlab.data.prepare import load
    from depthlab.data.rewire import rewire

    chosen = settings("model=gcn")
    batches = rewire(*load(chosen.dataset), chosen).batches
    moved = batches_on(batches, torch.device("meta"))
    assert isinstance(moved, OneGraph)
    (graph,) = moved
    assert {graph.y.device.type, graph.adjacency.values.device.type, graph.train.device.type} == {"meta"}
    assert graph.to("meta") is graph
    assert batches.probe.y.device.type == "cpu"
