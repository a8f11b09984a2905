"""`depthlab report study=cora`: a recorded study as data, tables, figures and one page, in results/STUDY.

    depthlab report study=cora                                           for the screen
    depthlab report study=cora 'formats=[pdf,svg]' width=3.3in latex=true  for a column of a paper
    depthlab report study=cora from=results                              again from the files in results/STUDY

study=NAME             the study's name in `depthlab study`, study=NAME or name=NAME (default: quick)
from=store             store (MLflow) | results (the files that an earlier report wrote)
formats=[png]          formats of the figures: png, pdf, svg
width=3.3in            width of the figures for a paper, in in, cm or mm (default: for the screen)
latex=false            true: write tables.tex, booktabs tables with the best score of a depth in bold if tests say so
tracking.uri=URI       where it is recorded (default: MLFLOW_TRACKING_URI, or mlflow.db in the project folder)
tracking.experiment=NAME
"""

import os
import re
import sys

from depthlab.address import Address
from depthlab.cli import guarded
from depthlab.config.command_line import read_words
from depthlab.config.errors import UserError
from depthlab.report.output import Output
from depthlab.tracking.store import check_store, store_uri

SETTINGS = {
    "study": "quick",
    "from": "store",
    "formats": "[png]",
    "width": "",
    "latex": "false",
    "tracking.uri": "",
    "tracking.experiment": os.environ.get("MLFLOW_EXPERIMENT_NAME", "depthlab"),
}


def main() -> None:
    """Check the store, then import the heavy libraries."""
    if {"-h", "--help"}.intersection(sys.argv):
        print(__doc__)
        return
    settings = read_words([re.sub("^name=", "study=", word) for word in sys.argv[1:]], SETTINGS)
    output = Output.read(settings["formats"], settings["width"], settings["latex"])
    if settings["from"] not in ("store", "results"):
        raise UserError(f"from must be store or results, got {settings['from']}")
    if settings["from"] == "results":
        from depthlab.report.files import read_data
        from depthlab.report.write import write

        print(*write(read_data(settings["study"]), output), sep="\n")
        return
    uri = store_uri(settings["tracking.uri"])
    check_store(uri)
    database = Address.of(uri).file
    if database and not database.is_file():
        raise UserError(f"there is no database {database}: run a study, or give the one that holds it, tracking.uri=")

    from depthlab.report.write import write_report
    from depthlab.tracking.search import Records

    records = Records(uri, settings["tracking.experiment"], create=False)
    print(*write_report(records, settings["study"], output), sep="\n")


def command() -> None:
    """Run `main` as a command; ends the process."""
    guarded(main)
