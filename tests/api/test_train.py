"""`dl.train`: the record of the command, and errors in a sentence."""

import logging
import math
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow.tracking import MlflowClient

import depthlab as dl
from depthlab.config.compose import compose_settings
from depthlab.config.settings import config_hash
from tests.api.conftest import Train
from tests.conftest import Command

TYPED = ("model=gcn", "depth=3", "dataset=csbm", "epochs=5", "progress=false", "dataset.nodes=120")


def test_the_record_equals_that_of_the_command(train: Train, command: Command, tmp_path: Path) -> None:
    run = train()
    done = command("train", *TYPED, "tracking.artifacts=[model]")
    assert done.code == 0, done.err
    client = MlflowClient(run.uri)
    recorded = client.search_runs(["1"])
    ours, typed = recorded[1].data, recorded[0].data
    assert recorded[1].info.run_id == run.run_id
    for tag in ("config_hash", "data_hash", "code_hash", "command_line", "overrides", "recipe", "verdict"):
        assert ours.tags[tag] == typed.tags[tag], tag
    assert ours.params == typed.params
    assert ours.metrics == typed.metrics
    assert ours.tags["config_hash"] == config_hash(compose_settings(list(TYPED)))
    assert ours.metrics["test_acc"] == run.test_acc


def test_what_a_run_returns(train: Train) -> None:
    run = train(measures=["dirichlet_energy"])
    assert (run.name, run.outcome, run.metric) == ("csbm-gcn-d3-s0-split0-nodes120-epochs5", "finished", "acc")
    assert (
        run.url.endswith(f"/runs/{run.run_id}?workflowType=machine_learning")
        and run.settings["dataset"]["nodes"] == 120
    )
    assert list(run.to_frame().index) == [0, 1, 2, 3]
    assert run.to_frame()["dirichlet_energy"].tolist() == run.curves["dirichlet_energy"]
    assert repr(run).startswith(f"{run.name}: finished after 5 epochs") and run.verdict in repr(run)
    assert "<table" in run._repr_html_()
    assert len(run.plot().axes) == len(run.to_frame().columns)
    assert run.plot()._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_a_run_that_only_another_logger_records(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = train(logger="csv")
    assert (run.uri, run.url) == ("", "") and run.run_id.startswith("local-")
    assert dl.load(run.checkpoint).predict().output.shape == (120, 2)


def test_a_metric_other_than_accuracy(train: Train) -> None:
    run = train(**{"dataset.metric": "roc_auc", "metrics": []})
    assert 0 <= run.scores["test_roc_auc"] <= 1 and math.isnan(run.test_acc)


def test_settings_of_every_type(train: Train, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'other.db'}"
    run = train(
        depth=np.int64(2), p_drop=0.2, drop_edge={"per_layer": True}, split=3, ckpt=None,
        tracking={"uri": uri, "artifacts": ("config",)}, overrides=["lr=0.02"],
    )  # fmt: skip
    assert run.uri == uri
    assert (run.settings["depth"], run.settings["lr"], run.settings["drop_edge"]["per_layer"]) == (2, 0.02, True)
    assert (run.settings["split"], run.settings["tracking"]["artifacts"]) == ("3", ["config"])


def test_the_state_of_the_process_is_restored(train: Train) -> None:
    torch.set_flush_denormal(False)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    threads, filters = torch.get_num_threads(), list(warnings.filters)
    loggers = [logging.getLogger(name) for name in ("mlflow", "pytorch_lightning")]
    for logger in loggers:
        logger.setLevel(logging.INFO)
    random_state = torch.get_rng_state()
    run = train(**{"trainer.threads": 2})
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert [logger.level for logger in loggers] == [logging.INFO] * 2
    assert torch.equal(torch.get_rng_state(), random_state)
    dl.load(run.run_id)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.get_num_threads() == threads and warnings.filters == filters
    assert float(torch.tensor([1e-40]) * 1.0) > 0  # denormal numbers


def test_a_run_without_a_checkpoint_is_not_resumed(train: Train) -> None:
    with pytest.raises(dl.UserError, match="start the run without ckpt=last"):
        train(ckpt="last")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"modle": "gcn"}, "there is no setting modle: did you mean model"),
        ({"model": "gcm"}, "there is no model gcm: choose one of acmp, "),
        ({"depth": "abc"}, "depth must be a whole number in [1, 100000], got abc"),
        ({"dataset": "npz", "dataset.nodes": None}, "there is no setting dataset.nodes"),
        ({"tracking": {"uri": "foo"}}, "tracking.uri must begin with sqlite:///"),
        ({"replicas": 3}, "dl.train trains one run: leave replicas out, and call it once for each seed"),
        ({"overrides": ["x"]}, "cannot read 'x': write key=value"),
        (
            {"loader": "cluster", "trainer": "ddp", "drop_edge.mode": "rescale"},
            "dl.train trains in this process: use torchrun and `depthlab train` for trainer=ddp",
        ),
    ],
)
def test_wrong_input_raises_one_sentence(
    train: Train, settings: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranks = {"TORCHELASTIC_RUN_ID": "0", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    for name, value in ranks.items() if "trainer" in settings else ():
        monkeypatch.setenv(name, value)
    with pytest.raises(dl.UserError) as error:
        train(**settings)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)
