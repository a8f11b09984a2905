"""The one exception that means "the person, not the program, has to change something", and what a machine lacks."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class UserError(Exception):
    """A mistake or a missing thing that one sentence explains; it is shown without a stack trace."""


class UnavailableError(UserError):
    """Something outside this machine (a remote, an upstream server) could not be reached."""


class ResumeError(UserError):
    """A checkpoint from which training cannot continue; the run can be started again."""


class TakenError(UserError):
    """Another command trains the same run, or has just finished it."""


class ChecksumError(ValueError):
    """The content of a file differs from what was written."""


class DamagedError(UserError):
    """A file or folder that the program wrote is damaged; it can be created again."""


class ReplicasError(UserError):
    """More runs than fit in memory at once: fewer of them may."""


def full_disk(error: BaseException | None) -> OSError | None:
    """The OSError of a full disk behind an error, if there is one: `torch.save` raises another on top of it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return error
        error = error.__cause__ or error.__context__
    return None


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that main memory is short; torch raises a RuntimeError."""
    phrases = ("can't allocate memory", "Storage size calculation overflowed")
    return isinstance(error, MemoryError) or any(text in str(error) for text in phrases)
