"""A full disk and missing memory are recognised, whatever the library makes of them."""

import errno

import pytest
import torch

from depthlab.config.errors import FULL, full_disk, lacks_memory


@pytest.mark.parametrize("code", FULL)
def test_the_error_of_a_full_disk_is_found_behind_others(code: int) -> None:
    full = OSError(code, "no room")
    try:
        try:
            raise full
        except OSError:
            raise RuntimeError("unexpected pos 64 vs 0")  # noqa: B904 - as torch.save does
    except RuntimeError as error:
        assert full_disk(error) is full
    outer = ValueError("later")
    outer.__cause__ = full
    assert full_disk(outer) is full and full_disk(full) is full


@pytest.mark.parametrize("error", [None, ValueError("x"), OSError(errno.EACCES, "x")])
def test_another_error_is_no_full_disk(error: BaseException | None) -> None:
    assert full_disk(error) is None


def test_a_tensor_that_is_larger_than_memory_lacks_it() -> None:
    for size in ((1 << 50,), (1 << 31, 1 << 31, 1 << 31)):
        with pytest.raises(RuntimeError) as error:
            torch.empty(size)
        assert lacks_memory(error.value)
    assert lacks_memory(MemoryError()) and not lacks_memory(RuntimeError("shapes differ"))
