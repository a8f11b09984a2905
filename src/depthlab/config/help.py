"""Build the help of a command from its docstring and the comments in its settings file. Imports nothing heavy."""

import ast
import textwrap
from collections.abc import Sequence

from depthlab.config.files import config_file, option_names
from depthlab.config.schema import GROUPS
from depthlab.folders import SOURCE


def command_help(module: str, settings: str, groups: Sequence[str] = ()) -> str:
    """Help text: the command's description, its settings with their defaults, and the options of its groups.

    Args:
        module: the command's module; its docstring is the description.
        settings: name of the settings file, "" for none.
        groups: config groups of a command without a settings file; with one they are `GROUPS` and its own.
    """
    source = SOURCE / f"{module.replace('.', '/')}.py"
    parts = [ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""]
    if settings:
        text = config_file("", settings).read_text(encoding="utf-8")
        parts.append(text.partition("\n\n")[2].partition("\nhydra:")[0].strip())
        groups = (*GROUPS, *([settings] if settings != "config" else []))
    if groups:
        example, own = ("model=gcn", "model.alpha=0.2") if "model" in groups else ("dataset=csbm", "dataset.nodes=120")
        parts.append(f"Groups and their options ({example}); an option has its own settings ({own}):")
        options = [f"  {group:9} {', '.join(option_names(group))}" for group in groups]
        parts.append("\n".join(textwrap.fill(line, 118, subsequent_indent=12 * " ") for line in options))
    if settings == "config":
        parts.append("`--cfg job` prints the resolved settings and exits.")
    return "\n\n".join(parts)
