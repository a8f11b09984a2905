"""The process that records a run: a run with status RUNNING is stale only if its process has ended."""

import platform
import shlex
from pathlib import Path

import psutil

OWNER = "owner"  # tag of every run
CLOCK = 60.0  # seconds; the start time of a process changes when the clock of its machine is set


def owner() -> str:
    """This process as `HOST PID START`; START is in seconds since 1970."""
    process = psutil.Process()
    return f"{_host()} {process.pid} {process.create_time():.0f}"


def is_dead(owner: str) -> bool:
    """Whether the process of an `owner` tag is known to have ended; for another host the answer is no."""
    return _is_here(owner) and not is_alive(owner)


def is_alive(owner: str) -> bool:
    """Whether the process of an `owner` tag is alive on this host."""
    if not _is_here(owner):
        return False
    _, pid, start = owner.split()
    try:
        process = psutil.Process(int(pid))
        return abs(process.create_time() - float(start)) < CLOCK and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def describe(owner: str) -> str:
    """`process 123 on node7`, or `an unknown process` for a run without the tag."""
    host, _, process = owner.partition(" ")
    return f"process {process.split()[0]} on {host.partition('/')[0]}" if process else "an unknown process"


def how_to_close(uri: str, run_id: str) -> str:
    """The command that closes a run whose process cannot be seen from here."""
    return f"depthlab close {run_id} --uri {shlex.quote(uri)}"


def _is_here(owner: str) -> bool:
    return owner.partition(" ")[0] == _host()


def _host() -> str:
    """The host name and, on Linux, the process namespace: containers with one name do not share processes."""
    try:
        return f"{platform.node()}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return platform.node()
