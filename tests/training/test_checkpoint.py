"""Going on with a run: from any point of its life, and only with its own checkpoint."""

import errno
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.tracking import MlflowClient

from depthlab.config.errors import ResumeError, UserError
from depthlab.config.option_types import ModelSettings
from depthlab.config.schema import Settings
from depthlab.files import load_torch, save_torch
from depthlab.graph.graph import Graph
from depthlab.training.checkpoint import read_checkpoint
from depthlab.training.identity import FINAL, LAST, LOCK, checkpoint_folder
from depthlab.training.module import TrainingModule
from depthlab.training.run import run

Compose = Callable[..., Settings]
IDENTITY = {"config_hash": "a", "resume_hash": "b", "data_hash": "c", "code_hash": "d"}


def interrupted(settings: Settings, patch: pytest.MonkeyPatch, where: str) -> None:
    """A run whose disk is full when it comes to `where`."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with patch.context() as scope:
        scope.setattr(where, full)
        with pytest.raises(OSError, match="full"):
            run(settings)
    assert (checkpoint_folder(settings) / LAST).is_file()


STOPS = [
    "+callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping", "+callbacks.stop.monitor=val_loss",
    "+callbacks.stop.patience=3", "+callbacks.stop.min_delta=100",
]  # fmt: skip


@pytest.mark.parametrize(
    "limits",
    [["epochs=9"], ["epochs=300", "patience=3", "lr=0.1"], ["epochs=300", *STOPS]],
    ids=["epochs", "patience", "callback"],
)
@pytest.mark.parametrize("where", ["depthlab.training.run.evaluate", "depthlab.tracking.run.TrackedRun.tag"])
def test_a_run_that_had_trained_to_its_end(
    settings: Compose, monkeypatch: pytest.MonkeyPatch, limits: list[str], where: str
) -> None:
    chosen = settings("model=gcnii", "depth=3", "p_drop=0.2", *limits)
    expected = run(chosen)
    weights = torch.load(checkpoint_folder(chosen) / FINAL, weights_only=True)["state_dict"]

    interrupted(chosen, monkeypatch, where)
    resumed = run(replace(chosen, ckpt="last"))
    again = torch.load(checkpoint_folder(chosen) / FINAL, weights_only=True)["state_dict"]
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    pace = "seconds_per_epoch"
    assert resumed.statistics.pop(pace) > 0 and expected.statistics.pop(pace) > 0
    assert (resumed.scores, resumed.statistics) == (expected.scores, expected.statistics)
    assert resumed.curves == expected.curves

    client = MlflowClient(chosen.tracking.uri)
    curves = {f"layer/{name}": curve for name, curve in resumed.curves.items()}
    for name, curve in {**curves, "epoch/train_loss": [0.0] * int(expected.statistics["epochs_run"])}.items():
        steps = Counter(point.step for point in client.get_metric_history(resumed.run_id, name))
        assert steps == Counter(range(len(curve))), name
    assert len(client.get_metric_history(resumed.run_id, "test_acc")) == 1
    assert client.get_run(resumed.run_id).data.tags["outcome"] == "finished"


def test_dropout_of_torch_continues_in_a_resumed_run(settings: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ModelSettings(name="own", target="tests.training.torch_dropout.TorchDropout")
    chosen = replace(settings("depth=3", "epochs=6", "checkpoint_every=3"), model=model)
    expected = run(chosen)
    plain = TrainingModule.training_graph

    def broken(model: TrainingModule, graph: Graph, step: int) -> Any:
        if step == 4:
            raise OSError(errno.ENOSPC, "full")
        return plain(model, graph, step)

    with monkeypatch.context() as scope:
        scope.setattr(TrainingModule, "training_graph", broken)
        with pytest.raises(OSError, match="full"):
            run(chosen)
    torch.rand(1)
    assert run(replace(chosen, ckpt="last")).scores == expected.scores


def test_a_diverged_run_stays_diverged(settings: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings("depth=2", "epochs=50", "lr=1e30")
    interrupted(chosen, monkeypatch, "depthlab.training.run.evaluate")
    assert run(replace(chosen, ckpt="last")).outcome == "diverged"


def test_only_its_own_checkpoint(settings: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings("depth=2", "epochs=3")
    interrupted(chosen, monkeypatch, "depthlab.training.run.evaluate")
    path = str(checkpoint_folder(chosen) / LAST)
    with pytest.raises(UserError, match="belongs to a run with other settings"):
        run(replace(settings("depth=2", "epochs=3", "lr=0.5"), ckpt=path))
    before = MlflowClient(chosen.tracking.uri).search_runs(["1"])
    assert len(before) == 1
    assert before[0].data.tags["outcome"] == "failed"
    with pytest.raises(UserError, match="not in sqlite"):
        elsewhere = chosen.tracking.store.replace("mlflow.db", "other.db")
        run(replace(chosen, ckpt=path).with_tracking(uri=elsewhere))
    assert run(replace(chosen, ckpt=path)).outcome == "finished"


def test_a_checkpoint_that_was_moved(settings: Compose, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen = settings("depth=2", "epochs=3")
    interrupted(chosen, monkeypatch, "depthlab.training.run.evaluate")
    moved = (checkpoint_folder(chosen) / LAST).rename(tmp_path / "moved.ckpt")
    assert run(replace(chosen, ckpt=str(moved))).outcome == "finished"
    assert moved.is_file()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_what_is_no_checkpoint(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.ckpt"
    if content is None:
        save_torch({"state_dict": {}}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ResumeError, match=r"is (damaged \(it|not a checkpoint of).*: start the run without ckpt$"):
        read_checkpoint(path, IDENTITY)


@pytest.mark.parametrize(("key", "what"), [("resume_hash", "settings"), ("data_hash", "data"), ("code_hash", "code")])
def test_other_settings_and_other_data(tmp_path: Path, key: str, what: str) -> None:
    path = tmp_path / "a.ckpt"
    save_torch({"callbacks": {"Recorder": IDENTITY | {"run_id": "r"}}}, path)
    other_device = IDENTITY | {"config_hash": "x"}
    assert read_checkpoint(path, other_device)["callbacks"]["Recorder"]["run_id"] == "r"
    with pytest.raises(UserError, match=f"other {what}"):
        read_checkpoint(path, IDENTITY | {key: "x"})


def test_a_damaged_checkpoint_is_named_and_the_run_begins_afresh(
    settings: Compose, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = settings("depth=2", "epochs=3")
    interrupted(chosen, monkeypatch, "depthlab.training.run.evaluate")
    last = checkpoint_folder(chosen) / LAST
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    with pytest.raises(ResumeError, match=r"last.ckpt is damaged \(its checksum does not match\): start the"):
        run(replace(chosen, ckpt=str(last)))
    result = run(replace(chosen, ckpt="last"))
    assert f"{last} is damaged (its checksum does not match): the run starts over\n" in capsys.readouterr().err
    assert result.outcome == "finished"
    assert len(MlflowClient(chosen.tracking.uri).search_runs(["1"])) == 2


def test_the_final_checkpoint_stays_until_the_next_one_is_whole(
    settings: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings("depth=2", "epochs=3")
    first = run(chosen)
    final = checkpoint_folder(chosen) / FINAL
    interrupted(chosen, monkeypatch, "depthlab.training.run.evaluate")
    assert load_torch(final)["run_id"] == first.run_id
    assert load_torch(final)["run_id"] != run(replace(chosen, ckpt="last")).run_id
    assert load_torch(final)["run_id"] != first.run_id
    assert sorted(path.name for path in final.parent.iterdir()) == [FINAL, LOCK]


def test_a_run_that_was_deleted_is_not_gone_on_with(settings: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings("depth=2", "epochs=3")
    interrupted(chosen, monkeypatch, "depthlab.training.run.evaluate")
    client = MlflowClient(chosen.tracking.uri)
    (before,) = client.search_runs(["1"])
    client.delete_run(before.info.run_id)
    with pytest.raises(ResumeError, match=f"resume, {before.info.run_id}, was deleted in MLflow: start"):
        run(replace(chosen, ckpt="last"))
    assert run(chosen).outcome == "finished"
