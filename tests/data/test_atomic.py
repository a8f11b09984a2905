import errno
from pathlib import Path

import pytest
import torch

from src.data.atomic import save_whole


def test_the_folder_is_made_and_no_part_is_left(tmp_path: Path) -> None:
    save_whole({"a": torch.arange(3)}, tmp_path / "new" / "file.pt")
    assert torch.equal(torch.load(tmp_path / "new" / "file.pt", weights_only=True)["a"], torch.arange(3))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.pt"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(content: object, part: str) -> None:
        Path(part).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    save_whole(1, tmp_path / "file.pt")
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        save_whole(2, tmp_path / "file.pt")
    assert torch.load(tmp_path / "file.pt", weights_only=True) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file.pt"]
