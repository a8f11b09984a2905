"""Import what the worker processes of a study need, in the process that they are forked from."""

from depthlab.lean import import_lightning
from depthlab.tracking.store import set_environment

set_environment()
import_lightning()

import mlflow.store.tracking.sqlalchemy_store  # noqa: E402
import mlflow.tracking  # noqa: E402, F401

import depthlab.training.replicas  # noqa: E402
import depthlab.training.run  # noqa: E402
import depthlab.training.summary  # noqa: E402, F401
