"""Where a run computes, and that a captured run is the ordinary one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.graph.batches import OneGraph
from depthlab.training.callbacks import Evaluation
from depthlab.training.device import batches_on, on_what_is_here
from depthlab.training.identity import checkpoint_folder
from depthlab.training.run import run
from tests.training.conftest import Compose, history


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
    assert on_what_is_here(chosen) == chosen
    chosen["trainer"]["devices"] = 2
    with pytest.raises(UserError, match=r"^trainer\.devices=2 needs as many GPUs, this machine has 1$"):
        on_what_is_here(chosen)


@pytest.mark.parametrize("typed", [[], ["norm=batch", "model=gcn", "drop_edge.per_layer=true"]])
def test_a_captured_run_is_the_ordinary_one(
    settings: Compose, monkeypatch: pytest.MonkeyPatch, typed: list[str]
) -> None:
    recordings = []

    def record(function: Callable[[], object], generators: list[torch.Generator]) -> Callable[[], object]:
        recordings.append(function)
        return function

    chosen = settings("model=gcnii", "depth=4", "p_drop=0.2", "epochs=9", *typed)
    expected = run(chosen)
    final = Path(checkpoint_folder(chosen) / "final.ckpt")
    weights = torch.load(final, weights_only=True)["state_dict"]
    monkeypatch.setattr("depthlab.ops.capture.cuda_graph", record)
    monkeypatch.setattr("depthlab.training.fit.may_capture", lambda *_: True)
    captured = run(chosen)
    again = torch.load(final, weights_only=True)["state_dict"]
    assert len(recordings) == 1
    for name in ("train_loss", "val_loss"):
        assert history(chosen, captured.run_id, name) == history(chosen, expected.run_id, name)
    assert all(torch.equal(again[name], weights[name]) for name in weights)


def test_a_run_that_began_on_the_processor_goes_on_captured(settings: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings("model=gcnii", "depth=4", "p_drop=0.2", "epochs=12", "checkpoint_every=3")
    expected = run(chosen)
    final = checkpoint_folder(chosen) / "final.ckpt"
    weights = torch.load(final, weights_only=True)["state_dict"]
    evaluate = Evaluation.on_train_epoch_end

    def fail(self: Evaluation, trainer: Any, model: Any) -> None:
        if trainer.current_epoch == 4:
            raise OSError("the power was cut")
        evaluate(self, trainer, model)

    with monkeypatch.context() as scope, pytest.raises(OSError, match="power"):
        scope.setattr(Evaluation, "on_train_epoch_end", fail)
        run(chosen)
    monkeypatch.setattr("depthlab.ops.capture.cuda_graph", lambda function, _: function)
    monkeypatch.setattr("depthlab.training.fit.may_capture", lambda *_: True)
    resumed = run(chosen | {"ckpt": "last"})
    assert history(chosen, resumed.run_id, "train_loss") == history(chosen, expected.run_id, "train_loss")
    again = torch.load(final, weights_only=True)["state_dict"]
    assert all(torch.equal(again[name], weights[name]) for name in weights)


def test_one_graph_stays_on_the_device_and_others_travel(settings: Compose) -> None:
    from depthlab.data.prepare import load
    from depthlab.data.rewire import rewire

    chosen = settings("model=gcn")
    batches = rewire(*load(chosen["dataset"]), chosen).batches
    moved = batches_on(batches, torch.device("meta"))
    assert isinstance(moved, OneGraph)
    (graph,) = moved
    assert {graph.y.device.type, graph.adjacency.values.device.type, graph.train.device.type} == {"meta"}
    assert graph.to("meta") is graph
    assert batches.probe.y.device.type == "cpu"
