"""Import the class that an option names by `_target_`, and create an instance."""

import inspect
from typing import Any

from hydra.utils import get_class

from depthlab.config.errors import UserError
from depthlab.config.option_types import Option


def import_class(group: str, option: Option, base: type) -> type[Any]:
    """Import the class that an option names.

    Args:
        group: config group of the option, for the error.
        base: required base class.

    Raises:
        UserError: it cannot be imported, or is not a subclass of `base`.
    """
    try:
        kind: type[Any] = get_class(str(option.target))
    except Exception as error:  # Hydra's own error, or any error while the module is imported
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"{group}={option.name}: cannot import {option.target}: {reason}") from None
    if not issubclass(kind, base):
        raise UserError(
            f"{group}={option.name}: {option.target} is not a subclass of {base.__module__}.{base.__name__}"
        )
    return kind


def build(group: str, option: Option, kind: type[Any], given: dict[str, Any] | None = None) -> Any:
    """Create an instance from the arguments in the yaml file and those that the program passes.

    Raises:
        UserError: the class rejects these arguments, or the yaml file sets one that the program passes.
    """
    given = given or {}
    if twice := sorted(given.keys() & option.arguments.keys()):
        raise UserError(f"{group}={option.name}: depthlab sets {', '.join(twice)}, so leave it out of the yaml")
    arguments = given | dict(option.arguments)
    try:
        inspect.signature(kind).bind(**arguments)
        return kind(**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{group}={option.name}: {option.target} refuses its arguments: {reason}") from None
