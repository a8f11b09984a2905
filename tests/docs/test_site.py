"""The site: every page is reachable and says nothing about machines; it builds without warnings and works offline."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from depthlab.folders import CHECKOUT
from docs.tables import RESULTS
from tests.docs.pages import DOCS, FENCE, PAGES

CAPTIONS = ("Learn", "Use", "Results", "Project")  # of the lists of the front page


def names(page: Path) -> list[str]:
    """The pages that a page lists or links to, as paths without ending."""
    text = page.read_text(encoding="utf-8")
    listed = [line for block in re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL) for line in block.split()]
    linked = re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", text)
    return [name for name in [*listed, *linked] if not name.startswith(":") and name not in CAPTIONS]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_links_and_lists_name_pages(page: Path) -> None:
    for name in names(page):
        assert (page.parent / f"{name}.md").is_file(), name
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", FENCE.sub("", page.read_text(encoding="utf-8"))):
        assert (page.parent / target).exists(), target


def test_every_page_is_listed() -> None:
    listed = {(page.parent / f"{name}.md").resolve() for page in PAGES for name in names(page)}
    assert listed | {DOCS / "index.md"} >= set(PAGES)


def test_every_study_has_a_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES if page.parent.name == "results")
    for folder in RESULTS.glob("*/tables.md"):
        assert folder.parent.name in text, folder


def test_numbers_of_studies_are_not_typed() -> None:
    """The only ± in a page of results are those of published values."""
    for page in (DOCS / "results").glob("*.md"):
        text = re.sub(r"\[\[.*?\]\]", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for number in re.findall(r"\d ± \S+", text):
            line = next(line for line in text.splitlines() if number in line)
            assert re.search(r"PaddlePaddle|reproductions|published", line), f"{page}: {line}"


@pytest.mark.parametrize("page", [*PAGES, *CHECKOUT.glob("*.md")], ids=lambda page: page.name)
def test_pages_do_not_name_a_machine(page: Path) -> None:
    assert not re.search(r"/work/|/tmp/wt|/root/|pypi\.org/simple", page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; the tutorials are run unless an earlier build has cached them."""
    out = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(out)]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_it_builds_without_warnings(site: Path) -> None:
    for page in PAGES:
        assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file()
    text = (site / "results" / "cora.html").read_text(encoding="utf-8")
    assert "81.8 ± 0.2" in text and "[[" not in re.sub(r"(?s)<script.*?</script>", "", text)


@pytest.mark.slow
def test_it_needs_no_network(site: Path) -> None:
    loaded = r"""<(?:script|img|iframe)[^>]+src=["']?(https?:|//)|<link[^>]+rel="stylesheet"[^>]+href="(https?:|//)"""
    for page in site.rglob("*.html"):
        assert not re.search(loaded, page.read_text(encoding="utf-8")), page
    assert "oversmoothing" in (site / "searchindex.js").read_text(encoding="utf-8")
