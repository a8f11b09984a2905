"""Build the help of a command from its docstring and the comments in its settings file. Imports nothing heavy."""

import ast
import textwrap

from depthlab.config.files import config_file, option_names
from depthlab.config.schema import GROUPS
from depthlab.folders import SOURCE


def command_help(module: str, settings: str) -> str:
    """Help text: the command's description, its settings with their defaults, and the options of each group.

    Args:
        module: the command's module; its docstring is the description.
        settings: name of the settings file, "" for none.
    """
    source = SOURCE / f"{module.replace('.', '/')}.py"
    description = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    if not settings:
        return description
    text = config_file("", settings).read_text(encoding="utf-8")
    parts = [description, text.partition("\n\n")[2].partition("\nhydra:")[0].strip()]
    groups = (*GROUPS, *([settings] if settings != "config" else []))
    options = [f"  {group:9} {', '.join(option_names(group))}" for group in groups]
    options = [textwrap.fill(line, 118, subsequent_indent=12 * " ") for line in options]
    parts.append("Groups and their options (model=gcn); an option has its own settings (model.alpha=0.2):")
    parts += ["\n".join(options), "`--cfg job` prints the resolved settings and exits."][
        : 2 if settings == "config" else 1
    ]
    return "\n\n".join(parts)
