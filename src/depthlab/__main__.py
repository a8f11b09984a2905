"""`depthlab COMMAND ...`: the commands of the program.

Imports nothing heavy.
"""

import difflib
import importlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

import depthlab
from depthlab.config.errors import UserError
from depthlab.config.files import use_config_dir
from depthlab.startup import start


class Command(NamedTuple):
    """A command of the program.

    Attributes:
        module: has a function `command`; its docstring is the description in the help.
        summary: one line of the list of commands.
        settings: name of its settings file, "" for none; None if argparse prints the help.
        groups: config groups that it takes if it has no settings file.
    """

    module: str
    summary: str
    settings: str | None = ""
    groups: tuple[str, ...] = ()


COMMANDS = {
    "train": Command("depthlab.training.command", "train one network at one depth on one graph", "config"),
    "study": Command("depthlab.study.command", "train along depth, with seeds, splits and methods", "study"),
    "sweep": Command("depthlab.sweep.command", "search hyperparameters", "sweep"),
    "lesson": Command("depthlab.lesson.command", "train five networks and explain the collapse on one page"),
    "report": Command("depthlab.report.command", "write a study's tables, figures and page"),
    "predict": Command("depthlab.api.predict_command", "write the predictions of a recorded run"),
    "examine": Command("depthlab.api.examine_command", "measure a network by layer, with a verdict", "config"),
    "ui": Command("depthlab.tracking.ui", "open the records in MLflow's user interface", None),
    "fetch": Command("depthlab.data.fetch", "fetch and verify raw files", None),
    "trust": Command("depthlab.data.raw_files", "add the hash of a raw file that you trust"),
    "prepare": Command("depthlab.data.prepare", "prepare a dataset and its graph statistics", groups=("dataset",)),
    "rewire": Command("depthlab.data.rewire", "rewire a graph and count the edges", groups=("dataset", "rewiring")),
    "rewired_edges": Command(
        "depthlab.report.rewired_edges", "draw a graph before and after a rewiring", groups=("dataset", "rewiring")
    ),
    "close": Command("depthlab.tracking.close", "close the record of a run whose process was killed elsewhere", None),
    "completion": Command("depthlab.completion", "print the script for tab completion in bash, zsh or fish"),
}


def run(name: str) -> None:
    """Run a command on `sys.argv[1:]`; ends the process."""
    command = COMMANDS[name]
    try:
        if name != "completion":
            sys.argv[1:] = use_config_dir(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
    if command.settings is not None and {"-h", "--help"}.intersection(sys.argv[1:]):
        from depthlab.config.help import command_help

        _print(command_help(command.module, command.settings, command.groups))
        return
    if command.groups:
        from depthlab.cli import check_early

        check_early(sys.argv[1:])
    importlib.import_module(command.module).command()


def _print(text: str) -> None:
    """Print to a reader that may have ended, as in `depthlab train --help | head -1`."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at its end


def main() -> None:
    """The console script."""
    start()
    sys.path.append(str(Path.cwd()))  # so that `_target_` can name the user's own modules, as under `python -m`
    typed = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if typed in ("-h", "--help"):
        rows = [f"  {name:15}{command.summary}" for name, command in COMMANDS.items()]
        end = "`depthlab COMMAND --help` describes a command; `--config-dir DIR` adds your own folder of yaml files."
        _print("\n".join([__doc__.splitlines()[0], *rows, end]))
        return
    if typed == "--version":
        print(f"depthlab {depthlab.__version__}")
        return
    if typed not in COMMANDS:
        close = difflib.get_close_matches(typed, COMMANDS, n=1)
        hint = f"did you mean {close[0]}" if close else f"choose one of {', '.join(COMMANDS)}"
        sys.exit(f"error: there is no command {typed}: {hint}")
    sys.argv[:2] = [f"depthlab {typed}"]
    run(typed)


if __name__ == "__main__":
    main()
