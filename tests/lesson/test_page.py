"""The page: what is in it, that it asks for nothing, and that it works in a browser."""

import base64
import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from depthlab.lesson.content import Lesson
from depthlab.lesson.page import CLASSES, page
from depthlab.report.animation import Animation
from tests.browser import Parsed, browse
from tests.lesson.conftest import HOSTILE, NODES

HERE = Path(__file__).parent
VOID = {"meta", "link", "input", "br"}


class Nesting(HTMLParser):
    """Fails at a tag that closes another than the last open one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_nothing_in_the_page_asks_for_anything(lesson: Lesson) -> None:
    html = page(lesson)
    parsed = Parsed(html)
    references = [
        value
        for _, attributes in parsed.tags
        for key, value in attributes.items()
        if key in ("src", "href", "srcset", "data", "action", "poster") or "url(" in (value or "")
    ]
    assert [value for value in references if not str(value).startswith("#")] == ["data:,"]
    assert not {"iframe", "object", "embed", "img", "base"}.intersection(tag for tag, _ in parsed.tags)
    assert "http" not in html and "@import" not in html


def test_ids_are_unique_links_arrive_and_tags_are_closed(lesson: Lesson) -> None:
    html = page(lesson)
    tags = Parsed(html).tags
    ids = Counter(attributes["id"] for _, attributes in tags if "id" in attributes)
    assert set(ids.values()) == {1}
    targets = {str(attributes["href"])[1:] for tag, attributes in tags if tag == "a"}
    for key in ("for", "aria-describedby"):
        targets |= {str(attributes[key]) for _, attributes in tags if key in attributes}
    assert targets <= set(ids)
    assert Nesting(html).open == []


def test_every_picture_can_be_heard_and_read_as_a_table(lesson: Lesson) -> None:
    parsed = Parsed(page(lesson))
    pictures = [attributes for tag, attributes in parsed.tags if tag in ("svg", "canvas")]
    assert len(pictures) == 5 + 1 + 4 + 1 + 2 + 1 + 2 + 5, "legend, figures, sliders and states"
    heard = [one for one in pictures if one.get("aria-hidden") != "true"]
    assert len(heard) == len(pictures) - 5 and all(one["role"] == "img" and one["aria-label"] for one in heard)
    assert parsed.texts["summary"] == ["The numbers as a table"] * 9
    labels = {attributes.get("for") for tag, attributes in parsed.tags if tag == "label"}
    inputs = [attributes for tag, attributes in parsed.tags if tag == "input"]
    assert {one["id"] for one in inputs} == labels == {"layer", "alpha", "repulsion", "layers"}
    assert all(one["aria-valuetext"] for one in inputs)
    sections = [attributes for tag, attributes in parsed.tags if tag == "section"]
    assert len(sections) == len(parsed.texts["h2"]) == 8
    seen = [text for text in parsed.texts["b"] if text.startswith("What to see:")]
    assert len(seen) == 7, "all sections but the last have something to see"


def test_numbers_and_marks_are_those_of_the_runs(lesson: Lesson) -> None:
    parsed = Parsed(page(lesson))
    assert parsed.texts["td"][0] == "82.0 %"
    assert parsed.texts["span"].count("collapsed") == 1 + 2 + 2 + 2, "table, states, DropEdge, evidence"
    assert "Five networks, trained on this computer" in " ".join(parsed.texts["p"][1].split())


def test_states_are_in_the_page_byte_by_byte(lesson: Lesson) -> None:
    content = json.loads(Parsed(page(lesson)).script("data"))
    assert [one["name"] for one in content["animations"]] == [network.name for network in lesson.networks]
    for held, network in zip(content["animations"], lesson.networks, strict=True):
        assert network.animation is not None
        raw = np.frombuffer(base64.b64decode(held["points"]), np.uint8).reshape(held["frames"], NODES, 2)
        step = network.animation.extent / 127.5
        np.testing.assert_allclose((raw / 127.5 - 1) * 127.5 * step, network.animation.points, atol=0.51 * step)
        assert len(held["ranks"]) == held["frames"] == network.depth + 1


def test_names_are_escaped_everywhere(lesson: Lesson) -> None:
    first = replace(lesson.networks[0], name=HOSTILE, evidence=HOSTILE, verdict=HOSTILE)
    hostile = replace(lesson, dataset=HOSTILE, classes=[HOSTILE] * 7, uri=HOSTILE, missing=[HOSTILE],
                      networks=[first, *lesson.networks[1:]])  # fmt: skip
    html = page(hostile)
    assert "<i>" not in html and Nesting(html).open == []
    assert HOSTILE in Parsed(html).texts["dt"][0]


def test_a_page_with_what_there_is(lesson: Lesson) -> None:
    (only,) = (replace(network, animation=None) for network in lesson.networks[:1])
    reach = replace(lesson.reach, resistance=None)
    parsed = Parsed(page(replace(lesson, networks=[only], missing=["GCN 8"], dropped=None, reach=reach)))
    assert "canvas" not in parsed.texts and "One network, trained" in " ".join(parsed.texts["p"][1].split())
    assert any("Without a result: GCN 8." in text for text in parsed.texts["p"])
    assert any("No states: GCN 2." in text for text in parsed.texts["p"])


def test_the_page_is_small_with_a_graph_of_the_size_of_cora(lesson: Lesson) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 7, 2708)
    states = [
        Animation("cora", one.name, one.depth, rng.normal(size=(one.depth + 1, 2708, 2)), y) for one in lesson.networks
    ]
    large = [replace(one, animation=states[k]) for k, one in enumerate(lesson.networks)]
    reach = replace(lesson.reach, nodes=2485, before=[1, 284, 700, 1500], after=[1, 484, 1000, 1000])
    assert len(page(replace(lesson, networks=large, reach=reach))) < 1_500_000


def test_colours_of_ten_classes_differ() -> None:
    assert len(set(CLASSES)) == 10
    assert all(re.fullmatch(r"#[0-9a-f]{6}", color) for color in CLASSES)


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 800, 1440])
def test_the_page_works_in_a_browser(lesson: Lesson, width: int, tmp_path: Path) -> None:
    found = browse(page(lesson), HERE / "browser.js", tmp_path, width)
    assert found["errors"] == []
    assert found["width"] == width and found["overflow"] <= width and found["cut"] == []
    assert found["resources"] == []
    for key in ("alpha", "repulsion", "layers"):
        slider = found["sliders"][key]
        assert slider["moved"] and slider["back"] and slider["said"] and slider["spoken"]
    states = found["states"]
    assert states["blank"] == [False] * 5 and states["changed"] == [True] * 5 and states["same"] == [True] * 5
    assert states["zero"] == "layer 0" and states["text"] == "layer 32"
    assert states["says"] == "layer 2 of 2, effective rank 0.1"
    assert states["playing"] == "stop" and 0 < states["after"] < 32 and states["rests"]
    assert states["end"] == [32, "play"]
    assert states["alone"] == [True] * 5 and states["together"] == [True] * 5
    assert found["focusable"] >= 4 + 7 + 1 + 8 + 9
