"""The files around the project say the same version, and name tools and targets that exist."""

import re

import yaml

import depthlab
from depthlab.folders import CHECKOUT


def test_the_version() -> None:
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
    assert citation["version"] == depthlab.__version__ and citation["authors"] == [{"name": "depthlab contributors"}]
    first = re.search(r"^## ([\d.]+)", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first and first[1] == depthlab.__version__


def test_the_hooks_are_what_make_lint_runs() -> None:
    hooks = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]  # nothing is downloaded
    lint = re.search(r"^lint:.*\n\t(.*)", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    assert lint is not None
    for hook in hooks[0]["hooks"]:
        program, *words = hook["entry"].removesuffix(" --force-exclude").split()
        assert " ".join([program.replace(".venv/bin", "$(BIN)"), *words[:1]]) in lint[1]


def test_ci_builds_the_site() -> None:
    assert "\nmake docs\n" in (CHECKOUT / ".ci" / "run").read_text()
    assert "sphinx -W" in (CHECKOUT / "Makefile").read_text()


def test_issue_templates() -> None:
    for template in (CHECKOUT / ".github" / "ISSUE_TEMPLATE").glob("*.md"):
        head = yaml.safe_load(template.read_text().split("---")[1])
        assert head["name"] and head["about"]
