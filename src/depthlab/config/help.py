"""Build the help of a command from its docstring and the comments of the yaml files. Imports nothing heavy."""

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence

from depthlab.config.files import config_file, option_names
from depthlab.config.schema import GROUPS, LIST_GROUPS
from depthlab.folders import SOURCE

WIDTH = 118
ENTRY = re.compile(r"^( *)([\w.]+):(?: +([^#\s][^#]*?))?(?: +# *(.*))?$")
TITLES = {  # of the groups whose names need a word
    "lr_scheduler": "lr_scheduler (learning rate)",
    "loader": "loader (the part of the graph in a training step)",
    "recipe": "recipe (settings for a dataset and a model)",
}


def command_help(module: str, settings: str, groups: Sequence[str] = ()) -> str:
    """Help text: the command's description with examples, its settings, and the options of its groups.

    Args:
        module: the command's module; its docstring is the description.
        settings: name of the settings file, "" for none.
        groups: config groups of a command without a settings file; with one they are `GROUPS` and its own.
    """
    source = SOURCE / f"{module.replace('.', '/')}.py"
    parts = [ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""]
    if settings:
        parts += settings_help(config_file("", settings).read_text(encoding="utf-8"))
        groups = (*([settings] if settings != "config" else []), *GROUPS, *LIST_GROUPS)
    if groups:
        example, own = (
            ("model=gcnii", "model.alpha=0.2") if "model" in groups else ("dataset=csbm", "dataset.nodes=120")
        )
        parts.append(f"Options, such as {example}; an option has settings of its own, such as {own}, in its yaml file:")
        parts += [f"{TITLES.get(group, group)}\n" + "\n".join(_options(group)) for group in groups]
    if settings == "config":
        parts.append("`--cfg job` prints the resolved settings and exits.")
    return "\n\n".join(parts)


def settings_help(text: str) -> list[str]:
    """A block for each block of a settings file: `name=default` and its comment; a comment alone is its title.

    The list of defaults and the settings of Hydra are left out.
    """
    blocks = []
    for block in text.split("\n\n"):
        title = [line.lstrip("# ") for line in block.splitlines() if line.startswith("#")]
        entries = list(_entries(block))
        if not entries or entries[0][0].split(".")[0] in ("defaults", "hydra"):
            continue
        width = min(34, max(len(f"{name}={value}") for name, value, _ in entries))
        rows = [_row(f"{name}={value}", comment, width) for name, value, comment in entries]
        blocks.append("\n".join([*title[:1], *rows]))
    return blocks


def _entries(block: str) -> Iterator[tuple[str, str, str]]:
    """Name, default and comment of each setting of a block; nested settings have dotted names."""
    lines = block.splitlines()
    group, note = "", ""
    for at, line in enumerate(lines):
        match = ENTRY.match(line)
        if not match:
            continue
        indent, name, value, comment = match.groups(default="")
        inner = lines[at + 1 : at + 2]
        if not value and inner and inner[0].lstrip().startswith("- "):
            items = [one.strip()[2:] for one in lines[at + 1 :] if one.startswith("  - ")]
            value = f"[{','.join(items)}]"
        elif not value:
            group, note = f"{name}.", comment
            continue
        group = group if indent else ""
        yield group + name, _default(value), comment or (note if indent else "")


def _default(value: str) -> str:
    """A default as it can be read: that of another setting in parentheses, a computed one as dots."""
    other = re.fullmatch(r"\$\{([\w.]+)\}", value)
    return f"({other[1]})" if other else "..." if value.startswith("${") else value


def _row(start: str, comment: str, width: int) -> str:
    """`  name=default   comment`, broken into lines; a long default has a line of its own."""
    indent = " " * (width + 4)
    if len(start) > width:
        first = textwrap.wrap(start, WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False)
        rest = textwrap.wrap(comment, WIDTH, initial_indent=indent, subsequent_indent=indent)
        return "\n".join([*first, *rest])
    lines = textwrap.wrap(comment, WIDTH, initial_indent=f"  {start:{width}}  ", subsequent_indent=indent)
    return "\n".join(lines or [f"  {start}"])


def _options(group: str) -> list[str]:
    """The options of a group, each with the first sentence of its yaml's comment."""
    names = option_names(group)
    width = max(map(len, names), default=0)
    return [_option(group, name, width) for name in names]


def _option(group: str, name: str, width: int) -> str:
    lines = config_file(group, name).read_text(encoding="utf-8").splitlines()
    comments = [line.lstrip("# ") for line in lines if line.startswith("#") and not line.startswith("# @package")]
    start = f"  {name:{width}}  "
    return start + textwrap.shorten(comments[0], WIDTH - len(start), placeholder=" ...") if comments else start.rstrip()
