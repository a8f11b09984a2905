"""The environment that libraries find when they are imported."""

import os
import subprocess
import sys

from depthlab.folders import CHECKOUT

NO_USER = """
import os, pwd, sys
def unknown(uid):
    raise KeyError("getpwuid(): uid not found")
pwd.getpwuid = unknown
import src
from depthlab.startup import start
start()
import getpass
from pathlib import Path
print(Path.home(), getpass.getuser())
"""
BACKEND = "import src; from depthlab.startup import start; start(); import matplotlib; print(matplotlib.get_backend())"


def printed(program: str, **environment: str) -> str:
    users = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME")
    inherited = {key: value for key, value in os.environ.items() if key not in users}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=inherited | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_user_without_an_entry_and_without_home() -> None:
    assert printed(NO_USER) == f"{CHECKOUT / '.home'} uid{os.getuid()}"
    assert printed(NO_USER, HOME="/here", USER="me") == "/here me"


def test_the_backend_of_a_notebook_is_not_asked_for() -> None:
    assert printed(BACKEND, MPLBACKEND="module://matplotlib_inline.backend_inline", HOME="/tmp").lower() == "agg"


def test_no_garbage_is_searched_for_at_the_end() -> None:
    last = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 0)); "  # the first runs last
    assert printed(f"{last}from depthlab.startup import start; start()", HOME="/tmp") == "True"
    assert printed(f"{last}import depthlab", HOME="/tmp") == "False"
