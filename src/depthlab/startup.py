"""Set environment variables of libraries and handle Ctrl-C before any library is imported."""

import atexit
import gc
import getpass
import os

from depthlab.folders import root


def start() -> None:
    """Prepare the process of a command; its child processes inherit the environment."""
    # else Python's last collection walks all objects, 1.6 s with torch and MLflow; finalisers in cycles do not run
    atexit.register(gc.freeze)
    os.environ["MPLBACKEND"] = "Agg"  # figures are only saved; the backend of a notebook may not be installed
    if os.path.expanduser("~") == "~":  # noqa: PTH111, no HOME and no entry in the password file, as in a container
        os.environ["HOME"] = str(root() / ".home")
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = f"uid{os.getuid()}"

    from depthlab.training.signals import exit_on_signal

    exit_on_signal()  # the imports that follow take seconds
