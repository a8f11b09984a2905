"""What the pages of the site quote: cells and tables of results/*/tables.md, and the settings with their comments."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from depthlab.__main__ import COMMANDS
from depthlab.config.files import option_names
from depthlab.folders import CONF

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
SCORE = r"Test .* in %:"
DIFFERENCE = r"(Differences|Beyond).*:"


def _text(study: str) -> str:
    return (RESULTS / study / "tables.md").read_text(encoding="utf-8")


def _section(study: str, section: str | None) -> str:
    """The part of tables.md below the heading `section`; None: the only one.

    Raises:
        KeyError: there is no such section, or None is not enough.
    """
    section = " ".join(section.split()) if section else None  # a page may break the line within it
    parts = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", _text(study), re.MULTILINE | re.DOTALL))
    if section is None and len(parts) == 1:
        return next(iter(parts.values()))
    if section not in parts:
        raise KeyError(f"results/{study}/tables.md has no section {section}, but {list(parts)}")
    return parts[section]


def table(study: str, title: str = SCORE, section: str | None = None) -> str:
    """A table as Markdown.

    Args:
        study: folder in results/.
        title: regular expression for the line above the table; "" for a table directly below the heading.
        section: heading of its section, such as a dataset; None if there is only one.

    Raises:
        KeyError: there is no such table.
    """
    text = _section(study, section)
    found = re.search(rf"^{title}\n+((?:\|.*\n)+)" if title else r"\A\n*((?:\|.*\n)+)", text, re.MULTILINE)
    if not found:
        raise KeyError(f"results/{study}/tables.md, {section}: there is no table {title!r}")
    return found[found.re.groups]


def cell(study: str, row: str, column: Any, title: str = SCORE, section: str | None = None) -> str:
    """The text of one cell.

    Raises:
        KeyError: there is no such row or column.
    """
    lines = [[word.strip() for word in line.strip("|\n").split(" | ")] for line in
             table(study, title, section).splitlines()]  # fmt: skip
    head, rows = lines[0], {line[0]: line for line in lines[2:]}
    if row not in rows or str(column) not in head:
        raise KeyError(
            f"results/{study}/tables.md, {title!r}: no row {row!r} or column {column!r} in {list(rows)}, {head}"
        )
    return rows[row][head.index(str(column))]


def score(study: str, method: str, depth: Any, section: str | None = None) -> str:
    """Test score in %, mean ± half the 95 % interval."""
    return cell(study, method, depth, SCORE, section)


def gain(study: str, row: str, depth: Any, section: str | None = None) -> str:
    """A paired difference in points, such as `gain("cora", "GCNII - GCN", 8)`."""
    return cell(study, row, depth, DIFFERENCE, section)


def verdicts(study: str, method: str, depth: Any, section: str | None = None) -> str:
    """How often each verdict was given, such as `10 healthy`."""
    return cell(study, method, depth, "Verdicts:", section)


def state(study: str, method: str, depth: Any, measure: str, section: str | None = None) -> str:
    """Median of a measure of the last state, such as the `effective rank`."""
    title = "State after the last layer, medians:"
    names = (
        table(study, title, section).partition("|")[2].partition("|")[0].strip().removeprefix("method: ").split(" / ")
    )
    return cell(study, method, depth, title, section).split(" / ")[names.index(measure)]


def runs(study: str) -> pd.DataFrame:
    """results/STUDY/runs.csv: one row for each run."""
    return pd.read_csv(RESULTS / study / "runs.csv")


def commits(study: str) -> str:
    """A sentence: number of runs, and the commits of the code that they ran."""
    frame = runs(study)
    if "git_commit" not in frame:
        return f"{len(frame)} runs."
    names = frame["git_commit"].dropna().astype(str)
    hashes = sorted({f"`{name[:8]}`" for name in names})
    changed = " (partly with uncommitted changes)" if names.str.endswith("-dirty").any() else ""
    return f"{len(frame)} runs of commit{'s' * (len(hashes) > 1)} {', '.join(hashes)}{changed}."


def everything(study: str) -> str:
    """The protocol, all tables of a study, and where its runs are, for the end of its page."""
    _, _, text = _text(study).partition("\n")
    text = re.sub(r"^## ", "### ", text, flags=re.MULTILINE)
    return f"## All tables\n\n{commits(study)} Every run is a row of `results/{study}/runs.csv`.\n{text}"


def commented(path: str) -> str:
    """The settings of a yaml file in conf/ as a table: name, default, meaning. Settings inside a group have a dot."""
    rows, parents = ["| setting | default | meaning |", "|---|---|---|"], [""]
    for line in (CONF / path).read_text(encoding="utf-8").splitlines():
        found = re.match(r"( *)([\w.]+):(?: +(.*?))?(?:\s+# (.*))?$", line)
        if not found or found[2] in ("defaults", "hydra", "limits", "_target_"):
            if line.startswith(("hydra:", "limits:", "defaults:")):
                parents = ["hidden"]
            continue
        level = len(found[1]) // 2
        if level and parents[0] == "hidden":
            continue
        parents = [*parents[:level], found[2]] if level else [found[2]]
        value, meaning = found[3] or "", found[4] or ""
        if value.startswith("# "):
            value, meaning = "", value[2:]
        if value or meaning:
            name = ".".join(parents[: level + 1])
            rows.append(f"| `{name}` | {_code(value)} | {_escaped(meaning)} |")
    return "\n".join(rows)


def _code(value: str) -> str:
    return f"`{value}`".replace("|", "\\|") if value else ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;").replace("$", "\\$")


def options(group: str, level: int = 2, settings: bool = True) -> str:
    """Every option of a config group: a heading of this level, its first comment and, if wanted, its settings."""
    parts = []
    for name in option_names(group):
        path = CONF / group / f"{name}.yaml"
        text = path.read_text(encoding="utf-8")
        comment = " ".join(line[2:] for line in re.match(r"(?:# .*\n)*", text)[0].splitlines())  # type: ignore[index]
        parts.append(f"{'#' * level} {name}\n\n{_escaped(comment)}\n")
        rows = commented(f"{group}/{name}.yaml")
        if settings and rows.count("\n") > 1:
            parts.append(rows + "\n")
    return "\n".join(parts)


def commands() -> str:
    """The commands of the program, as a table."""
    lines = ["| command | what it does |", "|---|---|"]
    lines += [f"| `depthlab {name}` | {_escaped(command.summary)} |" for name, command in COMMANDS.items()]
    return "\n".join(lines)


def front_table() -> str:
    """The table of README: three methods on Cora, with the published values of two of them."""
    lines = table("cora").splitlines()
    kept = [line for line in lines if line.split(" | ")[0] in ("| method", "| GCN", "| residual GCN", "| GCNII")]
    return "\n".join([kept[0].replace("method", "layers"), lines[1], *kept[1:]])


FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (table, cell, score, gain, verdicts, state, runs, commits, everything, commented, options, commands)
}
