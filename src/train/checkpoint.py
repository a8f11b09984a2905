"""Reading back what `Saver` wrote: only a checkpoint of the same settings and data is gone on with."""

from pathlib import Path
from typing import Any

import torch

from src.errors import ResumeError


def read_checkpoint(path: Path, identity: dict[str, str]) -> dict[str, Any]:
    """The content of a checkpoint; nothing in it is executed.

    Args:
        path: a file that `Saver` wrote.
        identity: `config_hash`, `data_hash` and `code_hash` of the run that wants to go on.

    Raises:
        ResumeError: it cannot be read, was written by something else, or belongs to other settings, data or code.
    """
    try:
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        saved = content["callbacks"]["Recorder"]
        found = {key: saved[key] for key in identity}
    except Exception as error:  # torn, no archive, other content: UnpicklingError, OSError, RuntimeError, KeyError, ...
        raise ResumeError(
            f"{path} is not a checkpoint to go on with ({type(error).__name__}): start the run without ckpt"
        ) from None
    if found != identity:
        names = {"config_hash": "settings", "data_hash": "data", "code_hash": "code"}
        what = next(words for key, words in names.items() if found.get(key) != identity.get(key))
        raise ResumeError(f"{path} belongs to a run with other {what}: give the same, or start without ckpt")
    return content
