"""Sets environment variables of libraries and the handling of Ctrl-C before any library is imported."""

import getpass
import os
import sys
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"  # figures are saved, never shown: the backend of a notebook may not even be installed
if os.path.expanduser("~") == "~":  # noqa: PTH111, no HOME and no entry in the password file, as in a container
    os.environ["HOME"] = str(Path(__file__).resolve().parents[1] / ".home")
try:
    getpass.getuser()
except (KeyError, OSError):
    os.environ["USER"] = f"uid{os.getuid()}"

if sys.argv[:1] == ["-m"]:  # Python is looking for the module of a command; seconds of imports follow
    from src.train.signals import end_at_once

    end_at_once()
