"""README: its length, its numbers, its links and its code."""

import re
from pathlib import Path
from typing import Any

import pytest

from depthlab.config.files import option_names
from depthlab.measures.diagnosis import VERDICTS
from docs import tables
from tests.docs.pages import DOCS, README, commands

TEXT = README.read_text(encoding="utf-8")
FLAT = " ".join(TEXT.split())
OWN = ("csv", "folder", "npz", "ogb", "pt", "pyg", "tu")  # formats, not datasets


def test_it_is_a_front_page() -> None:
    assert len(TEXT.splitlines()) <= 150
    assert commands(README)[:2] == ["make train", "make test"]


def test_the_table_is_that_of_the_study() -> None:
    assert f"\n\n{tables.front_table()}\n\n" in TEXT


def test_the_findings_are_those_of_the_studies() -> None:
    deep = [tables.verdicts("cora", "GCN", depth) for depth in (8, 16, 32, 64)]
    assert deep == ["10 over-smoothed"] * 4 and "All 40 of its runs with 8 layers or more are `over-smoothed`" in FLAT
    assert f"{tables.score('thousand', 'GCNII', 1024)} % with 1,024 layers (three seeds)" in FLAT
    assert f"{tables.score('thousand', 'GCNII', 64)} % with 64 layers (ten seeds)" in FLAT
    section = "texas: rewirings, test score and paired differences in %"
    gain = tables.cell("rewiring_texas", "GCN + FoSR", "- random edges", "", section)
    assert f"FoSR on Texas. It beats random edges by {gain.removeprefix('+')} points" in FLAT


def test_the_counts() -> None:
    models = [name for name in option_names("model") if name != "module"]
    graphs = [name for name in option_names("dataset") if name not in OWN]
    assert f"{len(models)} architectures on {len(graphs)} graphs and tasks" in FLAT
    studies = list(tables.RESULTS.glob("*/runs.csv"))
    assert f"figures of {len(studies)} studies and sweeps" in FLAT
    assert all(f"`{verdict}`" in TEXT for verdict in VERDICTS)


def test_links_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert len(links) > 10
    for link in links:
        assert link.startswith("https://") or (README.parent / link).exists(), link


def test_its_picture_is_drawn(tmp_path: Path) -> None:
    from docs.figures import draw

    draw(tmp_path / "collapse.png")
    assert (tmp_path / "collapse.png").stat().st_size > 10_000
    assert "docs/_static/collapse.png" in TEXT and (DOCS / "_static" / "collapse.png").is_file()


@pytest.mark.slow
def test_its_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace("epochs=50", "epochs=2, progress=False").replace("depth=16", "depth=3"), names)
    assert names["run"].outcome == "finished"
