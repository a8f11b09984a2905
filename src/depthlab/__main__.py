"""`depthlab COMMAND ...`: the commands of the program.

Imports nothing heavy.
"""

import difflib
import importlib
import sys
from pathlib import Path

import depthlab
from depthlab.config.errors import UserError
from depthlab.config.files import use_config_dir
from depthlab.startup import start

COMMANDS = {  # name: (module, help, settings file: "" for none, None where argparse prints the help)
    "train": ("depthlab.training.command", "train one network at one depth on one graph", "config"),
    "study": ("depthlab.study.command", "train along depth, with seeds, splits and methods", "study"),
    "sweep": ("depthlab.sweep.command", "search hyperparameters", "sweep"),
    "report": ("depthlab.report.command", "write a study's tables, figures and page", ""),
    "ui": ("depthlab.tracking.ui", "open the records in MLflow's user interface", None),
    "fetch": ("depthlab.data.fetch", "fetch and verify raw files", None),
    "trust": ("depthlab.data.raw_files", "add the hash of a raw file that you trust", ""),
    "prepare": ("depthlab.data.prepare", "turn raw files into one safe file with its statistics", "config"),
    "rewire": ("depthlab.data.rewire", "show what a rewiring does to a graph", "config"),
    "rewired_edges": ("depthlab.report.rewired_edges", "draw a small graph before and after a rewiring", "config"),
    "close": ("depthlab.tracking.close", "close the record of a run whose process was killed elsewhere", None),
    "completion": ("depthlab.completion", "print the script for tab completion in bash, zsh or fish", ""),
}


def run(name: str) -> None:
    """Run a command on `sys.argv[1:]`; ends the process."""
    module, _, settings = COMMANDS[name]
    try:
        if name != "completion":
            sys.argv[1:] = use_config_dir(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
    if settings is not None and {"-h", "--help"}.intersection(sys.argv[1:]):
        from depthlab.config.help import command_help

        print(command_help(module, settings))
        return
    importlib.import_module(module).command()


def main() -> None:
    """The console script."""
    start()
    sys.path.append(str(Path.cwd()))  # so that `_target_` can name the user's own modules, as under `python -m`
    typed = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if typed in ("-h", "--help"):
        print(__doc__.splitlines()[0], *(f"  {name:15}{text}" for name, (_, text, _) in COMMANDS.items()), sep="\n")
        print("`depthlab COMMAND --help` describes a command; `--config-dir DIR` adds your own folder of yaml files.")
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
