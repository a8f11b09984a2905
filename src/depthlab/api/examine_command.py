"""`depthlab examine run=ID`: measure the node states of a network by layer, with a verdict.

For a recorded run, on its own dataset:

    depthlab examine run=ID

run=ID|FILE            ID of a run that stores its weights, or the path of its final.ckpt
tracking.uri=URI       where the run is recorded (default: MLFLOW_TRACKING_URI, or mlflow.db in the project folder)

For a network that the settings of `depthlab train` describe, with weights from a file or newly initialised:

    depthlab examine model=module model.target=my_net.py:Net dataset=cora ckpt=weights.pt
    depthlab examine model=gcn depth=32 dataset=texas

ckpt=FILE              weights saved with `torch.save(network.state_dict(), FILE)`; default: newly initialised

For both:

out=FILE.csv           also write the measures by layer to a CSV file
figure=FILE.png        also plot them
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from depthlab.cli import guarded
from depthlab.config.command_line import for_hydra, read_words
from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.files import write_text

if TYPE_CHECKING:
    from depthlab.api.examine import Examination

SETTINGS = {"run": "", "out": "", "figure": ""}
ENDINGS = {"out": (".csv",), "figure": (".png", ".pdf", ".svg")}


def main() -> None:
    """Read the command line, examine the network, print the result and write the requested files."""
    words = [word for word in sys.argv[1:] if word.partition("=")[0] in SETTINGS]
    others = [word for word in sys.argv[1:] if word not in words]
    chosen = read_words(words, SETTINGS)
    for key, endings in ENDINGS.items():
        path = Path(chosen[key])
        if chosen[key] and (path.suffix not in endings or not path.absolute().parent.is_dir()):
            raise UserError(f"{key} must be a file {' or '.join(endings)} in an existing folder, got {chosen[key]}")
    examination = _examine_run(chosen["run"], others) if chosen["run"] else _examine_settings(others)
    print(examination)
    if chosen["out"]:
        write_text(Path(chosen["out"]), examination.to_frame().to_csv())
        print(f"wrote {chosen['out']}")
    if chosen["figure"]:
        examination.plot().savefig(chosen["figure"], bbox_inches="tight")
        print(f"wrote {chosen['figure']}")


def _examine_run(run: str, words: list[str]) -> "Examination":
    uri = read_words(words, {"tracking.uri": ""})["tracking.uri"]

    from depthlab.api.examine import examine
    from depthlab.api.load import load

    return examine(load(run, uri or None))


def _examine_settings(words: list[str]) -> "Examination":
    if not words:
        raise UserError("examine needs a network: add run=ID of a recorded run, or settings such as model=gcn depth=8")
    compose_settings(for_hydra(words))  # a setting that is not allowed ends the command before torch is imported
    from depthlab.api.configured import configured_network
    from depthlab.api.contexts import user_errors
    from depthlab.api.examine import examine

    with user_errors():
        return examine(configured_network(for_hydra(words)))


def command() -> None:
    """Run `main` as a command; ends the process."""
    guarded(main)
