"""The still figures and their tables."""

import math
from dataclasses import replace
from xml.etree import ElementTree

from depthlab.lesson.content import Lesson
from depthlab.lesson.edges import DroppedEdges
from depthlab.lesson.figures import MEASURES, accuracy, by_layer, edges, looks

NAMES = {"s0": 2, "s1": 8}


def texts(svg: str) -> list[str]:
    return [text for text in ElementTree.fromstring(svg).itertext() if text]


def test_accuracy_says_what_happened_beside_every_point(lesson: Lesson) -> None:
    figure = accuracy(lesson)
    assert {"collapsed", "stable", "under-fitted", "GCN 8", "GCNII 32", "guessing: 14.3 %"} <= set(texts(figure.svg))
    assert texts(figure.svg).count("collapsed") == 2
    assert figure.rows[2] == ["GCN 32", "32", "9.0 %", "over-smoothed", "0", "12"]


def test_a_network_that_was_not_tested_has_no_point(lesson: Lesson) -> None:
    diverged = replace(lesson.networks[1], score=math.nan, verdict="diverged")
    figure = accuracy(replace(lesson, networks=[lesson.networks[0], diverged, *lesson.networks[2:]]))
    assert "GCN 8" not in texts(figure.svg)
    assert figure.rows[1][2:4] == ["not tested", "diverged"]


def test_every_measure_has_a_figure_and_zeros_are_drawn_on_its_floor(lesson: Lesson) -> None:
    figures = by_layer(lesson)
    assert [figure.title for figure in figures] == [title for title, _ in MEASURES.values()]
    gradient = ElementTree.fromstring(figures[2].svg)
    lines = [path.attrib["d"] for path in gradient if path.attrib.get("class", "").startswith("line ")]
    heights = [[float(point.split(",")[1]) for point in line[1:].split("L")] for line in lines]
    assert len(lines) == 5 and [len(line) for line in heights] == [3, 9, 33, 33, 33]
    assert {line[0] for line in heights} == {max(map(max, heights))}
    assert figures[0].rows[0] == ["GCN 2", "1", "0.1", "0.01", "", "", "", ""]
    assert figures[0].head == ["network", *(f"layer {k}" for k in (0, 1, 2, 4, 8, 16, 32))]


def test_a_measure_that_no_network_has_is_left_out(lesson: Lesson) -> None:
    bare = [
        replace(network, curves={"effective_rank": network.curves["effective_rank"]}) for network in lesson.networks
    ]
    assert [figure.title for figure in by_layer(replace(lesson, networks=bare))] == [MEASURES["effective_rank"][0]]


def test_edges_by_epoch() -> None:
    figure = edges(DroppedEdges(5278, [4200, 4150, 4300]), 0.2)
    assert "all edges: 5,278" in texts(figure.svg) and "left in an epoch: 4,150 to 4,300" in texts(figure.svg)
    assert figure.rows == [["0", "5,278", "4,200"], ["1", "5,278", "4,150"], ["2", "5,278", "4,300"]]
    assert edges(DroppedEdges(10, [10]), 0.2).rows == [["0", "10", "10"]]


def test_looks_differ_in_colour_and_shape(lesson: Lesson) -> None:
    styles = list(looks(lesson).values())
    assert len({look for look, _ in styles}) == len({shape for _, shape in styles}) == 5
