"""`depthlab examine run=ID`: the node states of a network by layer, and what has happened to it.

Of a recorded run, on its own dataset:

    depthlab examine run=ID

run=ID|FILE            id of a run that keeps its weights, or the path of its final.ckpt
tracking.uri=URI       where the run is recorded (default: MLFLOW_TRACKING_URI, or mlflow.db in the project folder)

Of a network with weights of your own, or with fresh ones, by the settings of `depthlab train`:

    depthlab examine model=module model.target=my_net.py:Net dataset=cora ckpt=weights.pt
    depthlab examine model=gcn depth=32 dataset=texas

ckpt=FILE              weights of the network, `torch.save(network.state_dict(), FILE)`; by default fresh ones

With both:

out=FILE.csv           also write the measures by layer to a table
figure=FILE.png        also draw them
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from depthlab.cli import guarded
from depthlab.config.command_line import for_hydra, read_words
from depthlab.config.errors import UserError
from depthlab.files import write_text

if TYPE_CHECKING:
    from depthlab.api.examine import Examination

OWN = {"run": "", "out": "", "figure": ""}
ENDINGS = {"out": (".csv",), "figure": (".png", ".pdf", ".svg")}


def main() -> None:
    """Read the command line, examine the network, print and write what is asked for."""
    mine = [word for word in sys.argv[1:] if word.partition("=")[0] in OWN]
    others = [word for word in sys.argv[1:] if word not in mine]
    own = read_words(mine, OWN)
    for key, endings in ENDINGS.items():
        path = Path(own[key])
        if own[key] and (path.suffix not in endings or not path.absolute().parent.is_dir()):
            raise UserError(f"{key} must be a file {' or '.join(endings)} in an existing folder, got {own[key]}")
    found = _of_run(own["run"], others) if own["run"] else _of_settings(others)
    print(found)
    if own["out"]:
        write_text(Path(own["out"]), found.to_frame().to_csv())
    if own["figure"]:
        found.plot().savefig(own["figure"], bbox_inches="tight")


def _of_run(run: str, words: list[str]) -> "Examination":
    uri = read_words(words, {"tracking.uri": ""})["tracking.uri"]

    from depthlab.api.examine import examine
    from depthlab.api.load import load

    return examine(load(run, uri or None))


def _of_settings(words: list[str]) -> "Examination":
    if not words:
        raise UserError("examine needs a network: add run=ID of a recorded run, or settings such as model=gcn depth=8")
    from depthlab.api.examine import examine
    from depthlab.api.guest import sentences
    from depthlab.api.own_weights import network_of

    with sentences():
        return examine(network_of(for_hydra(words)))


def command() -> None:
    """Run `main` as a command; ends the process."""
    guarded(main)
