"""`depthlab report study=cora`: a recorded study as tables, figures and one page, in results/STUDY.

study=NAME             the study's name in `depthlab study`, study=NAME or name=NAME (default: quick)
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
from depthlab.tracking.store import check_store, store_uri

SETTINGS = {
    "study": "quick",
    "tracking.uri": "",
    "tracking.experiment": os.environ.get("MLFLOW_EXPERIMENT_NAME", "depthlab"),
}


def main() -> None:
    """Check the store, then import the heavy libraries."""
    if {"-h", "--help"}.intersection(sys.argv):
        print(__doc__)
        return
    settings = read_words([re.sub("^name=", "study=", word) for word in sys.argv[1:]], SETTINGS)
    uri = store_uri(settings["tracking.uri"])
    check_store(uri)
    database = Address.of(uri).file
    if database and not database.is_file():
        raise UserError(f"there is no database {database}: run a study, or give the one that holds it, tracking.uri=")

    from depthlab.report.write import write_report
    from depthlab.tracking.search import Records

    for path in write_report(Records(uri, settings["tracking.experiment"], create=False), settings["study"]):
        print(path)


def command() -> None:
    """Run `main` as a command; ends the process."""
    guarded(main)
