"""One run, in a straight line: data, model, fit, test once, measure, record."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from src.data.prepare import load
from src.graph.drop_edge import active_edges
from src.graph.graph import Graph
from src.measures.layers import layer_measures
from src.models.base import NodeClassifier
from src.settings import flatten
from src.tracking.run import TrackedRun
from src.train.build import build_model
from src.train.callbacks import EPOCH_METRICS, saved_run_id
from src.train.fit import Fit, make_fit, quiet_libraries
from src.train.gradients import training_gradient_norms
from src.train.identity import FINAL, LAST, checkpoint_folder, resumable, run_name, tags


@dataclass
class Result:
    """What a run ends with.

    Attributes:
        name: the run's name.
        outcome: `finished` or `diverged`.
        uri, experiment_id, run_id: where it is recorded.
        scores: the numbers at the selected epoch, and those that are recorded once.
        curves: measures by layer.
    """

    name: str
    outcome: str
    uri: str
    experiment_id: str
    run_id: str
    scores: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)


def run(settings: dict[str, Any], origin: dict[str, str] | None = None) -> Result:
    """Train, test once and record.

    Args:
        settings: the resolved config as plain types (`src.config.plain`), with `tracking.uri` filled in.
        origin: where each value came from, recorded as it is.

    Raises:
        UserError: data or the tracking store cannot be used, or there is nothing to resume.
        KeyboardInterrupt: after the run has been closed as interrupted.
    """
    quiet_libraries()
    origin = origin or {}
    if settings["trainer"]["threads"]:
        torch.set_num_threads(settings["trainer"]["threads"])
    dataset, data_hash = load(settings["dataset"])
    graph = dataset.graph(settings["split"], settings["split_seed"])
    model = build_model(settings, graph, dataset.num_classes)
    folder = checkpoint_folder(settings)
    checkpoint = resumable(settings["ckpt"], folder)
    tracked = TrackedRun(
        settings["tracking"]["uri"],
        settings["tracking"]["experiment"],
        run_name(settings),
        flatten(settings),
        tags(settings, data_hash, origin),
        run_id=saved_run_id(checkpoint) if checkpoint else None,
    )
    result = Result(tracked.name, "finished", tracked.uri, tracked.experiment_id, tracked.run_id)
    try:
        fit = make_fit(settings, model, graph, tracked, folder)
        fit.run(model, checkpoint)
        _evaluate(fit, model, graph, settings["measures"], result)
        _record(model, settings, origin, tracked, result, folder)
    except KeyboardInterrupt:
        tracked.abandon("KILLED", "interrupted")
        raise
    except Exception:
        tracked.abandon("FAILED", "failed")
        raise
    (folder / LAST).unlink(missing_ok=True)  # not before everything is recorded: until then it can be resumed
    return result


def _evaluate(fit: Fit, model: NodeClassifier, graph: Graph, measures: list[str], result: Result) -> None:
    """Gradients of the last state, then the best state: tested once, measured layer by layer."""
    best, epochs = fit.best, len(fit.recorder.history)
    if best.diverged:
        result.outcome = "diverged"
    else:
        result.curves["gradient_norm"] = training_gradient_norms(model, graph)
        model.load_state_dict(best.weights)
        fit.trainer.test(model, fit.loader, verbose=False)
        result.scores = {name: float(value) for name, value in model.scores.items()} | {"best_epoch": best.epoch}
    result.scores |= {
        "epochs_run": epochs,
        "seconds_per_epoch": fit.recorder.seconds / epochs,
        "base_edges": graph.adjacency.num_edges,
        "active_edges": active_edges(model.training_adjacency(graph, 0).at(1)),
    }
    model.eval()
    result.curves["gradient_norm_first_epoch"] = fit.first.result
    result.curves |= layer_measures(
        lambda observe: model(graph.x, graph.adjacency, observe), graph.edge_index, measures
    )


def _record(
    model: NodeClassifier,
    settings: dict[str, Any],
    origin: dict[str, str],
    tracked: TrackedRun,
    result: Result,
    folder: Path,
) -> None:
    """Everything that is known only at the end: scores, curves by layer, checkpoint, artifacts, outcome."""
    tracked.log({key: value for key, value in result.scores.items() if key not in EPOCH_METRICS})
    for name, curve in result.curves.items():
        tracked.log_curve(name, curve)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"config": settings, "run_id": tracked.run_id, "state_dict": model.state_dict()}
    torch.save(content, folder / FINAL)
    wanted = settings["tracking"]["artifacts"]
    if "config" in wanted:
        tracked.text(yaml.safe_dump(settings, sort_keys=False), "config.yaml")
        tracked.text(yaml.safe_dump(origin, sort_keys=False), "provenance.yaml")
    if "model" in wanted:
        tracked.file(folder / FINAL)
    if "figures" in wanted:
        from src.train.figures import layers_figure, layers_html

        tracked.figure(layers_figure(result.curves, result.name), "energy_by_layer.png")
        tracked.text(layers_html(result.curves, result.name), "energy_by_layer.html")
    tracked.finish("FINISHED", result.outcome)
