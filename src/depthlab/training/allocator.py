"""Tune how glibc retains freed memory. Other C libraries do not have these settings."""

import ctypes
from contextlib import suppress

from depthlab.nn.network import Network
from depthlab.training.module import TrainingModule

BLOCK_SIZE = 1 << 17  # bytes; larger blocks are unmapped when they are freed
SPARED = 2 << 20  # the same for fused networks, whose states are in one block; their temporary tensors stay on the heap
MAPPED = 32 << 20  # bytes; glibc maps larger blocks by default


def tune_allocator(model: TrainingModule, nodes: int, asked: str) -> None:
    """Set whether the C library retains freed blocks, if a step frees more than glibc retains by default.

    Otherwise a step of 64 layers of GCNII on Cora takes twice as long. Retained blocks fragment the heap, so they are
    retained only if the setting `asked` is `auto`, whose estimate allows for it.
    """
    if model.memory == "checkpoint":
        fused = type(model.network).fused is not Network.fused
        unmap_freed_blocks(SPARED if fused else BLOCK_SIZE)
    elif asked == "auto" and 4 * nodes * model.hidden * model.network.depth > MAPPED:
        keep_freed_blocks()


def keep_freed_blocks() -> None:
    """Make the C library retain freed blocks for later allocations. No effect on other platforms such as macOS.

    Every step of replicas or of a deep network allocates and frees tens of megabytes, and glibc never retains blocks of
    more than 32 MB by default. The system fills every new block with zeros, which takes a fifth of a step of replicas
    on two cores, and half of a step of a GCN with 128 channels on 100,000 nodes.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        for largest in (MAPPED, 2**31 - 1):  # glibc before 2.35 accepts only the first
            library.mallopt(-3, largest)  # M_MMAP_THRESHOLD
        library.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
        library.mallopt(-2, 64 << 20)  # M_TOP_PAD


def unmap_freed_blocks(size: int) -> None:
    """Make glibc map blocks of at least `size` bytes separately, and unmap freed ones.

    On the heap a freed block cannot serve the next aligned request of its size: the heap of a process that recomputes
    grows to 3.7 times its contents. Mapping takes time, so only networks that recompute layers use it.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(-3, size)  # M_MMAP_THRESHOLD
