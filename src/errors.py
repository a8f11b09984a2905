"""The one exception that means "the person, not the program, has to change something"."""


class UserError(Exception):
    """A mistake or a missing thing that one sentence explains; it is shown without a stack trace."""


class UnavailableError(UserError):
    """Something outside this machine (a remote, an upstream server) could not be reached."""


class ResumeError(UserError):
    """A checkpoint that cannot be gone on with: the run may be started anew."""


class ReplicasError(UserError):
    """More runs than fit in memory at once: fewer of them may."""
