"""The result of a run: open its record, test the best state once, measure it, and record everything."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from depthlab.config.schema import MLFLOW, OPTION_GROUPS, Settings
from depthlab.config.settings import flatten, to_dict
from depthlab.data.class_names import class_names
from depthlab.files import save_torch
from depthlab.graph.batches import Batches
from depthlab.graph.drop_edge import active_edges
from depthlab.graph.statistics import edge_homophily
from depthlab.measures.diagnosis import Diagnosis, diagnose
from depthlab.measures.layers import layer_measures
from depthlab.measures.registry import MEASURES
from depthlab.nn.execution import states
from depthlab.ops.features import has_unit_rows
from depthlab.tracking.model import record_model
from depthlab.tracking.record import LOCAL, CombinedRecord
from depthlab.tracking.run import TrackedRun
from depthlab.training.animation import save_states
from depthlab.training.callbacks import Training
from depthlab.training.experiment import Experiment
from depthlab.training.gradients import training_gradient_norms
from depthlab.training.identity import FINAL, LAST, STATES, checkpoint_folder, tags
from depthlab.training.module import TrainingModule
from depthlab.training.run_name import run_name
from depthlab.training.squashing import measures_by_hop

AT_THE_BEGINNING = ("gradient_norm_at_start", "gradient_norm_first_epoch")


@dataclass
class Result:
    """The result of a run.

    Attributes:
        name: the run's name.
        outcome: `finished` or `diverged`.
        uri, experiment_id, run_id: where it is recorded.
        scores: `best_...` and `test_...` of the selected epoch.
        curves: each measure by layer or by hop.
        statistics: the other numbers that are recorded once, as tags.
        diagnosis: the verdict and its evidence.
        metric: name of the reported metric.
        locations: name and folder of each logger other than MLflow.
    """

    name: str
    outcome: str
    uri: str
    experiment_id: str
    run_id: str
    scores: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    statistics: dict[str, float] = field(default_factory=dict)
    diagnosis: Diagnosis = field(default_factory=lambda: Diagnosis("unknown", "not measured yet"))
    metric: str = "acc"
    locations: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, record: "TrackedRun | CombinedRecord") -> "Result":
        """An empty result for a run that is being recorded."""
        uri, experiment_id = record.uri, record.experiment_id
        return cls(record.name, "finished", uri, experiment_id, record.run_id, locations=record.locations)


def open_run(
    settings: Settings,
    provenance: Mapping[str, str],
    more: dict[str, str],
    content: dict[str, Any] | None,
    background: bool = False,
) -> TrackedRun:
    """Open the record of a run, that of a checkpoint's `content` if there is one; `more` are additional tags."""
    tracked = TrackedRun(
        settings.tracking.store,
        settings.tracking.experiment,
        run_name(settings),
        flatten(to_dict(settings)),
        tags(settings, provenance) | more,
        run_id=mlflow_run_id(content) if content else None,
        checkpoint=checkpoint_folder(settings) / LAST,
        system_metrics=settings.tracking.system_metrics,
        background=background,
    )
    if not tracked.resumed:
        dataset, split = settings.dataset, f"split {settings.split_name}"
        source = ("local", str(dataset.path)) if dataset.is_own else ("code", dataset.target)
        tracked.dataset(dataset.label, more["data_hash"], *source, split)
    return tracked


def combined_record(
    tracked: TrackedRun | None,
    settings: Settings,
    provenance: Mapping[str, str],
    more: dict[str, str],
    content: dict[str, Any] | None,
) -> TrackedRun | CombinedRecord:
    """Open the records of a run in loggers, and combine them with its record in MLflow, if any.

    Raises:
        UserError: a logger cannot be opened; the run in MLflow is closed as failed.
    """
    others = {name: option for name, option in settings.logger.items() if option.target != MLFLOW}
    if tracked and not others:
        return tracked
    from depthlab.tracking.loggers import open_loggers

    saved = str(content["callbacks"]["Recorder"]["run_id"]) if content else ""
    run_id = tracked.run_id if tracked else saved or f"{LOCAL}{uuid.uuid4().hex}"
    name, params = run_name(settings), flatten(to_dict(settings))
    try:
        records = open_loggers(others, name, run_id, bool(content), params, tags(settings, provenance) | more)
    except Exception as error:
        if tracked:
            tracked.abandon("FAILED", "failed", f"{type(error).__name__}: {error}")
        raise
    return CombinedRecord(name, run_id, tracked, records)


def mlflow_run_id(content: dict[str, Any]) -> str | None:
    """ID of the MLflow run of a checkpoint; None if MLflow did not record it."""
    run_id = str(content["callbacks"]["Recorder"]["run_id"])
    return None if run_id.startswith(LOCAL) else run_id


def describe(tracked: TrackedRun | CombinedRecord, settings: Settings, provenance: Mapping[str, str]) -> None:
    """Store the settings and their provenance, if `tracking.artifacts` contains `config`."""
    if "config" in settings.tracking.artifacts:
        tracked.text(yaml.safe_dump(to_dict(settings), sort_keys=False), "config.yaml")
        tracked.text(yaml.safe_dump(dict(provenance), sort_keys=False), "provenance.yaml")


