"""The figures that a slider changes: initial residual, repulsion, receptive field.

Every frame of a slider is a list of attributes to set, so the page needs no drawing of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from depthlab.lesson.figures import BOTTOM, LEFT, RIGHT, TOP, disc
from depthlab.lesson.measured import Content
from depthlab.lesson.receptive_field import ReceptiveField, sunflower
from depthlab.lesson.svg import WIDTH, Axis, Chart, linear_axis, log_axis
from depthlab.measures.diagnosis import shown
from depthlab.statistics import counted

ROW = 27  # height of a graph in the figure of repulsion
RADIUS = 150  # of a receptive field


@dataclass
class Frame:
    """What one position of a slider shows.

    Attributes:
        value: as spoken and printed beside the slider.
        says: a sentence.
        set: id of an element, attribute, value.
    """

    value: str
    says: str
    set: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass
class Slider:
    """A slider and its pictures, drawn for its start position.

    Attributes:
        key: `id` of the slider.
        label: what it changes.
        pictures: title, note and SVG of each.
        start: position at first.
        source: where the numbers come from.
        head, rows: the same numbers as a table.
    """

    key: str
    label: str
    frames: list[Frame]
    pictures: list[tuple[str, str, Markup]]
    start: int
    source: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def source(content: Content) -> str:
    """Where committed numbers come from, in a sentence."""
    return (
        f"These numbers were not computed now: they come with the program. They are from the study {content['study']}"
        f" (commit {content['commit']}); the command that wrote them is: {content['command']}"
    )


def alpha_slider(content: Content) -> Slider:
    """Share of the initial features in every layer of a GCNII, from 0 to 1."""
    points, depth = content["points"], content["depth"]
    start = next((k for k, point in enumerate(points) if math.isclose(point["alpha"], 0.1)), 0)
    layers = linear_axis(0, depth, LEFT, RIGHT, 4)
    quotients = log_axis([value for point in points for value in point["quotient"]], BOTTOM, TOP)
    inner = Chart(
        f"Rayleigh quotient by layer for the chosen alpha, GCNII with {depth} layers.",
        layers, quotients, "layer", "", "alpha-layers",
    )  # fmt: skip
    for point in points:
        inner.line(list(enumerate(point["quotient"])), "ghost")
    inner.line(list(enumerate(points[start]["quotient"])), "s4", "alpha-line")
    shares = Axis(0, 1, LEFT, RIGHT, False, [(k / 5, f"{k / 5:g}") for k in range(6)])
    percent = Axis(0, 100, BOTTOM, TOP, False, [(k, str(k)) for k in range(0, 101, 20)])
    label = "Test accuracy against alpha; the large point is the chosen alpha."
    outer = Chart(label, shares, percent, "alpha", "", "alpha-score")
    scores = [(point["alpha"], 100 * point["test_acc"]) for point in points]
    outer.line(scores, "joint")
    for score in scores:
        outer.marker(score, "ghost", "circle", f"alpha {score[0]:g}: {score[1]:.1f} %")
    outer.marker(scores[start], "s4", "circle", "the chosen alpha", "alpha-dot")
    frames = []
    for point, (alpha, score) in zip(points, scores, strict=True):
        place = f"translate({outer.x(alpha):.1f},{outer.y(score):.1f})"
        says = (
            f"Test accuracy {score:.1f} % on {content['dataset']}. After {depth} layers the states span"
            f" {point['rank']:.1f} directions."
        )
        moves = [("alpha-line", "d", inner.path(list(enumerate(point["quotient"])))), ("alpha-dot", "transform", place)]
        frames.append(Frame(f"alpha = {alpha:g}", says, moves))
    pictures = [
        ("Difference between neighbours", "Rayleigh quotient by layer; pale: all values of alpha", inner.svg()),
        ("Test accuracy in %", f"{content['dataset']}, mean of {content['runs']} seeds", outer.svg()),
    ]
    rows = [
        [f"{point['alpha']:g}", f"{100 * point['test_acc']:.1f} %", f"{point['rank']:.1f}",
         shown(point["quotient"][-1], ".2g"), counted(_each(point["verdicts"]))]
        for point in points
    ]  # fmt: skip
    head = ["alpha", "test accuracy", "effective rank", "Rayleigh quotient, last layer", "verdicts"]
    return Slider("alpha", "alpha", frames, pictures, start, source(content), head, rows)


def repulsion_slider(content: Content) -> Slider:
    """Repulsion of ACMP, and test accuracy on graphs ordered by homophily."""
    graphs, strengths = content["graphs"], content["repulsion"]
    bottom, start = TOP + ROW * len(graphs), len(strengths) // 2
    x = Axis(0, 100, 152, WIDTH - 14, False, [(k, str(k)) for k in range(0, 101, 25)])
    y = Axis(-0.5, len(graphs) - 0.5, bottom, TOP)
    chart = Chart(
        "Test accuracy on graphs ordered by edge homophily: without repulsion and with the chosen one.",
        x, y, "test accuracy in %", "", "repulsion-scores", bottom + 42,
    )  # fmt: skip
    for k, graph in enumerate(graphs):
        at, now = 100 * graph["test_acc"][0], 100 * graph["test_acc"][start]
        name = f"{graph['name'].replace('_filtered', '')} ({graph['homophily']:.2f})"
        chart.text(144, y(k) + 4, name, "tick", "end")
        chart.line([(0, k), (100, k)], "grid")
        chart.line([(at, k), (now, k)], "change", f"change{k}")
        chart.marker((at, k), "hollow", "circle", f"{graph['name']} without repulsion: {at:.1f} %")
        chart.marker((now, k), "s2", "circle", graph["name"], f"graph{k}")
    frames = []
    for column, strength in enumerate(strengths):
        moves, better = [], []
        for k, graph in enumerate(graphs):
            before, now = 100 * graph["test_acc"][0], 100 * graph["test_acc"][column]
            moves.append((f"graph{k}", "transform", f"translate({x(now):.1f},{y(k):.1f})"))
            moves.append((f"change{k}", "d", chart.path([(before, k), (now, k)])))
            better += [graph["name"].replace("_filtered", "")] if now > before + 1 else []
        than = f"More than one point better than without repulsion: {', '.join(better) or 'none'}."
        says = than if strength else "No repulsion: neighbours only attract each other."
        frames.append(Frame(f"repulsion = {strength:g}", says, moves))
    head = ["graph", "homophily", *(f"repulsion {strength:g}" for strength in strengths)]
    rows = [
        [graph["name"], f"{graph['homophily']:.2f}", *(f"{100 * score:.1f} %" for score in graph["test_acc"])]
        for graph in graphs
    ]
    note = f"ACMP with {content['depth']} layers, mean; in brackets the edge homophily; hollow dot: without repulsion"
    pictures = [("Test accuracy by graph", note, chart.svg())]
    return Slider("repulsion", "repulsion", frames, pictures, start, source(content), head, rows)


def _each(counts: dict[str, int]) -> list[str]:
    return [verdict for verdict, count in counts.items() for _ in range(count)]


def field_slider(reach: ReceptiveField, channels: int) -> Slider:
    """Number of layers, and the nodes that one state then depends on, before and after a rewiring."""
    rings = {"before": reach.before, "after": reach.after}
    hops = max(map(len, rings.values()))
    frames = []
    for layers in range(hops):
        inside = {key: sum(counts[: layers + 1]) for key, counts in rings.items()}
        moves = [
            (f"{key}{hop}", "class", "hop in" if hop <= layers else "hop")
            for key, counts in rings.items()
            for hop in range(len(counts))
        ]
        says = (
            f"{_nodes(inside['before'])} of {reach.nodes:,} enter one state, {inside['before'] / channels:.1f} for each"
            f" of its {channels} numbers; after the rewiring {_nodes(inside['after'])}."
        )
        frames.append(Frame(f"{layers} layer{'s' if layers != 1 else ''}", says, moves))
    start = next(k for k in range(hops) if sum(reach.before[: k + 1]) >= reach.nodes / 4)
    pictures = []
    for key, title in (("before", "As it is"), ("after", f"With {reach.edges_added} more edges")):
        counts = rings[key]
        label = f"{title}: {', '.join(f'{count} nodes at hop {hop}' for hop, count in enumerate(counts))}."
        svg = disc(label, sunflower(counts, RADIUS), key, RADIUS, start)
        pictures.append((title, f"the farthest node is {len(counts) - 1} hops away", svg))
    rows = [
        [str(hop), *(str(counts[hop]) if hop < len(counts) else "" for counts in rings.values())] for hop in range(hops)
    ]
    return Slider(
        "layers", "layers", frames, pictures, start, "", ["hops", "nodes before", "nodes after the rewiring"], rows
    )


def _nodes(count: int) -> str:
    return f"{count:,} node{'s' if count != 1 else ''}"
