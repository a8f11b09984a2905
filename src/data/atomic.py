"""Files that are either whole or not there."""

import os
import tempfile
from pathlib import Path

import torch


def save_whole(content: object, path: Path) -> None:
    """`torch.save` under a temporary name, then moved into place: no reader ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        torch.save(content, part)
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)
