"""Run a command: compose its settings with Hydra, and turn a user's mistake into one sentence and exit code 1."""

import difflib
import errno
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

import hydra
import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, InterpolationResolutionError, OmegaConfBaseException

from depthlab.config.compose import compose, register
from depthlab.config.errors import UserError, full_disk, lacks_memory
from depthlab.config.files import config_file
from depthlab.config.limits import shown
from depthlab.config.overrides import ambiguous, check_options, check_sweep, unreadable
from depthlab.config.schema import LISTS, MAX_RUNS, allowed_values
from depthlab.config.validation import validate
from depthlab.config.yaml_files import read_mapping
from depthlab.folders import CONF, relative
from depthlab.text import printable
from depthlab.training.signals import INTERRUPTED, STOPPED, interruptible

DISK = {  # errno: what is wrong and what to do
    errno.ENOSPC: "the disk is full: free some space and start again",
    errno.EDQUOT: "your share of the disk is used up: free some space and start again",
    errno.EFBIG: "files may not become so large here: raise the limit (ulimit -f) or work in another folder",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.EACCES: "it is not permitted: change its permissions",
    errno.EPERM: "it is not permitted: change its permissions",
    errno.EROFS: "the disk is read-only: work in another folder",
    errno.ENOTDIR: "a file stands where a folder is needed: move it away",
    errno.EEXIST: "a file stands where a folder is needed: move it away",
    errno.EISDIR: "a folder stands where a file is needed: move it away",
}


def main(task: Callable[[DictConfig], None], config_name: str = "config") -> None:
    """Compose the config and run `task` on it, for every job of a multirun; ends the process.

    A failing job of a multirun does not stop the others, but a value of the wrong type stops it before any job.
    The exit code is 1 if anything failed, 130 after Ctrl-C or SIGTERM.
    """
    failed, here = False, os.getpid()

    def job(config: DictConfig) -> None:
        nonlocal failed
        try:
            with interruptible():
                task(config)
        except Exception as error:
            sentence = explain(error)
            if sentence is None:
                raise
            print(f"error: {printable(sentence)}", file=sys.stderr)
            if os.getpid() != here:  # started by a launcher, which passes the error to the command
                raise UserError(f"job {HydraConfig.get().job.num}: {sentence}") from None
            failed = True

    for flag in {"-m", "--multirun"}.intersection(sys.argv):  # Hydra accepts it only before or after all settings
        sys.argv.remove(flag)
        sys.argv.insert(1, flag)
    register()

    def start() -> None:
        arguments, unknown = get_args_parser().parse_known_args()
        if unknown:
            raise UserError(f"there is no option {unknown[0]}: write a setting as key=value, such as depth=8")
        check_options(arguments.overrides)
        if arguments.multirun:  # Hydra lists every combination before the first job
            limit = read_mapping(config_file("", config_name)).get("max_runs")
            check_sweep(arguments.overrides, limit if type(limit) is int else MAX_RUNS)
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)()

    guarded(start)
    sys.exit(1 if failed else 0)


def check_early(words: Sequence[str]) -> None:
    """Compose and validate settings before a command imports its libraries; a setting that is not allowed ends it.

    With a flag, which only Hydra can read, nothing is checked.
    """
    if not any(word.startswith("-") for word in words):
        guarded(lambda: validate(*compose("config", list(words))))


