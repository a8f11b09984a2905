"""Find the class that an option names by `_target_`, and make an object of it."""

import inspect
from typing import Any

from hydra.utils import get_class

from depthlab.config.errors import UserError
from depthlab.config.schema import Option


def import_class(group: str, option: Option, base: type) -> type[Any]:
    """The class that an option names.

    Args:
        group: config group of the option, for the error.
        base: what it has to be a subclass of.

    Raises:
        UserError: it cannot be imported, or it is another kind of class.
    """
    try:
        kind: type[Any] = get_class(str(option.target))
    except Exception as error:  # Hydra's own error, and whatever the import of a module raises
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"{group}={option.name}: cannot import {option.target}: {reason}") from None
    if not issubclass(kind, base):
        raise UserError(
            f"{group}={option.name}: {option.target} is not a subclass of {base.__module__}.{base.__name__}"
        )
    return kind


def build(group: str, option: Option, kind: type[Any], given: dict[str, Any] | None = None) -> Any:
    """An object of a class, from the arguments in the yaml and those that the program gives.

    Raises:
        UserError: the class refuses these arguments, or the yaml has one that the program gives.
    """
    given = given or {}
    if twice := sorted(given.keys() & option.arguments.keys()):
        raise UserError(f"{group}={option.name} is given {', '.join(twice)} by the program: leave it out of the yaml")
    arguments = given | dict(option.arguments)
    try:
        inspect.signature(kind).bind(**arguments)
        return kind(**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{group}={option.name}: {option.target} refuses its arguments: {reason}") from None
