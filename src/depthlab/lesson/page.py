"""The lesson's page: one HTML file that holds its styles, scripts and data, and asks for nothing."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from depthlab.lesson import figures, sliders
from depthlab.lesson.content import Lesson, Network
from depthlab.lesson.facts import DROPPED, GCNII, facts, untrained
from depthlab.lesson.measured import read

HERE = Path(__file__).parent
TABLE = ("GCN 2", "GCN 32", GCNII)  # of the first section
NUMBERS = ("No", "One network", "Two networks", "Three networks", "Four networks", "Five networks")
CLASSES = (  # Paul Tol's bright colours, and three more for ten classes; they are seen on white and on black
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#a0a0a0", "#ee8866", "#44bb99", "#8866cc",
)  # fmt: skip


def page(lesson: Lesson) -> str:
    """The HTML."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    styles = figures.looks(lesson)
    moving = [
        sliders.alpha_slider(read("alpha")),
        sliders.repulsion_slider(read("repulsion")),
        sliders.field_slider(lesson.reach, lesson.hidden),
    ]
    animated = [network for network in lesson.networks if network.animation is not None]
    return environment.get_template("page.html").render(
        lesson=lesson,
        facts=facts(lesson),
        untrained=untrained(lesson),
        count=NUMBERS[len(lesson.networks)],
        table=[lesson.found[name] for name in TABLE if name in lesson.found],
        plain_deep=lesson.found.get("GCN 32"),
        dropped=lesson.found.get(DROPPED),
        residual=lesson.found.get(GCNII),
        legend=[(name, figures.sample(look)) for name, look in styles.items()],
        accuracy=figures.accuracy(lesson),
        by_layer=figures.by_layer(lesson),
        edges=figures.edges(lesson.dropped, lesson.p_drop) if lesson.dropped else None,
        sliders={slider.key: slider for slider in moving},
        animated=animated,
        without=[network.name for network in lesson.networks if network.animation is None],
        deepest=max((network.depth for network in animated), default=0),
        colors=CLASSES,
        style=_trusted((HERE / "page.css").read_text(encoding="utf-8")),
        script=_trusted((HERE / "page.js").read_text(encoding="utf-8")),
        data=_json(
            {
                "sliders": {slider.key: [vars(frame) for frame in slider.frames] for slider in moving},
                "animations": [_points(network) for network in animated],
                "colors": CLASSES,
            }
        ),
    )


def _points(network: Network) -> dict[str, Any]:
    """Points as bytes, 0 to 255 from edge to edge, and the effective rank by layer."""
    animation = network.animation
    assert animation is not None
    arrays = animation.in_bytes(), animation.y.astype(np.uint8)
    points, y = (base64.b64encode(array.tobytes()).decode() for array in arrays)
    ranks = [f"{rank:.1f}" for rank in network.curves.get("effective_rank", [])]
    return {"name": network.name, "frames": len(animation.points), "points": points, "y": y, "ranks": ranks}


def _json(content: object) -> Markup:
    """JSON for a script element; a text in it cannot end the element."""
    return _trusted(json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"))


def _trusted(text: str) -> Markup:
    """Text of the package that is not escaped; all other text is."""
    return Markup(text)  # noqa: S704