def guarded(task: Callable[[], Any]) -> None:
    """Run a command: a user's mistake ends in one sentence and exit code 1, Ctrl-C and SIGTERM in exit code 130.

    If the reader of its output is gone, as after `| true`, the command continues without output.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing several lines of its own
    with redirect_stdout(_Output(sys.stdout)), redirect_stderr(_Output(sys.stderr)):
        try:
            _run(task)
        finally:
            sys.stdout.flush()


def _run(task: Callable[[], None]) -> None:
    """Run a task; a KeyboardInterrupt or an error with a sentence ends the process."""
    try:
        with interruptible():
            task()
    except KeyboardInterrupt as interrupted:
        print(f"\n{str(interrupted) or INTERRUPTED}", file=sys.stderr)
        sys.exit(STOPPED)
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        print(f"error: {printable(sentence)}", file=sys.stderr)
        sys.exit(1)


class _Output:
    """A stream that may be a pipe: output is dropped once the pipe's reader is gone, as after `| true`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def explain(error: Exception) -> str | None:
    """One sentence for a user's mistake, a full disk or too little memory; None for a defect of the program."""
    if isinstance(error, UserError):
        return str(error)
    refused = full_disk(error) or error
    if isinstance(refused, OSError) and refused.errno == errno.ENAMETOOLONG:
        return f"{str(refused.filename)[:60]}... is too long for a file name or path: shorten it"
    if isinstance(refused, OSError) and refused.errno in DISK:
        path = refused.filename2 or refused.filename or "a file"
        verb = "read" if Path(str(path)).is_file() and not os.access(path, os.R_OK) else "write"
        return f"cannot {verb} {path}, {DISK[refused.errno]}"
    smaller = "make hidden, depth or the graph smaller"
    if lacks_memory(error):
        return f"there is not enough memory for this graph and network: {smaller}"
    if isinstance(error, RuntimeError) and "out of memory" in str(error):  # CUDA's
        return f"the GPU has not enough memory for this graph and network: use memory=checkpoint, or {smaller}"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"cannot read {error.problem_mark.name}, line {error.problem_mark.line + 1}: {error.problem}"
    if str(error).startswith("Ambiguous value for argument"):
        return ambiguous(str(error).split("'")[1])
    if isinstance(error, MissingConfigException):
        if not error.missing_cfg_file or not error.options:
            what = f"no config {error.missing_cfg_file}" if error.missing_cfg_file else "no such config folder"
            return f"there is {what}: correct --config-name, --config-path and --config-dir, or omit them"
        group, _, name = error.missing_cfg_file.rpartition("/")
        if "/.." in error.missing_cfg_file:
            group, _, name = error.missing_cfg_file.partition("/")
        if name.startswith("submitit_") and not any(option.startswith("submitit_") for option in error.options or []):
            return f"{group}={name} needs a package that is not installed: pip install 'depthlab[slurm]'"
        options = ", ".join(option for option in error.options or [] if "/" not in option)
        return f"there is no {group or 'config'} {shown(name)}: choose one of {options}"
    if type(error).__module__.startswith("submitit."):  # killed, or at its time limit
        return f"a job did not finish, {str(error).splitlines()[0]}: give its settings again with ckpt=last"
    if isinstance(error, OverrideParseException):
        return unreadable(str(error.override))
    in_file = re.match(r"In '(.+?)': ", str(error)) if isinstance(error, HydraException) else None
    if in_file and isinstance(error.__context__, Exception):  # Hydra does not set the cause
        group, _, name = in_file[1].rpartition("/")
        return f"{relative(config_file(group, name))}: {explain(error.__context__) or ' '.join(str(error).split())}"
    cause = error.__cause__ if isinstance(error, HydraException) else error
    if isinstance(cause, ConfigAttributeError | ConfigKeyError):
        return _unknown_key(cause)
    if isinstance(cause, InterpolationResolutionError):
        return " ".join(str(cause).split("\n")[0].split()) + f" (in {cause.full_key})"
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        value = _value(error)
        instead = f": write {cause.full_key}=[{value}]" if cause.full_key in LISTS else ""
        got = f", got {value}{instead}" if value else ""
        return f"{cause.full_key} must be {allowed_values(cause.full_key)}{got}"
    if isinstance(error, HydraException) or _raised_by_hydra(error):
        return " ".join(str(error).split())
    return None


def _raised_by_hydra(error: BaseException) -> bool:
    """Whether composing raised it: Hydra has plain ValueErrors for some malformed overrides, such as model=null."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace else ""
    return str(module).startswith(("hydra.", "omegaconf."))


def _value(error: Exception) -> str:
    """`abc` of "Error merging override depth=abc" or, for a file, of "Value 'abc' of type ..."."""
    text = str(error).partition("\n")[0]
    if text.startswith("Error merging override") and "=" in text:
        return shown(text.split("=", 1)[1])
    match = re.search(r"Value '(.*)' of type", str(error))
    return shown(match[1]) if match else ""


def _unknown_key(error: ConfigAttributeError | ConfigKeyError) -> str:
    parent = error.parent_node
    siblings = [str(key) for key in parent] if isinstance(parent, Mapping) else []
    key = str(error.key)
    close = difflib.get_close_matches(key, siblings, n=1)
    prefix = str(error.full_key).removesuffix(key)
    known = [prefix + sibling for sibling in siblings if sibling not in ("hydra", "limits", "_target_")]
    hint = f"did you mean {prefix}{close[0]}" if close else f"choose one of {', '.join(known)}"
    if not known:  # an option such as model=mlp or rewiring=none
        group = prefix.removesuffix(".")
        hint = f"this {group} has no settings of its own: leave it out, or choose another, {group}=..."
    return f"there is no setting {error.full_key}: {hint}"
