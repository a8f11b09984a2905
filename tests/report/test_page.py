"""The page: what is in it, that it asks for nothing, and that it works in a browser without a network."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from depthlab.measures.diagnosis import VERDICTS
from depthlab.measures.registry import in_report
from depthlab.report.animation import Animation
from depthlab.report.page import page
from depthlab.report.runs import Report
from tests.browser import Parsed, browse
from tests.report.conftest import DEPTHS, DIVERGED, METHODS, NODES, Frame, Store

HERE = Path(__file__).parent
FILES = ["runs.csv", "accuracy.png"]


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return page(report, FILES)


@pytest.fixture(scope="module")
def findings(html: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return browse(html, HERE / "browser.js", tmp_path_factory.mktemp("browser"), 1200)


def test_nothing_in_the_page_asks_for_anything(html: str) -> None:
    parsed = Parsed(html)
    references = [
        (tag, key, value)
        for tag, attributes in parsed.tags
        for key, value in attributes.items()
        if key in ("src", "href", "srcset", "data", "action", "poster", "background") or "url(" in (value or "")
    ]
    assert references == [("link", "href", "data:,"), *(("a", "href", name) for name in FILES)]  # asked for by a click
    assert not {"iframe", "object", "embed", "img", "base"}.intersection(tag for tag, _ in parsed.tags)
    styles = "".join(parsed.texts["style"])
    assert "url(" not in styles
    assert "@import" not in styles
    assert len(html) < 200_000


def test_pictures_are_inside_the_page(frame: Frame) -> None:
    parsed = Parsed(page(Report("hand", frame("GCN", 2, [0.5])), pictures={"a <picture>": b"PNG"}))
    (image,) = [attributes for tag, attributes in parsed.tags if tag == "img"]
    assert image == {"src": "data:image/png;base64,UE5H", "alt": "a <picture>"}


def test_labels_are_text_and_no_markup(html: str) -> None:
    parsed = Parsed(html)
    assert "b" not in parsed.texts
    assert DIVERGED in parsed.texts["th"]
    assert f"{DIVERGED}, csbm, 4 layers, diverged: the last finite states" in parsed.texts["figcaption"]
    assert DIVERGED not in html


def test_names_and_evidence_are_escaped_everywhere(frame: Frame) -> None:
    hostile = "</script><i>\"'&"
    runs = frame(hostile, 2, [0.5], dataset=hostile, evidence=hostile, verdict="healthy")
    curves = {(run_id, one.name): [1.0, 0.5, 0.25] for run_id in runs["run_id"] for one in in_report()}
    animation = Animation(hostile, hostile, 2, np.ones((3, 5, 2), np.float32), np.arange(5) % 3, classes=[hostile] * 3)
    found = Report(hostile, runs, curves, [animation], {hostile: hostile}, 2, question=hostile, link=hostile)
    parsed = Parsed(page(found, [hostile]))
    assert "i" not in parsed.texts
    assert parsed.texts["h1"] == [f"Study {hostile}"]
    assert any(text.startswith(hostile) for text in parsed.texts["h2"])
    assert hostile in parsed.texts["th"]
    assert hostile in [attributes.get("title") for tag, attributes in parsed.tags if tag == "button"]
    content = json.loads(parsed.script("content"))
    assert (content["study"], content["methods"][0]["name"]) == (hostile, hostile)


def test_animation_is_in_the_page_byte_by_byte(html: str, report: Report) -> None:
    content = json.loads(Parsed(html).script("animations"))
    assert len(content["animations"]) == len(report.animations) == 3
    for held, animation in zip(content["animations"], report.animations, strict=True):
        raw = np.frombuffer(base64.b64decode(held["points"]), np.uint8).reshape(5, NODES, 2)
        assert held["layers"] == [0, 1, 2, 3, 4]
        np.testing.assert_allclose((raw / 127.5 - 1) * animation.extent, animation.points, atol=1e-3 * animation.extent)
        assert np.frombuffer(base64.b64decode(held["y"]), np.uint8).tolist() == animation.y.tolist()


def test_table_has_scores_verdicts_and_colours(html: str, recorded: Store) -> None:
    parsed = Parsed(html)
    cells = [attributes for tag, attributes in parsed.tags if tag == "td"]
    assert len(cells) == len(METHODS) * len(DEPTHS)
    assert cells[1]["class"] == recorded.run("GCN", 4, 0).tags["verdict"]
    assert cells[-1] == {"class": "diverged", "style": "background:var(--diverged)"}
    assert parsed.texts["small"][-1] == "3 diverged"
    buttons = [attributes for tag, attributes in parsed.tags if tag == "button" and attributes.get("class") == "cell"]
    assert buttons[-1]["title"] == recorded.run(DIVERGED, 4, 0).tags["evidence"]
    mean = np.mean([recorded.run("GCN", 2, seed).metrics["test_acc"] for seed in (0, 1, 2)])
    assert parsed.texts["button"][0].startswith(f"{100 * mean:.1f} ± ")
    assert [text for text in parsed.texts["th"] if text.startswith("depth")] == ["depth (layers)"]


def test_every_verdict_and_measure_is_defined_on_the_page(html: str) -> None:
    parsed = Parsed(html)
    named = ["Rayleigh quotient", "effective rank", "Dirichlet energy", "gradient norm, epoch 1"]
    assert parsed.texts["dt"] == [*named, *VERDICTS]
    assert all(len(text) > 20 for text in parsed.texts["dd"])
    style = "".join(parsed.texts["style"])
    colors = {verdict: re.findall(rf"--{verdict}: (#\w+);", style) for verdict in VERDICTS}
    for light_or_dark in zip(*colors.values(), strict=True):
        assert len(set(light_or_dark)) == len(VERDICTS)
    assert {len(found) for found in colors.values()} == {2}


def test_page_without_animations_and_results(frame: Frame) -> None:
    empty = {"outcome": "missing", "verdict": None, "evidence": None, "run_id": None, "seconds": float("nan")}
    parsed = Parsed(page(Report("hand", pd.concat([frame("GCN", d, [None], **empty) for d in (2, 4)]))))
    assert "canvas" not in parsed.texts
    assert "input" not in parsed.texts
    assert parsed.texts["small"] == ["1 missing", "1 missing"]


def test_the_page_says_which_networks_the_animation_lacks(frame: Frame) -> None:
    missing = Report("hand", frame("GCN", 2, [0.5]), without_states={"GCN on cora": "model=gcn"}, animations_asked=2)
    text = page(missing)
    assert "GCN on cora is not shown: an earlier run was reused, and it has no recorded states." in text
    assert "depthlab train model=gcn" in text
    assert "1 of 2 networks are not shown: they have no result." in text


def test_an_interval_is_not_claimed_for_one_run(frame: Frame) -> None:
    one = page(Report("hand", frame("GCN", 2, [0.5])))
    assert "One run each, so the spread between runs is not known." in one
    assert "Mean ±" not in one
    assert "Mean ± half the 95 % interval over runs" in page(Report("hand", frame("GCN", 2, [0.5, 0.6, 0.7])))


def test_many_classes_have_no_legend(frame: Frame) -> None:
    def classes(count: int) -> list[str]:
        animation = Animation("cora", "GCN", 2, np.ones((3, count, 2), np.float32), np.arange(count))
        parsed = Parsed(page(Report("hand", frame("GCN", 2, [0.5]), {}, [animation])))
        return [text for text in parsed.texts["li"] + parsed.texts["span"] if text.startswith(("class", "cora:"))]

    assert len(classes(7)) == 7
    assert classes(40) == ["cora: 40 classes, whose colours repeat"]


@pytest.mark.slow
def test_page_opens_without_errors_or_requests(findings: dict[str, Any]) -> None:
    assert findings["errors"] == []
    assert findings["resources"] == []


@pytest.mark.slow
def test_charts_are_drawn_with_names_at_their_ends(findings: dict[str, Any]) -> None:
    assert findings["charts"] == [len(METHODS) - 1, len(METHODS)]  # a method without any score is not drawn
    assert sorted(findings["names"][0]) == sorted(method for method in METHODS if method != DIVERGED)
    assert findings["outside"] == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_is_wider_than_the_window(html: str, tmp_path: Path, width: int) -> None:
    found = browse(html, HERE / "browser.js", tmp_path, width)
    assert (found["errors"], found["outside"]) == ([], [])
    assert found["width"][0] <= found["width"][1] <= width
    assert len(found["names"][0]) == len(METHODS) - 1  # below the chart in a narrow window


@pytest.mark.slow
def test_menus_switch_measure_and_depth(findings: dict[str, Any], recorded: Store) -> None:
    by_depth, by_layer = findings["menus"]
    states = [f"{name}, last layer" for name in ("Dirichlet energy", "Rayleigh quotient", "effective rank")]
    assert [choice[0] for choice in by_depth] == ["test accuracy in %", *states, "seconds of a training"]
    head, *rows = by_depth[0][2]
    assert head == ["depth", *METHODS]
    for depth, row in zip(DEPTHS, rows, strict=True):
        runs = [recorded.run("GCN", depth, seed).metrics["test_acc"] for seed in (0, 1, 2)]
        assert (row[0], row[-1]) == (str(depth), "no value")
        assert float(row[1]) == pytest.approx(100 * np.mean(runs), rel=1e-3)
    names = ["Rayleigh quotient", "effective rank", "Dirichlet energy", "gradient norm, epoch 1"]
    assert [choice[:2] for choice in by_layer] == [[name, depth] for name in names for depth in ("4", "2")]
    assert [len(choice[2]) for choice in by_layer] == [6, 4] * 4  # a header and a row for each layer


@pytest.mark.slow
def test_values_show_under_the_pointer_and_by_the_keyboard(findings: dict[str, Any]) -> None:
    hidden, text = findings["tip"]
    assert not hidden
    assert text.startswith("depth 2")
    assert "GCNII" in text
    assert findings["next"].startswith("depth 4")
    assert [name.rpartition(".")[2] for name in findings["saved"]] == ["csv", "svg"]


@pytest.mark.slow
def test_a_cell_opens_its_evidence_and_links_its_runs(findings: dict[str, Any], recorded: Store) -> None:
    hidden, text, links = findings["evidence"]
    run = recorded.run("GCN", 2, 0)
    assert not hidden
    assert text.startswith("GCN, depth 2: ")
    assert len(links) == 3
    assert links[0].endswith(f"/runs/{run.run_id}?workflowType=machine_learning")


@pytest.mark.slow
def test_slider_shows_another_layer(findings: dict[str, Any]) -> None:
    assert findings["blank"] == [False, False, False]
    assert (findings["first"], findings["second"]) == ("layer 0", "layer 4")
    assert findings["changed"][:2] == [True, True]
    assert findings["same"] == [True, True, True]


@pytest.mark.slow
def test_play_runs_stops_and_starts_again(findings: dict[str, Any]) -> None:
    assert (findings["playing"], findings["stopped"]) == ("stop", "play")
    assert 0 < findings["after"] < 4
    assert findings["rests"]
    assert findings["end"] == [4, "layer 4", "play"]
    assert 0 < findings["again"] < 1
