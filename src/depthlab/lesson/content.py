"""What the lesson's page is made from: the recorded networks and their graph."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.data.class_names import class_names, numbered
from depthlab.data.dataset import Dataset
from depthlab.data.prepare import load
from depthlab.lesson.edges import DroppedEdges, dropped_edges
from depthlab.lesson.receptive_field import ReceptiveField, receptive_field
from depthlab.report.animation import Animation
from depthlab.report.runs import Report, read_report
from depthlab.study.grid import PlannedRun
from depthlab.tracking.search import Records

MARKS = {"over-smoothed": "collapsed", "healthy": "stable", "over-fitted": "stable"}


@dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes:
        name: such as `GCN 32`; its number of layers is `depth`.
        score: test accuracy as a fraction; NaN if its training diverged.
        verdict, evidence: as recorded.
        best_epoch, epochs: the epoch whose weights were tested, and how many were trained; from 0.
        curves: measures by layer, from layer 0, the input of the first layer.
        seconds: of training.
        animation: its states; None if an earlier run without states was reused.
    """

    name: str
    depth: int
    score: float
    verdict: str
    evidence: str
    best_epoch: int
    epochs: int
    seconds: float
    curves: Mapping[str, Sequence[float]]
    animation: Animation | None = None

    @property
    def mark(self) -> str:
        """`collapsed`, `stable`, or the verdict if it is neither."""
        return MARKS.get(self.verdict, self.verdict)

    @property
    def score_text(self) -> str:
        """Test accuracy in percent."""
        return "not tested" if math.isnan(self.score) else f"{100 * self.score:.1f} %"

    def inner(self, measure: str) -> tuple[float, float] | None:
        """A measure after the first layer and after the last but one, which the verdict compares; None without it."""
        curve = self.curves.get(measure, [])
        return (curve[1], curve[max(1, len(curve) - 2)]) if len(curve) > 1 else None


@dataclass(frozen=True)
class Lesson:
    """The content of the page.

    Attributes:
        dataset: name of the graph.
        nodes, edges: numbers of its nodes and undirected edges.
        train, val, test: numbers of nodes of each part.
        classes: their names.
        commonest: share of the most frequent class among the test nodes.
        guess: accuracy of a guess that ignores the input.
        networks: those with a result, in the order of the study.
        missing: names of those without one.
        dropped: edges by epoch of the network with DropEdge, if it has a result.
        reach: receptive field of a node before and after a rewiring.
        uri, experiment, study: where the runs are recorded.
        limit: largest number of epochs.
        hidden: channels of a state.
        p_drop: probability with which DropEdge drops an edge.
    """

    dataset: str
    nodes: int
    edges: int
    train: int
    val: int
    test: int
    classes: list[str]
    commonest: float
    guess: float
    networks: list[Network]
    missing: list[str]
    dropped: DroppedEdges | None
    reach: ReceptiveField
    uri: str
    experiment: str
    study: str
    limit: int
    hidden: int
    p_drop: float

    @property
    def found(self) -> dict[str, Network]:
        """The networks by name."""
        return {network.name: network for network in self.networks}


def read_lesson(records: Records, study: str, runs: Sequence[PlannedRun], rewired: Settings) -> Lesson:
    """Read the runs of the lesson back from their record.

    Args:
        runs: as planned.
        rewired: settings with the rewiring to show.

    Raises:
        UserError: no run has a result, or the store does not answer.
    """
    report = read_report(records, study)
    networks = _networks(report)
    if not networks:
        raise UserError("no network of the lesson has a result, so there is nothing to show: start the command again")
    names = [network.name for network in networks]
    settings = runs[0].settings
    dataset, _ = load(settings.dataset)
    assert isinstance(dataset, Dataset), "the lesson has one graph"
    parts = dataset.parts(settings.split, settings.split_seed)
    train, val, test = (len(part) for part in parts)
    dropping = next(run for run in runs if run.settings.p_drop)
    dropped = None
    if dropping.method in names:
        dropped = dropped_edges(dropping.settings, networks[names.index(dropping.method)].epochs)
    classes = numbered(class_names(settings.dataset.name, dataset), int(dataset.y.max()) + 1)
    return Lesson(
        dataset=settings.dataset.label, nodes=dataset.num_nodes, edges=dataset.edge_index.shape[1] // 2,
        train=train, val=val, test=test, classes=classes,
        commonest=max(Counter(dataset.y[parts[2]].tolist()).values()) / test, guess=float(report.runs["chance"].max()),
        networks=networks, missing=[run.method for run in runs if run.method not in names], dropped=dropped,
        reach=receptive_field(rewired), uri=records.uri, experiment=records.experiment, study=study,
        limit=settings.epochs, hidden=settings.hidden, p_drop=dropping.settings.p_drop,
    )  # fmt: skip


def _networks(report: Report) -> list[Network]:
    animations = {animation.method: animation for animation in report.animations}
    networks = []
    for row in report.runs.to_dict("records"):
        if not isinstance(row["run_id"], str):
            continue
        curves = {measure: curve for (run_id, measure), curve in report.curves.items() if run_id == row["run_id"]}
        best = row["best_epoch"]
        networks.append(
            Network(
                row["method"], int(row["depth"]), float(row["test_acc"]), row["verdict"], str(row["evidence"]),
                -1 if math.isnan(best) else int(best), int(row["epochs_run"]), float(row["seconds"]), curves,
                animations.get(row["method"]),
            )
        )  # fmt: skip
    return networks
