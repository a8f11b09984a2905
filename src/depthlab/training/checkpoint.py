"""Checkpoints: written with a checksum, and read only if it matches and settings, data and code are unchanged."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from depthlab.config.errors import ChecksumError, DamagedError, ResumeError
from depthlab.config.schema import Settings
from depthlab.files import load_torch, save_torch, unreadable, verify_checksum
from depthlab.training.identity import LAST

AGREEING = {"resume_hash": "settings", "data_hash": "data", "code_hash": "code"}


class CheckpointFile(TorchCheckpointIO):
    """How Lightning writes and reads checkpoints: atomically and with a checksum."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        save_torch(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: Any = None) -> dict[str, Any]:
        content: dict[str, Any] = load_torch(Path(path), map_location=map_location)
        return content


def read_checkpoint(path: Path, identity: dict[str, str]) -> dict[str, Any]:
    """The content of a checkpoint, loaded without executing code.

    Args:
        path: a file written by `Saver`.
        identity: `resume_hash`, `data_hash` and `code_hash` of the resumed run.

    Raises:
        ResumeError: the file is damaged or not a checkpoint, or its settings, data or code differ.
        UserError: the file cannot be read.
    """
    try:
        content: dict[str, Any] = load_torch(path, map_location="cpu")
        saved = content["callbacks"]["Recorder"]
        different = [what for key, what in AGREEING.items() if saved[key] != identity[key]]
    except (KeyError, TypeError):
        raise ResumeError(f"{path} is not a checkpoint of a run: start the run without ckpt") from None
    except Exception as error:  # truncated or not an archive: UnpicklingError, OSError, RuntimeError, ...
        damage = unreadable(path, error)
        if isinstance(damage, DamagedError):
            raise ResumeError(f"{damage}: start the run without ckpt") from None
        raise damage from None
    if different:
        raise ResumeError(f"{path} belongs to a run with other {different[0]}: use the same, or start without ckpt")
    return content


def without_damaged_checkpoint(settings: Settings, folder: Path) -> Settings:
    """The settings, without `ckpt=last` if that checkpoint is damaged; then a message says that the run starts over.

    Args:
        folder: of the run's checkpoints.

    Raises:
        UserError: the file exists and cannot be read.
    """
    path = folder / LAST
    if settings.ckpt != "last" or not path.is_file():
        return settings
    try:
        verify_checksum(path)
    except (ChecksumError, OSError) as error:
        damage = unreadable(path, error)
        if not isinstance(damage, DamagedError):
            raise damage from None
        print(f"{damage}: the run starts over", file=sys.stderr)
        return replace(settings, ckpt=None)
    return settings
