"""Sets what libraries read from the environment while they are imported, before any of them is."""

import getpass
import os
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"  # figures are saved, never shown: the backend of a notebook may not even be installed
if os.path.expanduser("~") == "~":  # noqa: PTH111, no HOME and no entry in the password file, as in a container
    os.environ["HOME"] = str(Path(__file__).resolve().parents[1] / ".home")
try:
    getpass.getuser()
except (KeyError, OSError):
    os.environ["USER"] = f"uid{os.getuid()}"
