"""The pages of the site, and the commands in them."""

import re
from pathlib import Path

from depthlab.folders import CHECKOUT

DOCS = CHECKOUT / "docs"
README = CHECKOUT / "README.md"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
FENCE = re.compile(r"^(```|~~~).*?^\1$", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """The indented command lines of a page outside its code blocks, without comments; continued lines are joined."""
    text = FENCE.sub("", page.read_text(encoding="utf-8")).replace("\\\n", " ")
    lines = re.findall(r"(?:(?<=\n\n)|(?<=\n))    (\S.*)$", text, re.MULTILINE)
    lines = [re.sub(r"\s+#.*", "", " ".join(line.split())) for line in lines]
    return [line for line in lines if re.match(r"(\w+=\S+ )*(depthlab|make|python -m|\.ci/run|dvc) ?", line)]
