"""The still figures of the lesson: accuracy against depth, measures by layer, edges by epoch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from depthlab.lesson.content import Lesson, Network
from depthlab.lesson.edges import DroppedEdges
from depthlab.lesson.svg import HEIGHT, WIDTH, Axis, Chart, linear_axis, log_axis, picture, spread
from depthlab.measures.diagnosis import shown

LEFT, RIGHT, TOP, BOTTOM = 46, WIDTH - 12, 26, HEIGHT - 42  # the space between the axes, in pixels
LINE = 16  # height of a line of text
SHAPES = ("circle", "square", "triangle", "diamond", "wedge")
MEASURES = {  # name -> title, and what a small value means
    "rayleigh_quotient": ("Difference between neighbours", "Rayleigh quotient: 0 means that neighbours are equal"),
    "effective_rank": ("Directions that the states span", "effective rank: 1 means that all lie on one line"),
    "gradient_norm_first_epoch": (
        "Gradient that arrives",
        "gradient norm after epoch 1: 0 means that nothing is learnt",
    ),
    "dirichlet_energy": (
        "Energy",
        "Dirichlet energy: it also grows with the size of the states",
    ),
}


@dataclass(frozen=True)
class Figure:
    """A picture with the same numbers as a table.

    Attributes:
        title, note: above the picture.
        head, rows: of the table.
    """

    title: str
    note: str
    svg: Markup
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def looks(lesson: Lesson) -> dict[str, tuple[str, str]]:
    """Class of the style sheet and marker of each network."""
    return {network.name: (f"s{k % 5}", SHAPES[k % 5]) for k, network in enumerate(lesson.networks)}


def sample(look: tuple[str, str]) -> Markup:
    """A piece of line with its marker, for the legend."""
    line = Markup('<path class="line {}" d="M1,8H33"/>').format(look[0])
    axis = Axis(0, 1, 0, 34)
    chart = Chart("", axis, Axis(0, 1, 16, 0), "", "")
    chart.marker((0.5, 0.5), *look, "")
    return Markup('<svg class="sample" aria-hidden="true" viewBox="0 0 34 16">{}{}</svg>').format(line, chart.parts[0])


def accuracy(lesson: Lesson) -> Figure:
    """Test accuracy against depth, with `collapsed` and `stable` beside the points."""
    depths = sorted({network.depth for network in lesson.networks})
    shallow, deep = min(depths), max(*depths, min(depths) + 1)
    x = Axis(shallow / 1.3, deep * 1.1, LEFT, WIDTH - 134, True, [(depth, str(depth)) for depth in depths])
    y = Axis(0, 118, BOTTOM, TOP, False, [(k, f"{k}") for k in range(0, 101, 20)])  # room for labels above 100 %
    known, styles = [one for one in lesson.networks if not math.isnan(one.score)], looks(lesson)
    texts = [f"{one.name}: test accuracy {one.score_text}, {one.mark}" for one in lesson.networks]
    chart = Chart(f"Test accuracy against depth. {'; '.join(texts)}.", x, y, "layers", "test accuracy in %")
    chart.rule(100 * lesson.guess, f"guessing: {100 * lesson.guess:.1f} %")
    plain = sorted((one for one in known if one.name == f"GCN {one.depth}"), key=lambda one: one.depth)
    chart.line([(one.depth, 100 * one.score) for one in plain], "joint")
    for one in known:
        hint = f"{one.name}: {one.score_text}, {one.verdict}"
        chart.marker((one.depth, 100 * one.score), *styles[one.name], hint)
    last = [one for one in known if one.depth == depths[-1]]
    heights = spread([y(100 * one.score) - LINE / 2 + 4 for one in last], 2 * LINE + 4, TOP + 8, BOTTOM - LINE)
    for one, height in zip(last, heights, strict=True):
        _named(chart, x(one.depth) + 12, height, one)
    for one in known:
        if one not in last:
            _named(chart, x(one.depth) + 9, y(100 * one.score) - LINE - 6, one)
    head = ["network", "layers", "test accuracy", "what happened", "best epoch", "epochs"]
    rows = [
        [one.name, str(one.depth), one.score_text, one.verdict, str(one.best_epoch), str(one.epochs)]
        for one in lesson.networks
    ]
    return Figure("Test accuracy against depth", "", chart.svg(), head, rows)


def _named(chart: Chart, x: float, y: float, network: Network) -> None:
    chart.text(x, y, network.name.replace("GCN 32 + DropEdge", "with DropEdge"), "name")
    chart.text(x, y + LINE - 1, network.mark, f"mark {network.mark}")


def by_layer(lesson: Lesson) -> list[Figure]:
    """One figure for each measure that a network has, from layer 0 to its last layer."""
    return [_measure(lesson, name) for name in MEASURES if any(network.curves.get(name) for network in lesson.networks)]


def _measure(lesson: Lesson, name: str) -> Figure:
    curves = {one.name: list(one.curves.get(name, [])) for one in lesson.networks}
    return layer_figure(*MEASURES[name], curves, looks(lesson))


def layer_figure(
    title: str, note: str, curves: Mapping[str, Sequence[float]], styles: Mapping[str, tuple[str, str]]
) -> Figure:
    """Curves by layer on a logarithmic axis, with a marker at the last layer of each."""
    longest = max(map(len, curves.values()))
    x = linear_axis(0, max(1, longest - 1), LEFT, RIGHT, 4)
    y = log_axis([value for curve in curves.values() for value in curve], BOTTOM, TOP)
    ends = [f"{name} ends at {shown(curve[-1], '.2g')}" for name, curve in curves.items() if curve]
    chart = Chart(f"{title} by layer. {'; '.join(ends)}.", x, y, "layer", "")
    for name, curve in curves.items():
        look, shape = styles[name]
        chart.line(list(enumerate(curve)), look)
        if curve and math.isfinite(curve[-1]):
            hint = f"{name}, layer {len(curve) - 1}: {shown(curve[-1], '.2g')}"
            chart.marker((len(curve) - 1, curve[-1]), look, shape, hint)
    layers = sorted({0, 1, *(2**k for k in range(1, longest.bit_length()) if 2**k < longest), longest - 1})
    rows = [
        [name, *(shown(curve[layer], ".2g") if layer < len(curve) else "" for layer in layers)]
        for name, curve in curves.items()
    ]
    return Figure(title, note, chart.svg(), ["network", *(f"layer {layer}" for layer in layers)], rows)


def edges(dropped: DroppedEdges, p_drop: float) -> Figure:
    """Base edges, and edges left by DropEdge in every epoch."""
    low, high = min(dropped.active), dropped.base
    room = max(1, high - low)
    x = linear_axis(0, max(1, len(dropped.active) - 1), LEFT + 8, RIGHT, 4)
    y = linear_axis(max(0, low - 0.35 * room), high + 0.12 * room, BOTTOM, TOP)
    mean = sum(dropped.active) / len(dropped.active)
    chart = Chart(
        f"Edges by epoch. The graph has {dropped.base:,} edges; of these {low:,} to {max(dropped.active):,} are left in"
        f" an epoch, {mean:,.0f} on average.",
        x, y, "epoch", "undirected edges",
    )  # fmt: skip
    chart.line([(0, dropped.base), (len(dropped.active) - 1, dropped.base)], "base")
    chart.text(RIGHT, y(dropped.base) + 17, f"all edges: {dropped.base:,}", "name", "end")
    chart.line(list(enumerate(dropped.active)), "s3 solid")
    chart.text(RIGHT, y(low) + 20, f"left in an epoch: {low:,} to {max(dropped.active):,}", "name", "end")
    step = max(1, len(dropped.active) // 10)
    rows = [[str(k), f"{dropped.base:,}", f"{dropped.active[k]:,}"] for k in range(0, len(dropped.active), step)]
    note = f"in each epoch every edge is left out with probability {p_drop:g}"
    return Figure("Edges by epoch", note, chart.svg(), ["epoch", "all edges", "edges left"], rows)


def disc(label: str, paths: Sequence[str], key: str, radius: float, inside: int) -> Markup:
    """Dots around one node, coloured up to hop `inside`; `paths` as by `depthlab.lesson.receptive_field.sunflower`."""
    size = int(2 * radius + 8)
    dots = [
        Markup('<path id="{}{}" class="{}" d="{}" transform="translate({},{})"/>').format(
            key, hop, "hop in" if hop <= inside else "hop", path, size / 2, size / 2
        )
        for hop, path in enumerate(paths)
    ]
    centre = Markup('<circle class="centre" cx="{}" cy="{}" r="4"/>').format(size / 2, size / 2)
    return picture(label, size, size, [*dots, centre], f"{key}picture")
