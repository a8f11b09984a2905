"""A Sphinx extension: pages in results/ and reference/ get their numbers and tables from the files of the project.

A page writes `[[ test("cora", "GCN", 8) ]]`; the build replaces it by what results/cora/tables.md says, and fails if
that has no such row or column. So no number of a study is typed by hand.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

FILLED = ("results/", "reference/", "performance")
ROOT = Path(__file__).resolve().parents[1]


def fill(text: str) -> str:
    """A page with its placeholders replaced.

    Raises:
        KeyError: a file of results has no such table, row or column; the error names it.
    """
    from docs.tables import FUNCTIONS

    page = Environment(  # noqa: S701 - Markdown
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[##",
        comment_end_string="##]",
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return page.from_string(text).render(**FUNCTIONS)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""

    def read(app: Any, name: str, source: list[str]) -> None:
        if name.startswith(FILLED):
            source[0] = fill(source[0])

    def changed(app: Any, env: Any, added: Any, changed: Any, removed: Any) -> list[str]:
        return [name for name in env.found_docs if name.startswith(FILLED)]

    app.connect("source-read", read)
    app.connect("env-get-outdated", changed)
    return {"parallel_read_safe": True}
