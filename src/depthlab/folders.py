"""Folders of the program and of the project. Imports nothing heavy."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SOURCE = PACKAGE.parent  # modules are found below it
CHECKOUT = SOURCE.parent  # root of the repository, unless installed from a wheel
CONF = next((path for path in (PACKAGE / "conf", CHECKOUT / "conf") if path.is_dir()), PACKAGE / "conf")
INSTALLED = CONF.parent == PACKAGE  # from a wheel: files inside the package are never changed
HOME = "DEPTHLAB_HOME"  # environment variable that names the project folder


def root() -> Path:
    """The project folder: the current one, unless DEPTHLAB_HOME names another."""
    return Path(os.environ.get(HOME) or ".").resolve()


def data() -> Path:
    """Raw files."""
    return root() / "data"


def prepared() -> Path:
    """Prepared datasets and rewired edges."""
    return root() / "prepared"


def checkpoints() -> Path:
    """Checkpoints of runs, and locks of studies and sweeps."""
    return root() / "checkpoints"


def results() -> Path:
    """Reports."""
    return root() / "results"


def sweeps() -> Path:
    """Journals of sweeps."""
    return root() / "sweeps"


def database() -> Path:
    """The default MLflow database."""
    return root() / "mlflow.db"


def relative(path: Path) -> str:
    """A path for a message: relative to the project folder if it is inside."""
    return str(path.relative_to(root())) if path.is_relative_to(root()) else str(path)
