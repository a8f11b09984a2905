"""Create the user's Lightning callbacks."""

from pytorch_lightning.callbacks import Callback

from depthlab.config.instantiate import build, import_class
from depthlab.config.schema import Settings


def make_callbacks(settings: Settings) -> list[Callback]:
    """Create the callbacks that the settings select from conf/callbacks.

    Raises:
        UserError: a class is not a callback or rejects its arguments.
    """
    return [build("callbacks", one, import_class("callbacks", one, Callback)) for one in settings.callbacks.values()]
