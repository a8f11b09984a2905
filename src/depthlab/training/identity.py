"""Tags and hashes that identify a run, and the folder of its checkpoints. Imports nothing heavy."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import depthlab
from depthlab import compiler
from depthlab.config import closure
from depthlab.config.errors import UserError
from depthlab.config.overrides import override_of
from depthlab.config.schema import OPTION_GROUPS, Settings
from depthlab.config.settings import config_hash, flatten, resume_hash, to_dict
from depthlab.folders import CHECKOUT, checkpoints
from depthlab.measures.registry import functions
from depthlab.training.run_name import run_name

LAST, FINAL, STATES, LOCK = "last.ckpt", "final.ckpt", "states.npz", "lock"
REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")
OVERRIDES, TAG_LENGTH = "overrides", 5000  # characters of a tag: MLflow truncates tags beyond 8000
TRAINING = ("depthlab.training.run", "depthlab.training.replicas")


def checkpoint_folder(settings: Settings, root: Path | None = None) -> Path:
    """The folder of a run's checkpoints, the same for the same settings."""
    name = run_name(settings, with_trainer=False)  # a checkpoint can be resumed with another trainer
    return (root or checkpoints()) / f"{name}-{resume_hash(settings)[:8]}"


def resumable(ckpt: str | None, folder: Path, module: str | None = None) -> Path | None:
    """The checkpoint that `ckpt` asks for.

    Args:
        ckpt: value of the setting, or None.
        folder: folder of the run's checkpoints.
        module: target of the external module, or None.

    Raises:
        UserError: there is no such checkpoint; the error names a similar run that has one.
    """
    if ckpt is None:
        return None
    path = folder / LAST if ckpt == "last" else Path(ckpt)
    if path.is_file():
        return path
    if ckpt == "last":
        if (folder / FINAL).is_file():
            raise UserError("the run with these settings has finished: leave ckpt=last out to run it again")
        alike = re.match(r".*?-d\d+-s\d+", folder.name)  # same dataset, architecture, depth and seed
        others = folder.parent.glob(f"{alike[0] if alike else folder.name}-*/{LAST}")
        if latest := max(others, key=lambda other: other.stat().st_mtime, default=None):
            if module and latest.parent.name.rpartition("-")[0] == folder.name.rpartition("-")[0]:
                raise UserError(
                    f"{folder.name} has no checkpoint, {latest.parent.name} has, of a run with other code of"
                    f" {module.partition(':')[0]} or a setting that is not in its name: undo the edit, or start the run"
                    " without ckpt=last"
                )
            raise UserError(
                f"{folder.name} has no checkpoint, {latest.parent.name} has, of a run with other settings: use those"
                " of then (its tag command_line in MLflow), or start the run without ckpt=last"
            )
    raise UserError(f"there is no checkpoint {path}: start the run without ckpt={ckpt}")


def tags(settings: Settings, provenance: Mapping[str, str]) -> dict[str, str]:
    """Tags of a run, for filters in the UI and to look up finished runs.

    `recipe` names the file whose values were used, `overrides` lists the overrides as JSON, and `command_line` has them
    on one line, to read. `overrides_of` reads them back.
    """
    recipes = {source for source in provenance.values() if source.startswith("recipe ")}
    chosen = {group: str(getattr(settings, group).name) for group in OPTION_GROUPS}
    flat = flatten(to_dict(settings)) | chosen | {"dataset": settings.dataset.option}
    overridden = [key for key, source in provenance.items() if source == "command line" and key in flat]
    overrides = sorted(override_of(key, flat[key]) for key in overridden)
    return {
        **chosen,
        "model": settings.model.label,
        "dataset": settings.dataset.label,
        "depth": str(settings.depth),
        "seed": str(settings.seed),
        "split": settings.split,
        "recipe": next(iter(recipes), "recipe none").removeprefix("recipe "),
        "command_line": shlex.join(overrides) or "none",
        **_override_tags(overrides),
        "git_commit": _git_commit(),
        "version": depthlab.__version__,
        "outcome": "running",
    }


def overrides_of(tags: Mapping[str, str]) -> list[str]:
    """The overrides of a recorded run, each as `key=value`.

    Older runs have only `command_line`; it is split where a key begins.
    """
    parts = sorted((key for key in tags if key.startswith(OVERRIDES)), key=lambda key: (len(key), key))
    if parts:
        return list(map(str, json.loads("".join(tags[key] for key in parts))))
    line = tags.get("command_line", "none")
    return re.split(r" (?=[\w.]+=)", line) if line != "none" else []


def _override_tags(overrides: list[str]) -> dict[str, str]:
    """The list as JSON, split by MLflow's limit into the tags `overrides`, `overrides.1`, ..."""
    text = json.dumps(overrides)
    parts = [text[start : start + TAG_LENGTH] for start in range(0, len(text), TAG_LENGTH)]
    return {f"{OVERRIDES}.{number}" if number else OVERRIDES: part for number, part in enumerate(parts)}


def identity_of(settings: Settings, data_hash: str) -> dict[str, str]:
    """Hashes of settings, data and code: tags of a run. Resuming a checkpoint checks all of them but `config_hash`.

    `kernel` says what this machine has for the layers of the network on a CPU: the hash of the C++ source that is
    compiled, `plain` for torch's operations, `none` if they are of no kind that can be compiled.
    """
    hashes = {"config_hash": config_hash(settings), "resume_hash": resume_hash(settings)}
    return hashes | {
        "data_hash": data_hash,
        "code_hash": code_hash(settings.targets),
        "kernel": compiler.path_taken(settings.targets) or "none",
    }


def code_hash(names: Iterable[str]) -> str:
    """Hash of the code that computes a run's numbers, trained alone or as a replica, with that of compiled layers.

    Args:
        names: of the classes and functions in its settings (`Settings.targets`).
    """
    names = list(names)
    own, kernel = closure.code_hash(*names, *TRAINING, *functions()), compiler.path_taken(names)
    return closure.digest([own, kernel]) if kernel else own


def _git_commit() -> str:
    """The commit of the project's repository; Git hooks set variables that may name another repository."""
    variables = {name: value for name, value in os.environ.items() if name not in REPOSITORY}

    def git(*command: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(CHECKOUT), *command], env=variables, capture_output=True, text=True, check=True
        )
        return done.stdout.removesuffix("\n")

    try:
        if not Path(git("rev-parse", "--show-toplevel")).samefile(CHECKOUT):
            return "unknown"
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
