"""`depthlab predict run=ID out=predictions.csv`: write the predictions of a recorded run for each node.

run=ID|FILE            ID of a run that stores its weights, or the path of its final.ckpt
out=FILE.csv           output file (default: predictions.csv) with the columns node, class, and a probability p_CLASS
                       for each class; or node and value for a regression; or graph instead of node for graph targets
data=FILE              another graph with the same features, a PyG Data saved with torch.save (targets and masks are
                       ignored), or a list of them for a run on many graphs; default: the dataset of the run
data=FOLDER            for a run with dataset=csv: a folder of tables with the same columns; targets may be missing
tracking.uri=URI       where the run is recorded (default: MLFLOW_TRACKING_URI, or mlflow.db in the project folder)
"""

import sys
from pathlib import Path

from depthlab.cli import guarded
from depthlab.config.command_line import read_words
from depthlab.config.errors import UserError
from depthlab.files import write_text

SETTINGS = {"run": "", "out": "predictions.csv", "data": "", "tracking.uri": ""}


def main() -> None:
    """Read the command line, predict and write the table."""
    settings = read_words(sys.argv[1:], SETTINGS)
    if not settings["run"]:
        raise UserError("predict needs a run: add run=ID, as `depthlab train` prints it, or run=PATH of its final.ckpt")
    out = Path(settings["out"]).expanduser()
    if out.suffix != ".csv" or out.is_dir():
        raise UserError(f"out must be the path of a csv file, got {settings['out']}")
    if not out.absolute().parent.is_dir():
        raise UserError(f"there is no folder {out.parent}: create it, or choose another out")

    from depthlab.api.load import load

    loaded = load(settings["run"], settings["tracking.uri"] or None)
    data = loaded.read(settings["data"]) if settings["data"] else None
    try:
        frame = loaded.predict(data).to_frame()
    except UserError as error:
        raise (error if data is None else UserError(f"{settings['data']}: {error}")) from None
    write_text(out, frame.to_csv(index=False))
    print(f"wrote {out}: {len(frame):,} rows with {', '.join(map(str, frame.columns))}")


def command() -> None:
    """Run `main` as a command; ends the process."""
    guarded(main)
