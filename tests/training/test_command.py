"""The command line: every shipped config for an epoch, killed and resumed, interrupted, multirun."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from mlflow.tracking import MlflowClient

from depthlab.folders import CONF
from tests.conftest import Command, npz_arrays, write_planetoid
from tests.settings import ARCHITECTURES
from tests.training.conftest import Train, command_line

REWIRINGS = sorted(path.stem for path in (CONF / "rewiring").glob("*.yaml"))
QUICK = ("dataset=csbm", "dataset.nodes=120", "progress=false", "tracking.artifacts=[config]")
LONG = (
    "dataset=csbm",
    *QUICK[2:],
    "model=gcnii",
    "depth=4",
    "p_drop=0.2",
    "epochs=400",
    "patience=400",
    "checkpoint_every=20",
)
RING = ("dataset=ring_transfer", "dataset.train_graphs=60", "dataset.test_graphs=10", "dataset.batch_size=16")
MANY_GRAPHS = (*LONG, *RING, "dropout=0.2", "epochs=100")


def client(workshop: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{workshop / 'mlflow.db'}")


def weights(workshop: Path) -> dict[str, torch.Tensor]:
    (path,) = workshop.glob("checkpoints/*/final.ckpt")
    content: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return content


def wait_for_checkpoint(process: "subprocess.Popen[str]", workshop: Path) -> None:
    deadline = time.monotonic() + 120
    while not list(workshop.glob("checkpoints/*/last.ckpt")):
        assert process.poll() is None, "the run ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_every_model_trains_from_the_command_line(train_here: Command, records: MlflowClient) -> None:
    done = train_here(*QUICK, f"model={','.join(ARCHITECTURES)}", "epochs=1", "depth=3", "-m")
    assert done.code == 0, done.err
    runs = records.search_runs(["1"])
    assert sorted(run.data.tags["model"] for run in runs) == ARCHITECTURES
    assert {run.data.tags["outcome"] for run in runs} == {"finished"}
    for name in ARCHITECTURES:
        assert f"csbm-{name}-d3-s0-split0-nodes120-epochs1: finished after 1 epoch," in done.out


@pytest.mark.slow
def test_every_rewiring_trains_from_the_command_line(
    train_here: Command, records: MlflowClient, tmp_path: Path
) -> None:
    small = ("model=gcn", "depth=3", "epochs=1", "measures=[]")
    done = train_here(*QUICK, *small, f"rewiring={','.join(REWIRINGS)}", "-m")
    assert done.code == 0, done.err
    runs = records.search_runs(["1"])
    assert sorted(run.data.tags["rewiring"] for run in runs) == REWIRINGS
    assert len({run.data.tags["data_hash"] for run in runs}) == len(REWIRINGS)
    for run in runs:
        rewired = run.data.tags["rewiring"] != "none"
        assert run.data.tags["outcome"] == "finished"
        assert any(name.startswith("rewiring/") for name in run.data.tags) == rewired
    kept = {path.name.rpartition("-")[0] for path in (tmp_path / "prepared" / "rewired").glob("*.pt")}
    assert kept == {f"csbm-{name}" for name in REWIRINGS if name != "none"}


@pytest.mark.slow
def test_every_dataset_trains_from_the_command_line(
    train_here: Command, records: MlflowClient, project: Path, write_list: Callable[[Path], None]
) -> None:
    in_guide = {"csv", "ogb", "pt", "tu"}  # tests/docs/test_graphs.py trains them on files of their formats
    names = sorted({path.stem for path in (CONF / "dataset").glob("*.yaml")} - in_guide)
    for name in names:
        config = yaml.safe_load((CONF / "dataset" / f"{name}.yaml").read_text())
        if "planetoid" in config["_target_"]:
            write_planetoid(project / "data" / "planetoid", name, absent=())
        elif "files" in config:
            arrays: dict[str, Any] = npz_arrays()
            arrays["node_labels"] %= 2 if config["metric"] == "roc_auc" else 3
            np.savez(project / "data" / config["files"][0], **arrays)
    np.savez(project / "own.npz", **arrays)
    own = {"x": arrays["node_features"], "edge_index": arrays["edges"].T, "y": arrays["node_labels"]}
    own |= {part: arrays[f"{part}_masks"] for part in ("train", "val", "test")}
    (project / "own").mkdir()
    for name, array in own.items():
        np.save(project / "own" / f"{name}.npy", array)
    write_list(project)

    small = ("depth=2", "hidden=8", "epochs=1", "progress=false", "tracking.artifacts=[config]", "measures=[]")
    needs = {
        "npz": [f"dataset.path={project}/own.npz", "split=3"],
        "folder": [f"dataset.path={project}/own"],
        "sbm_large": ["dataset.nodes=900"],
        "pyg": ["dataset.name=KarateClub"],
    }
    done = train_here(*small, f"dataset={','.join(name for name in names if name not in needs)}", "-m")
    assert done.code == 0, done.err
    for name, typed in needs.items():
        alone = train_here(*small, f"dataset={name}", *typed)
        assert alone.code == 0, alone.err
        assert alone.err.count("own has no recipe, and its features are used") == ("path" in typed[0])
    runs = records.search_runs(["1"])
    known = {"npz": "own", "folder": "own", "pyg": "KarateClub"}  # named by their file or class
    assert sorted(run.data.tags["dataset"] for run in runs) == sorted(known.get(name, name) for name in names)
    assert {run.data.tags["outcome"] for run in runs} == {"finished"}
    assert len({run.data.tags["data_hash"] for run in runs}) == len(names)
    with_auc = {run.data.tags["dataset"] for run in runs if "test_roc_auc" in run.data.metrics}
    assert with_auc == {"minesweeper", "questions", "tolokers"}


@pytest.mark.slow
def test_a_gcn_learns_the_smallest_tree_by_heart(train_here: Command, records: MlflowClient) -> None:
    tree = ("dataset=tree_neighbors_match", "dataset.radius=2", "dataset.batch_size=16", "monitor=train_acc")
    network = ("model=gcn", "depth=4", "hidden=32", "norm=layer", "dropout=0", "weight_decay=0", "recipe=none")
    done = train_here(
        *tree, *network, "lr=0.005", "epochs=300", "patience=60", "progress=false", "tracking.artifacts=[]"
    )
    assert done.code == 0, done.err
    (run,) = records.search_runs(["1"])
    assert run.data.metrics["best_train_acc"] == 1


def test_a_failing_job_of_a_multirun_does_not_stop_the_others(train_here: Command, records: MlflowClient) -> None:
    done = train_here(*QUICK, "model=gcn", "-m", "depth=2,0,3", "epochs=1")
    assert done.code == 1
    assert "error: depth must be a whole number in [1, 100000], got 0" in done.err
    assert "Traceback" not in done.err
    assert {run.data.tags["depth"] for run in records.search_runs(["1"])} == {"2", "3"}


def test_the_short_result_says_what_a_person_wants_to_know(train: Train, workshop: Path, empty_store: Path) -> None:
    """By the command itself, in a process of its own."""
    shutil.copy(empty_store, workshop / "mlflow.db")
    done = train(*QUICK, "model=gcn", "depth=2", "epochs=2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for words in ("validation ", "test ", "by layer ", "ms an epoch", "mlflow.db, run ", "depthlab ui", "  next  "):
        assert words in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "epochs"), [(LONG, 400), (MANY_GRAPHS, 100)], ids=["one graph", "many graphs"])
def test_a_killed_run_goes_on_to_the_same_weights(
    train: Train, workshop: Path, environment: dict[str, str], typed: tuple[str, ...], epochs: int
) -> None:
    assert train(*typed).returncode == 0
    expected = weights(workshop)
    for path in workshop.glob("checkpoints/*/*"):
        path.unlink()

    process = subprocess.Popen(
        command_line(*typed), cwd=workshop, env=environment, stdout=subprocess.DEVNULL, text=True
    )
    wait_for_checkpoint(process, workshop)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(workshop.glob("checkpoints/*/final.ckpt"))

    done = train(*typed, "ckpt=last")
    assert done.returncode == 0, done.stderr
    resumed = weights(workshop)
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    runs = client(workshop).search_runs(["1"])
    assert [run.data.tags["outcome"] for run in runs] == ["finished", "finished"]
    for run in runs:
        for metric in ("epoch/train_loss", "epoch/val_acc"):
            steps = [point.step for point in client(workshop).get_metric_history(run.info.run_id, metric)]
            assert sorted(steps) == list(range(epochs)), metric


@pytest.mark.slow
def test_ctrl_c_closes_the_run_and_says_how_to_go_on(workshop: Path, environment: dict[str, str]) -> None:
    command = command_line(*LONG, "epochs=100000", "patience=100000")
    process = subprocess.Popen(
        command, cwd=workshop, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for_checkpoint(process, workshop)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "go on with the same command and ckpt=last" in errors
    assert "Traceback" not in errors
    (run,) = client(workshop).search_runs(["1"])
    assert (run.info.status, run.data.tags["outcome"]) == ("KILLED", "interrupted")


@pytest.mark.slow
def test_real_cora_trains(real_cora: Path, train: Train, workshop: Path) -> None:
    (workshop / "data").symlink_to(real_cora.parent)
    done = train("progress=false", "model=gcn", "epochs=120", "tracking.artifacts=[config]")
    assert done.returncode == 0, done.stderr
    (run,) = client(workshop).search_runs(["1"])
    assert run.data.tags["recipe"] == "published/cora-gcn"
    assert run.data.metrics["test_acc"] > 0.78
