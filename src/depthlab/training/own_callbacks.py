"""Callbacks of Lightning that the settings name."""

from pytorch_lightning.callbacks import Callback

from depthlab.config.instantiate import build, class_of
from depthlab.config.schema import Settings


def make_callbacks(settings: Settings) -> list[Callback]:
    """New callbacks of the options of conf/callbacks.

    Raises:
        UserError: a class is no callback or refuses its arguments.
    """
    return [build("callbacks", one, class_of("callbacks", one, Callback)) for one in settings.callbacks.values()]
