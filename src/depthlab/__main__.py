"""`depthlab COMMAND ...`: the commands of the program. Imports nothing heavy."""

import difflib
import importlib
import sys

from depthlab.startup import start

COMMANDS = {  # name: (module, what it does)
    "train": ("depthlab.training.command", "train one network at one depth on one graph"),
    "study": ("depthlab.study.command", "train along depth, with seeds, splits and methods"),
    "sweep": ("depthlab.sweep.command", "search hyperparameters"),
    "report": ("depthlab.report.command", "write a study's tables, figures and page"),
    "ui": ("depthlab.tracking.ui", "open the records in MLflow's user interface"),
    "fetch": ("depthlab.data.fetch", "fetch and verify raw files"),
    "trust": ("depthlab.data.raw_files", "add the hash of a raw file that you trust"),
    "prepare": ("depthlab.data.prepare", "turn raw files into one safe file with its statistics"),
    "rewire": ("depthlab.data.rewire", "show what a rewiring does to a graph"),
    "wiring": ("depthlab.report.wiring", "draw a small graph before and after a rewiring"),
    "close": ("depthlab.tracking.close", "close the record of a run whose process was killed elsewhere"),
}


def run(name: str) -> None:
    """Run a command on `sys.argv[1:]`; ends the process."""
    importlib.import_module(COMMANDS[name][0]).command()


def main() -> None:
    """The console script."""
    start()
    typed = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if typed in ("-h", "--help"):
        print(__doc__.splitlines()[0], *(f"  {name:9}{text}" for name, (_, text) in COMMANDS.items()), sep="\n")
        print("`depthlab COMMAND --help` says what one takes.")
        return
    if typed not in COMMANDS:
        close = difflib.get_close_matches(typed, COMMANDS, n=1)
        hint = f"did you mean {close[0]}" if close else f"choose one of {', '.join(COMMANDS)}"
        sys.exit(f"error: there is no command {typed}: {hint}")
    sys.argv[:2] = [f"depthlab {typed}"]
    run(typed)


if __name__ == "__main__":
    main()
