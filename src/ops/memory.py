"""Keep freed memory inside the process instead of handing it back to the system at every step."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names and numbers of glibc's malloc.h
KEPT = 1 << 30


def keep_freed_memory() -> bool:
    """Raise glibc's thresholds for returning memory; True if the C library took them, False on other systems.

    A deep network frees tens of megabytes after every step and asks for them again in the next. By default glibc gives
    them back in between, and the page faults that follow cost up to a fifth of a step.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent in musl
    return mallopt is not None and all(mallopt(key, KEPT) for key in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD))
