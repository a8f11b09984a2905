"""The page: what is in it, that it asks for nothing, and that it works in a browser without a network."""

import base64
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from depthlab.measures.diagnosis import VERDICTS
from depthlab.measures.registry import in_report
from depthlab.report.page import BACKGROUNDS, page
from depthlab.report.runs import Animation, Report
from tests.report.conftest import DEPTHS, DIVERGED, METHODS, NODES, Frame, Store

HERE = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OFFLINE = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND",
    "--virtual-time-budget=15000", "--dump-dom",
]  # fmt: skip


class Parsed(HTMLParser):
    """Tags with their attributes, and the text below each kind of tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        self.texts = {tag: [text.strip() for text in texts] for tag, texts in self.texts.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts.setdefault(tag, []).append("")

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.texts[self.tags[-1][0]][-1] += data

    def script(self, key: str) -> str:
        """The script with this id."""
        scripts = [attributes for tag, attributes in self.tags if tag == "script"]
        return self.texts["script"][next(k for k, a in enumerate(scripts) if a.get("id") == key)]


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return page(report)


@pytest.fixture(scope="module")
def findings(html: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What tests/report/browser.js found, in a real browser that reaches no network."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        if os.environ.get("CI"):
            pytest.fail("a browser is needed to test the page: install chromium")
        pytest.skip("no chromium here to open the page in")
    folder = tmp_path_factory.mktemp("browser")
    (folder / "report.html").write_text(
        html.replace("<head>", f"<head><script>{(HERE / 'browser.js').read_text()}</script>", 1)
    )
    command = [browser, *OFFLINE, f"--user-data-dir={folder / 'profile'}", (folder / "report.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    boxes = Parsed(done.stdout).texts.get("pre")
    assert boxes, f"the page did not get to its end: {done.stderr[-2000:]}"
    found: dict[str, Any] = json.loads(boxes[-1])
    return found


def test_nothing_in_the_page_asks_for_anything(html: str) -> None:
    parsed = Parsed(html)
    references = [
        (tag, key, value)
        for tag, attributes in parsed.tags
        for key, value in attributes.items()
        if key in ("src", "href", "srcset", "data", "action", "poster", "background") or "url(" in (value or "")
    ]
    files = [("a", "href", "runs.csv"), ("a", "href", "tables.md")]  # beside the page, asked for by a click alone
    assert references == [("link", "href", "data:,"), *files]
    assert not {"iframe", "object", "embed", "img", "base"}.intersection(tag for tag, _ in parsed.tags)
    styles = "".join(parsed.texts["style"])
    assert "url(" not in styles
    assert "@import" not in styles


def test_labels_are_text_and_no_markup(html: str) -> None:
    parsed = Parsed(html)
    assert "b" not in parsed.texts
    assert DIVERGED in parsed.texts["td"]
    assert f"{DIVERGED}, csbm, 4 layers, diverged: the last finite states" in parsed.texts["figcaption"]
    outside = "".join(html.split("<script")[0:1] + [part.partition("</script>")[2] for part in html.split("<script")])
    assert DIVERGED not in outside


def test_names_and_evidence_are_escaped_everywhere(frame: Frame) -> None:
    hostile = "</script><i>\"'&"
    runs = frame(hostile, 2, [0.5], dataset=hostile, evidence=hostile, verdict=hostile)
    curves = {(run_id, one.name): [1.0, 0.5, 0.25] for run_id in runs["run_id"] for one in in_report()}
    animation = Animation(hostile, hostile, 2, np.ones((3, 5, 2), np.float32), np.arange(5) % 3)
    parsed = Parsed(page(Report(hostile, runs, curves, [animation])))
    assert "i" not in parsed.texts
    assert parsed.texts["h1"] == [f"{hostile}: what happens as networks grow deeper"]
    assert hostile in parsed.texts["h2"]
    assert hostile in parsed.texts["td"]
    assert hostile in [attributes.get("title") for tag, attributes in parsed.tags if tag == "td"]


def test_animation_is_in_the_page_byte_by_byte(html: str, report: Report) -> None:
    content = json.loads(Parsed(html).script("animations"))
    assert len(content["animations"]) == len(report.animations) == 3
    for held, animation in zip(content["animations"], report.animations, strict=True):
        raw = np.frombuffer(base64.b64decode(held["points"]), np.uint8).reshape(held["layers"], NODES, 2)
        assert held["layers"] == 5
        step = np.abs(animation.points).max() / 127.5 or 1.0
        np.testing.assert_allclose((raw / 127.5 - 1) * 127.5 * step, animation.points, atol=0.51 * step)
        assert np.frombuffer(base64.b64decode(held["y"]), np.uint8).tolist() == animation.y.tolist()


def test_table_holds_accuracies_verdicts_and_colours(html: str, recorded: Store) -> None:
    parsed = Parsed(html)
    runs = [attributes for tag, attributes in parsed.tags if tag == "td" and "style" in attributes]
    assert len(runs) == len(METHODS) * len(DEPTHS)
    colors = [str(run["style"]).removeprefix("background:") for run in runs]
    verdict = recorded.run("GCN", 4, 0).tags["verdict"]
    assert colors[1] == BACKGROUNDS[verdict]
    assert colors[-1] == BACKGROUNDS["diverged"]
    assert parsed.texts["small"][-1] == "3 diverged"
    assert runs[-1]["title"] == recorded.run(DIVERGED, 4, 0).tags["evidence"]
    mean = np.mean([recorded.run("GCN", 2, seed).metrics["test_acc"] for seed in (0, 1, 2)])
    assert parsed.texts["td"][1].startswith(f"{100 * mean:.1f} ± ")


def test_every_verdict_has_a_colour_of_its_own() -> None:
    assert set(BACKGROUNDS) == set(VERDICTS)
    assert len(set(BACKGROUNDS.values())) == len(VERDICTS)


def test_page_without_animations_and_results(frame: Frame) -> None:
    empty = {"outcome": "missing", "verdict": None, "evidence": None, "run_id": None, "seconds": float("nan")}
    parsed = Parsed(page(Report("hand", pd.concat([frame("GCN", d, [None], **empty) for d in (2, 4)]))))
    assert "canvas" not in parsed.texts
    assert "input" not in parsed.texts
    assert parsed.texts["small"] == ["1 missing", "1 missing"]


def test_a_point_without_a_value_is_counted_in_the_legend(frame: Frame) -> None:
    parts = [frame("GCN", 2, [0.5, 0.6]), frame("GCN", 4, [None, 0.6]), frame("GCN", 8, [None, None])]
    text = page(Report("hand", pd.concat(parts)))
    names = set(re.findall(r'"name":"(GCN[^"]*)"', text))
    assert names == {"GCN (0 of 2 at 8)", "GCN", "GCN (0 of 2 at 0)"}  # against depth, seconds, by layer


@pytest.mark.slow
def test_page_opens_without_errors_or_requests(findings: dict[str, Any]) -> None:
    assert findings["errors"] == []
    assert findings["resources"] == []


@pytest.mark.slow
def test_charts_are_drawn_with_the_means(findings: dict[str, Any], recorded: Store) -> None:
    assert len(findings["charts"]) == 2
    assert min(findings["charts"]) >= len(METHODS) - 1  # a method without any accuracy is not drawn
    drawn = dict(zip(METHODS, findings["accuracies"], strict=True))
    assert drawn.pop(DIVERGED) == [None] * len(DEPTHS)
    for method, values in drawn.items():
        runs = [[recorded.run(method, d, seed).metrics["test_acc"] for seed in (0, 1, 2)] for d in DEPTHS]
        assert values == pytest.approx([100 * np.mean(accuracies) for accuracies in runs])


@pytest.mark.slow
def test_menus_switch_measure_and_depth(findings: dict[str, Any]) -> None:
    by_depth, by_layer = findings["menus"]
    names = ["test accuracy in %", "Dirichlet energy", "Rayleigh quotient", "effective rank", "seconds"]
    scales = ["linear", "log", "log", "linear", "linear"]
    hidden = f"{DIVERGED} (0 of 3 at 2, 0 of 3 at 4)"
    counted = [hidden if method == DIVERGED else method for method in METHODS]
    shown = [*[counted] * 4, list(METHODS)]  # a diverged run has seconds, and states by layer before it diverged
    assert by_depth == [[name, name, scale, methods] for name, scale, methods in zip(names, scales, shown, strict=True)]
    assert [choice[0] for choice in by_layer] == [
        f"{name}, depth {depth}" for name in [*names[1:4], "gradient norm, epoch 1"] for depth in reversed(DEPTHS)
    ]
    for label, title, scale, methods in by_layer:
        assert label.startswith(f"{title}, depth")
        assert scale == ("linear" if title == "effective rank" else "log")
        assert [method.removesuffix(" (0 of 3 at 0)") for method in methods] == list(METHODS)


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
