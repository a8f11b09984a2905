"""The help of a command, from its docstring and the comments of its settings file. Imports nothing heavy."""

import ast
import textwrap

from depthlab.config.files import config_file, option_names
from depthlab.config.schema import GROUPS
from depthlab.folders import SOURCE


def command_help(module: str, settings: str) -> str:
    """What a command does, its settings with their defaults, and the options of each group.

    Args:
        module: of the command, whose docstring describes it.
        settings: name of its settings file, "" if it has none.
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
    parts.append("Groups, each with its options (model=gcn); an option brings settings of its own (model.alpha=0.2):")
    parts += ["\n".join(options), "`--cfg job` shows the settings that would be used, instead of using them."][
        : 2 if settings == "config" else 1
    ]
    return "\n\n".join(parts)
