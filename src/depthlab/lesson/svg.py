"""Small charts as inline SVG: axes, lines, points and texts, without a script or a library."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

WIDTH, HEIGHT = 380, 270  # of a chart; it is legible at the width of a phone
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MARKERS = {  # shape -> path around (0, 0), 8 pixels wide
    "circle": "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0",
    "square": "M-3.6,-3.6h7.2v7.2h-7.2z",
    "triangle": "M0,-4.6l4.4,8h-8.8z",
    "diamond": "M0,-5l5,5l-5,5l-5,-5z",
    "wedge": "M0,4.6l4.4,-8h-8.8z",
}
Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """Maps the values of an axis to pixels.

    Attributes:
        low, high: the values at the ends.
        start, end: their pixels.
        log: whether the axis is logarithmic; a value below `low`, such as zero, is then drawn at `low`.
        ticks: values and labels.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    ticks: Sequence[tuple[float, str]] = ()

    def __call__(self, value: float) -> float:
        """The pixel of a value; the ends if it is outside."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / (math.log(self.high / self.low) or 1.0)
        else:
            share = (value - self.low) / (self.high - self.low or 1.0)
        return self.start + share * (self.end - self.start)


def linear_axis(low: float, high: float, start: float, end: float, count: int = 5) -> Axis:
    """A linear axis with about `count` round ticks."""
    raw = (high - low) / count or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    ticks = [(k * step, f"{k * step:g}") for k in range(first, math.floor(high / step + 1e-9) + 1)]
    return Axis(low, high, start, end, False, ticks)


def log_axis(values: Iterable[float], start: float, end: float, count: int = 5) -> Axis:
    """A logarithmic axis over whole decades that holds all positive values, with at most `count` + 1 ticks.

    If some values are zero, a decade below the others is theirs.
    """
    finite = [value for value in values if math.isfinite(value)]
    positive = [value for value in finite if value > 0] or [1.0]
    low, high = (bound(math.log10(end(positive))) for bound, end in ((math.floor, min), (math.ceil, max)))
    low -= any(value <= 0 for value in finite)
    high = max(high, low + 1)
    step = -(-(high - low) // count)
    ticks = [(10.0**power, decade(power)) for power in range(high, low - 1, -step)]
    return Axis(10.0**low, 10.0**high, start, end, True, ticks)


def decade(power: int) -> str:
    """`0.01`, `1`, `100`, `10⁻⁶`."""
    return f"{10.0**power:g}" if -2 <= power <= 3 else f"10{str(power).translate(SUPERSCRIPT)}"


@dataclass
class Chart:
    """An SVG of two axes and what is drawn between them.

    Attributes:
        label: what the picture shows, for those who hear it.
        x, y: the axes.
        x_title, y_title: their titles; that of y stands above the axis.
        key: `id` of the element.
        height: in pixels; the width is `WIDTH`.
    """

    label: str
    x: Axis
    y: Axis
    x_title: str
    y_title: str
    key: str = ""
    height: int = HEIGHT
    parts: list[Markup] = field(default_factory=list)

    def line(self, points: Sequence[Point], look: str, key: str = "") -> None:
        """A line through points; those that are not finite are left out."""
        self.parts.append(Markup('<path class="line {}" {}d="{}"/>').format(look, _id(key), self.path(points)))

    def path(self, points: Sequence[Point]) -> str:
        """The `d` of a line through points."""
        finite = [(self.x(x), self.y(y)) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in finite) if finite else ""

    def marker(self, point: Point, look: str, shape: str, hint: str, key: str = "") -> None:
        """A marker; `hint` appears when the pointer rests on it."""
        place = f"translate({self.x(point[0]):.1f},{self.y(point[1]):.1f})"
        self.parts.append(
            Markup('<path class="dot {}" {}transform="{}" d="{}"><title>{}</title></path>').format(
                look, _id(key), place, MARKERS[shape], hint
            )
        )

    def text(self, x: float, y: float, text: str, look: str = "", anchor: str = "start") -> None:
        """A text at pixels."""
        self.parts.append(
            Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(look, x, y, anchor, text)
        )

    def rule(self, y: float, text: str) -> None:
        """A dashed horizontal line with a text below its left end."""
        at = self.y(y)
        self.parts.append(Markup('<path class="rule" d="M{},{:.1f}H{}"/>').format(self.x.start, at, self.x.end))
        self.text(self.x.start + 4, at + 15, text, "soft")

    def svg(self) -> Markup:
        """The element."""
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        frame = [Markup('<path class="axis" d="M{},{}V{}H{}"/>').format(left, top, bottom, right)]
        for value, label in self.y.ticks:
            at = self.y(value)
            frame.append(Markup('<path class="grid" d="M{},{:.1f}H{}"/>').format(left, at, right))
            frame.append(_text(left - 7, at + 4, label, "end"))
        for value, label in self.x.ticks:
            frame.append(_text(self.x(value), bottom + 17, label, "middle"))
        frame.append(_text((left + right) / 2, bottom + 35, self.x_title, "middle", "title"))
        if self.y_title:
            frame.append(_text(2, 13, self.y_title, "start", "title"))
        top = 0 if self.y_title else int(self.y.end) - 10
        return picture(self.label, WIDTH, self.height, [*frame, *self.parts], self.key, top)


def picture(label: str, width: int, height: int, parts: Iterable[Markup], key: str = "", top: int = 0) -> Markup:
    """An `svg` element that a screen reader announces by its label; the pixels above `top` are left out."""
    return Markup('<svg {}role="img" aria-label="{}" viewBox="0 {} {} {}">{}</svg>').format(
        _id(key), label, top, width, height - top, Markup("").join(parts)
    )


def spread(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights of labels that overlap, moved apart to a distance of `gap`, in the same order and within the bounds."""
    order = sorted(range(len(heights)), key=lambda k: heights[k])
    placed = [0.0] * len(heights)
    floor = low
    for k in order:
        placed[k] = floor = max(heights[k], floor)
        floor += gap
    ceiling = high
    for k in reversed(order):
        placed[k] = ceiling = min(placed[k], ceiling)
        ceiling -= gap
    return placed


def _id(key: str) -> Markup:
    return Markup('id="{}" ').format(key) if key else Markup("")


def _text(x: float, y: float, text: str, anchor: str, look: str = "tick") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        look, x, y, anchor, escape(text)
    )
