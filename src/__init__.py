"""`python -m src.NAME` from a checkout: use the package beside this file, here and in child processes."""

import os
import sys
from pathlib import Path

HERE = str(Path(__file__).resolve().parent)
sys.path.insert(0, HERE)
os.environ["PYTHONPATH"] = os.pathsep.join([HERE, *filter(None, [os.environ.get("PYTHONPATH")])])

if sys.argv[:1] == ["-m"]:  # Python is looking for the module of a command
    from depthlab.startup import start

    start()
