"""Callbacks of Lightning that the settings name."""

from pytorch_lightning.callbacks import Callback

from depthlab.config.instantiate import build, import_class
from depthlab.config.schema import Settings


def make_callbacks(settings: Settings) -> list[Callback]:
    """New callbacks of the options of conf/callbacks.

    Raises:
        UserError: a class is no callback or refuses its arguments.
    """
    return [build("callbacks", one, import_class("callbacks", one, Callback)) for one in settings.callbacks.values()]
