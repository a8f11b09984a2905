"""Where files lie: those of the program, and those of the project that it works for. Imports nothing heavy."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SOURCE = PACKAGE.parent  # modules are found below it
CHECKOUT = SOURCE.parent  # of the program's own repository, if it was not installed from a wheel
CONF = next((path for path in (PACKAGE / "conf", CHECKOUT / "conf") if path.is_dir()), PACKAGE / "conf")
HOME = "DEPTHLAB_HOME"  # environment variable that names the project folder
ROOT = Path(os.environ.get(HOME) or ".").resolve()  # raw data, prepared files, checkpoints, records, results
