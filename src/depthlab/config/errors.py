"""Exceptions for errors that the user has to correct, and checks for a full disk and missing memory."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class UserError(Exception):
    """An error that the user can correct; the message is shown without a stack trace."""


class UnavailableError(UserError):
    """Something outside this machine (a remote, an upstream server) could not be reached."""


class ResumeError(UserError):
    """Training cannot continue from a checkpoint; the run can be started again."""


class TakenError(UserError):
    """Another command trains the same run, or has just finished it."""


class ChecksumError(ValueError):
    """The content of a file differs from what was written."""


class DamagedError(UserError):
    """A file or folder that the program wrote is damaged; it can be created again."""


class ReplicasError(UserError):
    """The runs do not fit into memory at once; fewer of them may."""


def full_disk(error: BaseException | None) -> OSError | None:
    """The OSError of a full disk that caused an error, or None; `torch.save` raises a different error from it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return error
        error = error.__cause__ or error.__context__
    return None


def lacks_memory(error: BaseException) -> bool:
    """Whether an error means that main memory is exhausted; torch raises a RuntimeError."""
    phrases = ("can't allocate memory", "Storage size calculation overflowed")
    return isinstance(error, MemoryError) or any(text in str(error) for text in phrases)
