"""Create the user's Lightning callbacks."""

import sys

from pytorch_lightning.callbacks import Callback

from depthlab.config.errors import UserError
from depthlab.config.instantiate import build, import_class
from depthlab.config.schema import Settings

UNCALLED = ("on_validation", "on_sanity_check", "on_test", "on_predict")  # prefixes of the hooks of other loops
AFTER_VALIDATION = ("check_on_train_epoch_end", "save_on_train_epoch_end")  # must not be false


def make_callbacks(settings: Settings) -> list[Callback]:
    """Create the callbacks that the settings select from conf/callbacks.

    Raises:
        UserError: a class is not a callback or rejects its arguments.
    """
    return [build("callbacks", one, import_class("callbacks", one, Callback)) for one in settings.callbacks.values()]


def check_callbacks(settings: Settings) -> None:
    """Refuse callbacks that would never be called, because validation does not go through Lightning.

    A user callback that also has other hooks is accepted with a warning.

    Raises:
        UserError: as `make_callbacks`, or a callback has only validation hooks.
    """
    for option, callback in zip(settings.callbacks.values(), make_callbacks(settings), strict=True):
        what = f"callbacks={option.name}: {option.target}"
        for argument in AFTER_VALIDATION:
            if option.arguments.get(argument) is False:
                raise UserError(f"{what} with {argument}=false is never called: leave {argument} out")
        hooks = [name for name in dir(Callback) if name.startswith("on_") and _overrides(callback, name)]
        called = [name for name in hooks if not name.startswith(UNCALLED)]
        uncalled = [name for name in hooks if name not in called]
        if uncalled and not called:
            raise UserError(f"{what} is never called, since it has only {', '.join(uncalled)}: use on_train_epoch_end")
        ignored = [
            name for name in uncalled if not getattr(type(callback), name).__module__.startswith("pytorch_lightning")
        ]
        if ignored and settings.progress:
            print(f"{what}: {', '.join(ignored)} will not be called: use on_train_epoch_end", file=sys.stderr)


def _overrides(callback: Callback, hook: str) -> bool:
    """Whether a callback overrides a hook of the base class."""
    return getattr(type(callback), hook) is not getattr(Callback, hook)