def evaluate(fit: Training, model: TrainingModule, batches: Batches, measures: list[str], result: Result) -> None:
    """Measure the gradients of the last weights, then test the best weights once and measure their states by layer.

    For a diverged run, the best weights before the divergence, or the initial ones, are measured and nothing is tested.
    `base_edges` and `active_edges` count the edges of the first layer, after a rewiring; the measures by layer and
    `edge_homophily` are those of the original graph, so that rewirings can be compared.
    """
    best, graph, epochs = fit.best, batches.probe, len(fit.recorder.history)
    result.curves["gradient_norm"] = training_gradient_norms(model, graph)
    model.load_state_dict(best.weights)
    model.eval()
    if best.diverged:
        result.outcome = "diverged"
    else:
        with torch.inference_mode():
            model.test_step(batches.all_parts)
        for name, value in model.scores.items():
            result.scores[name if name.startswith("test") else f"best_{name}"] = float(value)
        result.statistics |= {"best_epoch": best.epoch, "chance_test": model.chance_test}
    result.statistics |= {
        "epochs_run": epochs,
        "seconds_per_epoch": fit.recorder.seconds / epochs,
        "base_edges": graph.layers.at(0).num_edges,
        "active_edges": active_edges(model.training_graph(graph, 0).at(0)),
    }
    if batches.task_range is None and graph.ptr is None and not graph.y.is_floating_point():
        result.statistics["edge_homophily"] = edge_homophily(graph.edge_index, graph.y)
    if batches.task_range is not None:
        result.statistics["task_range"] = batches.task_range
    result.curves["gradient_norm_at_start"] = fit.first.start
    result.curves["gradient_norm_first_epoch"] = fit.first.result
    by_layer, by_hop = ([name for name in measures if MEASURES[name].axis == axis] for axis in ("layer", "hop"))
    seen = states(model.network, graph.x, graph.layers)
    result.curves |= layer_measures(seen, graph.undirected_edges, by_layer, graph.num_nodes)
    result.statistics |= model.network.findings()
    if by_hop:
        result.curves |= measures_by_hop(model, graph, by_hop, batches.task_range)
    result.metric, result.statistics["chance"] = model.task.metric, model.task.chance(batches.labels)
    train, val = (result.scores.get(f"best_{part}_{result.metric}") for part in ("train", "val"))
    result.diagnosis = diagnose(
        train, val, result.statistics["chance"], result.curves, batches.task_range, model.task.reported
    )
    if batches.task_range is not None and batches.task_range > model.network.depth:
        far = f"the answer stands {batches.task_range} hops away, the network has depth {model.network.depth}"
        result.diagnosis = replace(result.diagnosis, evidence=f"{result.diagnosis.evidence}; {far}")
    if best.diverged and (why := model.network.divergence()):
        result.diagnosis = replace(result.diagnosis, evidence=f"{result.diagnosis.evidence}; {why}")


def final_checkpoint(made: Experiment, settings: Settings, result: Result) -> dict[str, Any]:
    """Weights and all that is needed to use and to diagnose them without the data of the run.

    Returns:
        `config`: the settings; `options`: the name of the option of each group; `depth`: number of layers; `inputs`,
        `outputs`: number of features and of channels of the output; `class_names`: of the data, or None; `data_hash`;
        `unit_rows`: whether the features of each node sum to 1; `gradients`: their norms by layer at the beginning of
        the training; `state_dict`; `run_id`.
    """
    model, graph, data = made.module, made.graph, made.data
    return {
        "config": to_dict(settings),
        "options": {group: getattr(settings, group).name for group in OPTION_GROUPS},
        "depth": model.network.depth,
        "inputs": graph.x.shape[1],
        "outputs": model.task.outputs,
        "class_names": getattr(data.dataset, "class_names", None),
        "data_hash": data.rewired.data_hash,
        "unit_rows": has_unit_rows(graph.x),
        "gradients": {name: result.curves[name] for name in AT_THE_BEGINNING if name in result.curves},
        "run_id": result.run_id,
        "state_dict": model.state_dict(),
    }


def record(
    made: Experiment, settings: Settings, tracked: TrackedRun | CombinedRecord, result: Result, folder: Path
) -> None:
    """Record the results of a run: checkpoint, figures, states, then scores, curves, tags and outcome."""
    save_torch(final_checkpoint(made, settings, result), folder / FINAL)
    wanted = settings.tracking.artifacts if tracked.keeps_files else []
    if "model" in wanted:
        record_model(tracked, folder / FINAL)
    if "figures" in wanted:
        from depthlab.training.figures import layers_figure, layers_html, panels

        if panels(result.curves):
            tracked.figure(layers_figure(result.curves, result.name), "layers.png")
            tracked.text(layers_html(result.curves, result.name), "layers.html")
    if "states" in wanted:
        save_states(made.module, made.graph, folder / STATES, class_names(settings.dataset.name, made.data.dataset))
        tracked.file(folder / STATES)
    for name, value in result.scores.items():
        tracked.log_curve(name, [value])
    for name, curve in result.curves.items():
        tracked.log_curve(MEASURES[name].metric, curve)
    tracked.tag({name: str(value) for name, value in result.statistics.items()})
    tracked.tag({"verdict": result.diagnosis.verdict, "evidence": result.diagnosis.evidence})
    tracked.finish("FINISHED", result.outcome)
    (folder / STATES).unlink(missing_ok=True)  # it has been sent
