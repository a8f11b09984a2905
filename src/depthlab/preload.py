"""Import what the worker processes of a study need, in the process that they are forked from."""

from contextlib import suppress

from depthlab.lean import import_lightning
from depthlab.tracking.store import set_environment

with suppress(Exception):  # a worker imports it again, and its task says what is wrong
    set_environment()
    import_lightning()

    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.tracking  # noqa: F401

    import depthlab.training.replicas
    import depthlab.training.run
    import depthlab.training.summary  # noqa: F401
