"""Compile a C++ file of this package on first use, into a cache for all later processes. Imports nothing heavy.

`python -m depthlab.compiler` compiles now, and says what went wrong where that fails; `make setup` runs it.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from depthlab.config.closure import closure
from depthlab.config.errors import UserError
from depthlab.folders import PACKAGE

KERNEL = "DEPTHLAB_KERNEL"  # environment variable
CHOICES = ("auto", "plain")  # compiled where that is possible; torch's own operations
COMPILED = "depthlab.ops.layers"  # the module that calls them
LAYERS = PACKAGE / "ops" / "layers.cpp"
COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-Wno-psabi", "-shared", "-fPIC")
WIDE = ("-mprefer-vector-width=512",)  # without it GCC and Clang take halves of the registers of AVX-512
SECONDS = 300  # after which a compiler is stopped


class CompileError(Exception):
    """Why there is no compiled library, as the first part of a sentence."""


def kernel() -> ctypes.CDLL | None:
    """The compiled layers, or None where torch has to run them; the first call says why.

    Raises:
        UserError: the environment variable `DEPTHLAB_KERNEL` has an unknown value.
    """
    choice = os.environ.get(KERNEL) or CHOICES[0]
    if choice not in CHOICES:
        raise UserError(f"{KERNEL}={choice} is not known: use {' or '.join(CHOICES)}")
    return _loaded() if choice == "auto" else None


def path_taken(names: Iterable[str]) -> str | None:
    """What runs the layers of a network: the hash of the compiled source, or `plain`; None if they are not of a kind
    that can be compiled.

    It is a part of a result's identity: compiled layers draw other masks, and no Python module holds their source.

    Args:
        names: of the classes and functions behind the result (`Settings.targets`).
    """
    if not _may_be_compiled(frozenset(names)):
        return None
    return "plain" if kernel() is None else hashlib.md5(LAYERS.read_bytes()).hexdigest()[:8]


@functools.cache
def _may_be_compiled(names: frozenset[str]) -> bool:
    return COMPILED in closure(names)


@functools.cache
def _loaded() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(library(LAYERS)))
    except (CompileError, OSError) as error:
        print(f"{error}: torch runs the layers, more slowly; {KERNEL}=plain hides this line", file=sys.stderr)
        os.environ[KERNEL] = "plain"  # of child processes, which would say it again
        return None


def library(source: Path, again: bool = False) -> Path:
    """The shared library of a C++ file, compiled unless the cache has it.

    Its name holds a hash of the source, the compiler, its flags and the features of the processor. It is written under
    another name and then renamed, so that several processes may compile at once. What a compiler refused is noted and
    not tried again by later processes.

    Args:
        again: try what was refused before.

    Raises:
        CompileError: there is no compiler, it refuses the file, or the cache cannot be written.
    """
    if sys.platform != "linux":
        raise CompileError(f"the compiled layers need Linux, this is {sys.platform}")
    compiler = _compiler()
    status = Path(compiler[0]).stat()
    flags = [*FLAGS, *(WIDE if "avx512f" in _processor() else ())]
    key = [source.read_text(), compiler, status.st_size, status.st_mtime_ns, flags, _processor()]
    folder = _cache()
    path = folder / f"{source.stem}-{hashlib.md5(repr(key).encode()).hexdigest()}.so"
    refused = path.with_suffix(".refused")
    if path.is_file():
        return path
    if refused.is_file() and not again:
        raise CompileError(f"{refused.read_text()}; `python -m depthlab.compiler` tries again")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch, "library.so")
            problem = _compile([*compiler, *flags, str(source), "-o", str(made)])
            if problem:
                refused.write_text(problem)
                raise CompileError(problem)
            made.replace(path)
            with suppress(OSError):
                refused.unlink()
    except OSError as error:
        raise CompileError(
            f"the compiled layers cannot be kept in {folder} ({error.strerror}; XDG_CACHE_HOME names another folder)"
        ) from None
    return path


def _compile(command: list[str]) -> str | None:
    """Run the compiler; returns what went wrong, or None."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"{command[0]} had not compiled the layers after {SECONDS} s"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return f"{command[0]} could not compile the layers ({next((one for one in lines if 'error' in one), lines[0])})"


def _compiler() -> list[str]:
    """The command of the compiler: CXX, perhaps with arguments as in `ccache g++`, or the first that is installed.

    Links are not followed: ccache is the compiler by whose name it is called.
    """
    named = os.environ.get("CXX", "").split()
    for command in [named] if named else [[name] for name in COMPILERS]:
        if found := shutil.which(command[0]):
            return [found, *command[1:]]
    if named:
        raise CompileError(f"CXX={' '.join(named)} is not a compiler that is installed")
    raise CompileError("no C++ compiler is installed (g++ or clang++)")


@functools.cache
def _processor() -> str:
    """The processor's type and features: code for one may not run on another that shares the cache."""
    lines: set[str] = set()
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text()
        lines = {line for line in text.splitlines() if line.startswith(("model name", "flags", "Features", "CPU part"))}
    return "\n".join([platform.machine(), *sorted(lines)])


def _cache() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME")
    return (Path(folder) if folder else Path(os.path.expanduser("~/.cache"))) / "depthlab"  # noqa: PTH111


def main() -> None:
    """Compile the layers."""
    try:
        print(f"the layers are compiled: {library(LAYERS, again=True)}")
    except CompileError as error:
        print(f"{error}: torch runs the layers, more slowly", file=sys.stderr)


if __name__ == "__main__":
    main()
