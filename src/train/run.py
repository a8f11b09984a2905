"""One run, in a straight line: data, model, trainer, fit, test once, measure, record."""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml
from hydra.utils import get_class
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerStatus
from torch import Tensor
from torch.nn import functional as F

from src.config import flatten
from src.data.prepare import load
from src.errors import UserError
from src.graph.drop_edge import DropEdge, active_edges
from src.graph.graph import Graph
from src.measures.layers import Observer, gradient_norms, layer_measures
from src.models.base import NodeClassifier, Settings
from src.ops import SparseFeatures
from src.tracking.run import TrackedRun
from src.train.callbacks import EPOCH_METRICS, BestState, EpochBar, FirstEpoch, Recorder, Saver, saved_run_id
from src.train.identity import FINAL, LAST, checkpoint_folder, resumable, run_name, tags


@dataclass
class Result:
    """What a run ends with; `scores` holds the metrics that are recorded once."""

    name: str
    outcome: str
    uri: str
    experiment_id: str
    run_id: str
    scores: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)


class OneGraph:
    """The data loader of full-batch training: the whole graph, once an epoch."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __iter__(self) -> Iterator[Graph]:
        yield self.graph

    def __len__(self) -> int:
        return 1


def run(settings: dict[str, Any], origin: dict[str, str] | None = None) -> Result:
    """Train, test once and record.

    Args:
        settings: the resolved config as plain types (`src.config.plain`), with `tracking.uri` filled in.
        origin: where each value came from, recorded as it is.

    Raises:
        UserError: data or the tracking store cannot be used, or there is nothing to resume.
        KeyboardInterrupt: after the run has been closed as interrupted.
    """
    _quiet()
    if settings["trainer"]["threads"]:
        torch.set_num_threads(settings["trainer"]["threads"])
    dataset, data_hash = load(settings["dataset"])
    graph = dataset.graph(settings["split"], settings["split_seed"])
    name, folder = run_name(settings), checkpoint_folder(settings)
    checkpoint = resumable(settings["ckpt"], folder)
    model = build_model(settings, graph, dataset.num_classes)
    tracked = TrackedRun(
        settings["tracking"]["uri"],
        settings["tracking"]["experiment"],
        name,
        flatten(settings),
        tags(settings, data_hash, origin or {}),
        run_id=saved_run_id(checkpoint) if checkpoint else None,
    )
    result = Result(name, "finished", tracked.uri, tracked.experiment_id, tracked.run_id)
    try:
        fit = make_fit(settings, model, graph, tracked, folder)
        _train(fit, model, checkpoint, folder)
        _evaluate(fit, model, graph, settings["measures"], result)
        _record(model, settings, origin or {}, tracked, result, folder)
    except KeyboardInterrupt:
        tracked.finish("KILLED", "interrupted")
        raise
    except Exception:
        tracked.finish("FAILED", "failed")
        raise
    return result


@dataclass
class Fit:
    """A trainer, its loader, and the callbacks whose findings are read after the fit."""

    trainer: pl.Trainer
    loader: OneGraph
    best: BestState
    recorder: Recorder
    first: FirstEpoch


def make_fit(
    settings: dict[str, Any], model: NodeClassifier, graph: Graph, tracked: TrackedRun, folder: Path,
    extra: Sequence[Callback] = (),
) -> Fit:  # fmt: skip
    """Lightning's trainer as a run uses it."""
    best = BestState(settings["monitor"], settings["patience"])
    recorder = Recorder(tracked)
    first = FirstEpoch(lambda: _gradient_norms(model, graph))
    callbacks = [best, recorder, first, Saver(folder / LAST, settings["checkpoint_every"]), *extra]
    if settings["progress"]:
        callbacks.append(EpochBar(tracked.name, best))
    trainer = pl.Trainer(
        accelerator=settings["trainer"]["accelerator"],
        devices=1,
        max_epochs=settings["epochs"],
        callbacks=callbacks,
        logger=False,  # the recorder writes, buffered
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return Fit(trainer, OneGraph(graph), best, recorder, first)


def _train(fit: Fit, model: NodeClassifier, checkpoint: Path | None, folder: Path) -> None:
    """Fit; Ctrl-C becomes a KeyboardInterrupt after saying how to go on."""
    try:
        fit.trainer.fit(model, fit.loader, fit.loader, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:
        if fit.trainer.state.status != TrainerStatus.INTERRUPTED:  # not Lightning's way to end after Ctrl-C
            raise
        hint = "ckpt=last" if (folder / LAST).is_file() else "nothing: no checkpoint was due yet, it starts again"
        print(
            f"\ninterrupted after {len(fit.recorder.history)} epochs: go on with the same command and {hint}",
            file=sys.stderr,
        )
        raise KeyboardInterrupt from None


def _evaluate(fit: Fit, model: NodeClassifier, graph: Graph, measures: list[str], result: Result) -> None:
    """Gradients of the last state, then the best state: tested once, measured layer by layer."""
    best, epochs = fit.best, len(fit.recorder.history)
    if best.diverged:
        result.outcome = "diverged"
    else:
        result.curves["gradient_norm"] = _gradient_norms(model, graph)
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
    model: NodeClassifier, settings: dict[str, Any], origin: dict[str, str],
    tracked: TrackedRun, result: Result, folder: Path,
) -> None:  # fmt: skip
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
    (folder / LAST).unlink(missing_ok=True)


def build_model(settings: dict[str, Any], graph: Graph, num_classes: int) -> NodeClassifier:
    """The architecture of `settings["model"]`, initialised from `seed`."""
    roc_auc = settings["dataset"]["metric"] == "roc_auc"
    if roc_auc and num_classes != 2:
        raise UserError(f"metric=roc_auc needs two classes, {settings['dataset']['name']} has {num_classes}")
    shared = Settings(
        in_channels=graph.x.shape[1],
        out_channels=num_classes,
        drop_edge=DropEdge(settings["p_drop"], **settings["drop_edge"]),
        roc_auc=roc_auc,
        **{
            key: settings[key]
            for key in ("depth", "hidden", "dropout", "norm", "lr", "weight_decay", "weight_decay_linear", "seed")
        },
    )
    knobs = {key: value for key, value in settings["model"].items() if key != "_target_"}
    torch.manual_seed(settings["seed"])
    model: NodeClassifier = get_class(settings["model"]["_target_"])(shared, **knobs)
    return model


def _gradient_norms(model: NodeClassifier, graph: Graph) -> list[float]:
    """Norms of the training loss's gradient by layer, without dropout, on the whole graph."""
    x = graph.x.to_dense() if isinstance(graph.x, SparseFeatures) else graph.x.clone()
    x.requires_grad_()

    def loss(observe: Observer) -> Tensor:
        logits = model(x, graph.adjacency, observe)
        return F.cross_entropy(logits[graph.train], graph.y[graph.train])

    was_training = model.training
    model.eval()
    try:
        return gradient_norms(loss)
    finally:
        model.train(was_training)


def _quiet() -> None:
    """Hold back advice of the libraries that does not apply to full-batch training."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*(Sparse CSR|[Ss]parse invariant).*")
