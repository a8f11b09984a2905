"""What is recorded of a run: curves, scores, files, what a rewiring did, and of tasks on many graphs."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.settings import flatten, to_dict
from depthlab.data.prepare import load
from depthlab.data.rewire import rewire
from depthlab.tasks.task import make_task
from depthlab.training.build import build_model
from depthlab.training.gradients import training_gradient_norms
from depthlab.training.identity import checkpoint_folder
from depthlab.training.run import run
from tests.training.conftest import CURVES, REWIRED, TREE, Compose, history


def test_the_record_keeps_the_contract_of_metric_names(settings: Compose) -> None:
    chosen = settings("model=gcnii", "depth=3", "epochs=7", "p_drop=0.3")
    result = run(chosen, {"depth": "command line"})
    for name in ("train_loss", "train_acc", "val_loss", "val_acc"):
        assert [step for step, _ in history(chosen, result.run_id, f"epoch/{name}")] == list(range(7)), name
    for name in CURVES:
        assert [step for step, _ in history(chosen, result.run_id, f"layer/{name}")] == [0, 1, 2, 3], name
    for name in ("test_acc", "best_val_acc"):
        assert len(history(chosen, result.run_id, name)) == 1, name
    recorded = MlflowClient(chosen.tracking.uri).get_run(result.run_id)
    once = {"best_epoch", "epochs_run", "seconds_per_epoch", "base_edges", "active_edges", "edge_homophily"}
    once |= {"chance", "chance_test"}
    assert once == result.statistics.keys() and not once & recorded.data.metrics.keys()
    assert {name: float(recorded.data.tags[name]) for name in once} == result.statistics
    assert recorded.info.run_name == "csbm-gcnii-d3-s0-split0-nodes120-epochs7-pdrop0.3"
    assert recorded.info.status == "FINISHED"
    assert recorded.data.tags["outcome"] == result.outcome == "finished"
    assert recorded.data.tags["command_line"] == "depth=3"
    assert recorded.data.params == {key: str(value) for key, value in flatten(to_dict(chosen)).items()}
    assert 0 < result.statistics["active_edges"] < result.statistics["base_edges"]


def test_gradients_are_recorded_before_the_first_step_after_the_first_epoch_and_at_the_end(settings: Compose) -> None:
    chosen = settings("model=gcn", "depth=3", "epochs=2", "dropout=0.5")
    result = run(chosen)
    dataset, data_hash = load(chosen.dataset)
    graph = rewire(dataset, data_hash, chosen).graph
    untrained = build_model(chosen, graph, make_task(chosen, dataset))
    at_start = training_gradient_norms(untrained, graph)
    assert result.curves["gradient_norm_at_start"] == pytest.approx(at_start, rel=1e-6)
    assert result.curves["gradient_norm_first_epoch"] != pytest.approx(at_start, rel=1e-3)


def test_artifacts_and_final_checkpoint(settings: Compose, tmp_path: Path) -> None:
    chosen = settings("depth=2", "epochs=3", "tracking.artifacts=[config,figures,model]")
    result = run(chosen, {"depth": "command line"})
    client = MlflowClient(chosen.tracking.uri)
    names = {item.path for item in client.list_artifacts(result.run_id)}
    expected = {"config.yaml", "provenance.yaml", "layers.png", "layers.html", "model"}
    assert names == expected
    final = torch.load(checkpoint_folder(chosen) / "final.ckpt", weights_only=True)
    assert final["config"] == to_dict(chosen)
    assert final["run_id"] == result.run_id
    assert (final["inputs"], final["outputs"], final["unit_rows"]) == (64, 2, False)
    assert final["options"]["model"] == "gcnii" and final["gradients"]["gradient_norm_first_epoch"]
    assert not (checkpoint_folder(chosen) / "last.ckpt").exists()


def test_roc_auc_is_recorded_for_two_classes(settings: Compose) -> None:
    chosen = settings("depth=2", "epochs=3")
    chosen = replace(chosen, dataset=replace(chosen.dataset, metric="roc_auc"))
    result = run(chosen)
    assert 0 <= result.scores["test_roc_auc"] <= 1
    assert len(history(chosen, result.run_id, "epoch/val_roc_auc")) == 3


def test_what_a_rewiring_did_is_recorded(settings: Compose) -> None:
    plain = run(settings(*REWIRED))
    chosen = settings(*REWIRED, "rewiring=random", "rewiring.num_edges=9")
    result = run(chosen)
    found = MlflowClient(chosen.tracking.uri).get_run(result.run_id)
    assert found.data.tags["rewiring"] == "random"
    assert found.info.run_name == "csbm-gcn-d3-s0-split0-random-nodes60-epochs4-numedges9"
    tags = {
        key: float(value) for key, value in found.data.tags.items() if key.startswith(("rewiring/", "base", "edge"))
    }
    assert (tags["rewiring/edges_added"], tags["rewiring/edges_removed"]) == (9, 0)
    assert tags["rewiring/edges_before"] == plain.statistics["base_edges"] == tags["base_edges"] - 9
    assert tags["edge_homophily"] == plain.statistics["edge_homophily"] == tags["rewiring/homophily_before"]
    assert not [name for name in plain.scores if "rewiring" in name]
    of_x = plain.curves["dirichlet_energy"][0]
    assert result.curves["dirichlet_energy"][0] == pytest.approx(of_x, rel=1e-12)  # over the same edges
    recorded = MlflowClient(chosen.tracking.uri).get_run(plain.run_id).data.tags
    assert recorded["rewiring"] == "none"
    assert recorded["data_hash"] != found.data.tags["data_hash"]


def test_edges_are_dropped_from_the_graph_of_the_first_layers(settings: Compose) -> None:
    last = run(settings(*REWIRED, "rewiring=random", "rewiring.layers=last", "p_drop=0.4")).statistics
    everywhere = run(settings(*REWIRED, "rewiring=random", "p_drop=0.4")).statistics
    assert last["base_edges"] == last["rewiring/edges_before"] == everywhere["base_edges"] - 50
    assert 0 < last["active_edges"] < last["base_edges"]
    assert 0 < everywhere["active_edges"] < everywhere["base_edges"]


def test_a_run_whose_states_outgrow_the_step_says_which_would_have_held(settings: Compose) -> None:
    typed = [
        "dataset=digits",
        "model=acmp",
        "depth=4",
        "epochs=50",
        "progress=false",
        "trainer.threads=1",
        "measures=[]",
    ]
    tracking = settings().tracking
    with pytest.raises(UserError, match="this holds for the weights at the start"):
        run(replace(compose_settings(typed), tracking=tracking))
    result = run(replace(compose_settings([*typed, "dropout=0"]), tracking=tracking))
    assert result.outcome == "diverged" and 30 < result.statistics["epochs_run"] < 50
    assert 0.1 < result.statistics["stable_step_size"] < 0.25 and result.statistics["broke_from_max_abs"] > 2
    assert "training had enlarged them to |x|=" in result.diagnosis.evidence
    assert "rk4 needs model.step_size=0.1" in result.diagnosis.evidence


def test_a_virtual_node_is_measured_and_scored_nowhere(settings: Compose) -> None:
    result = run(settings(*REWIRED, "rewiring=virtual_node"))
    assert result.outcome == "finished"
    assert result.statistics["rewiring/nodes_added"] == 1
    assert result.statistics["base_edges"] == result.statistics["rewiring/edges_before"] + 60
    plain = run(settings(*REWIRED))
    of_x = plain.curves["dirichlet_energy"][0]
    assert result.curves["dirichlet_energy"][0] == pytest.approx(of_x, rel=1e-12)
    assert (16 * result.scores["test_acc"]) % 1 == pytest.approx(0, abs=1e-5)  # of the sixteen nodes of the split


def test_a_flow_that_overflows_is_a_result_with_its_time_and_the_states_before(settings: Compose) -> None:
    knobs = "repulsion=3", "well=off", "stability_check=off", "step_size=0.5"
    chosen = settings("model=acmp", "depth=60", "epochs=5", *(f"model.{knob}" for knob in knobs))
    result = run(chosen)
    assert result.outcome == result.diagnosis.verdict == "diverged"
    assert 0 < result.statistics["broke_at_time"] < result.statistics["time"] == 30.0
    assert result.diagnosis.evidence.endswith(f"states overflowed at t={result.statistics['broke_at_time']:g}")
    assert "test_acc" not in result.scores
    energy = result.curves["dirichlet_energy"]
    assert 0 < energy[0] < energy[1] < energy[2]
    assert result.statistics["function_evaluations"] == 4 * 60


def test_a_run_on_many_graphs_records_what_one_on_one_graph_does(tasks: Compose) -> None:
    chosen = tasks(*TREE, "model=gcnii", "depth=3", "p_drop=0.2", "dataset.batch_size=16")
    result = run(chosen)
    for name in ("train_loss", "train_acc", "val_loss", "val_acc"):
        assert [step for step, _ in history(chosen, result.run_id, f"epoch/{name}")] == list(range(4)), name
    for name in CURVES:
        assert [step for step, _ in history(chosen, result.run_id, f"layer/{name}")] == [0, 1, 2, 3], name
        assert all(math.isfinite(value) for value in result.curves[name]), name
    for name in ("test_acc", "best_train_acc", "best_val_acc"):
        assert 0 <= result.scores[name] <= 1
    assert result.statistics["task_range"] == 2 and "edge_homophily" not in result.statistics
    assert "hops away" not in result.diagnosis.evidence
    losses = [value for _, value in history(chosen, result.run_id, "epoch/val_loss")]
    assert result.scores["best_val_loss"] == pytest.approx(min(losses), rel=1e-6)


def test_a_network_that_is_too_shallow_for_the_task_is_reported(tasks: Compose) -> None:
    result = run(tasks(*TREE, "model=gcn", "depth=1"))
    assert result.diagnosis.evidence.endswith("; the answer stands 2 hops away, the network has depth 1")
    assert result.scores["test_acc"] < 0.7


def test_mlflow_stores_the_dataset_and_system_metrics(settings: Compose) -> None:
    chosen = settings("model=gcn", "depth=2", "epochs=2", "split=1", "tracking.system_metrics=true")
    stored = MlflowClient(chosen.tracking.uri).get_run(run(chosen).run_id)
    (used,) = stored.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("csbm", stored.data.tags["data_hash"])
    assert len(used.dataset.digest) <= 36 and "depthlab.data.csbm.make_csbm" in used.dataset.source
    assert [(tag.key, tag.value) for tag in used.tags] == [("mlflow.data.context", "split 1")]
    assert "system/cpu_utilization_percentage" in stored.data.metrics


def test_system_metrics_are_recorded_on_request(settings: Compose) -> None:
    chosen = settings("model=gcn", "depth=2", "epochs=2")
    metrics = MlflowClient(chosen.tracking.uri).get_run(run(chosen).run_id).data.metrics
    assert not any(name.startswith("system/") for name in metrics)
