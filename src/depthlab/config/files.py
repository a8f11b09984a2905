"""Find yaml files of settings: the program's and the user's, which take precedence. Imports nothing heavy.

The user's folder is given by `--config-dir DIR`, else by the environment variable DEPTHLAB_CONFIG_DIR, else it is
`conf` in the project folder. It has the same layout as the program's folder and adds options to groups, such as
`dataset/NAME.yaml` and `recipe/tuned/PAIR.yaml`; `config.yaml`, `study.yaml` and `sweep.yaml` are always the program's.
"""

import os
from pathlib import Path

from depthlab.config.errors import UserError
from depthlab.folders import CONF, root

CONFIG_DIR = "DEPTHLAB_CONFIG_DIR"  # environment variable, inherited by child processes
FLAGS = ("--config-dir", "-cd")


def user_folder() -> Path:
    """The user's folder of yaml files, into which a sweep writes; it may not exist yet."""
    return Path(os.environ.get(CONFIG_DIR) or root() / "conf")


def config_dirs() -> tuple[Path, ...]:
    """The folders to search for yaml files; earlier ones take precedence."""
    own = user_folder()
    return (own, CONF) if own.is_dir() and not own.samefile(CONF) else (CONF,)


def config_file(group: str, name: str) -> Path:
    """`GROUP/NAME.yaml`, or `NAME.yaml` for the group ""; it may not exist."""
    paths = [folder / group / f"{name}.yaml" for folder in (config_dirs() if group else (CONF,))]
    return next((path for path in paths if path.is_file()), paths[-1])


def option_names(group: str) -> list[str]:
    """Names of the options of a group, sorted."""
    return sorted({path.stem for folder in config_dirs() for path in (folder / group).glob("*.yaml")})


def set_config_dir(folder: str) -> None:
    """Set the user's folder in a process that does not inherit the environment variable."""
    os.environ[CONFIG_DIR] = folder


def use_config_dir(arguments: list[str]) -> list[str]:
    """Remove `--config-dir DIR` from a command line and set it for this process and its children.

    Raises:
        UserError: the folder does not exist.
    """
    rest, source = list(arguments), CONFIG_DIR
    while flag := next((word for word in rest if word.split("=")[0] in FLAGS), None):
        at, (source, equals, value) = rest.index(flag), flag.partition("=")
        if not equals and at + 1 == len(rest):
            raise UserError(f"{flag} needs a folder: {flag} DIR")
        os.environ[CONFIG_DIR] = value if equals else rest[at + 1]
        if not os.environ[CONFIG_DIR]:
            raise UserError(f"{source} needs a folder: {source} DIR")
        del rest[at : at + (1 if equals else 2)]
    if folder := os.environ.get(CONFIG_DIR):
        if not Path(folder).expanduser().is_dir():
            raise UserError(f"{source} names {folder}, which is not a folder: correct it or leave it out")
        os.environ[CONFIG_DIR] = str(Path(folder).expanduser().resolve())
    return rest
