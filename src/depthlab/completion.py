"""Print the script for tab completion of commands, groups, options and settings.

eval "$(depthlab completion bash)"        in ~/.bashrc
eval "$(depthlab completion zsh)"         in ~/.zshrc
depthlab completion fish | source         in ~/.config/fish/config.fish
"""

import contextlib
import glob
import os
import sys
from typing import TYPE_CHECKING, Any

from depthlab.config.errors import UserError
from depthlab.config.files import FLAGS, config_file, option_names, use_config_dir
from depthlab.config.limits import Limit
from depthlab.config.options import FIXED
from depthlab.config.schema import GROUPS, OPTION_GROUPS, RUN_LIMITS, STUDY_LIMITS, SWEEP_LIMITS
from depthlab.config.settings import flatten
from depthlab.config.yaml_files import read_mapping

if TYPE_CHECKING:
    from depthlab.__main__ import Command

# Each script calls `depthlab completion query WORDS`, where the last word is the one to complete, and appends a space
# to a complete word. Bash splits words at '=', so it gets only the part after it.
SCRIPTS = {
    "bash": r"""
_depthlab() {
    local line=${COMP_LINE:0:COMP_POINT} word found i
    local -a words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[${#words[@]} - 1]}
    COMPREPLY=()
    while IFS= read -r found; do
        [[ $found == *[=/] ]] || found+=" "
        [[ $word == *=* && $COMP_WORDBREAKS == *=* ]] && found=${found#"${word%%=*}="}
        COMPREPLY+=("$found")
    done < <("${words[0]}" completion query "${words[@]:1}" 2>/dev/null)
}
complete -o nospace -F _depthlab depthlab
""",
    "zsh": r"""
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_depthlab() {
    local -a found
    found=("${(@f)$(${words[1]} completion query "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    compadd -S '' -- ${(M)found:#*[=/]}
    compadd -- ${found:#*[=/]}
}
compdef _depthlab depthlab
""",
    "fish": r"""
function _depthlab
    set -l words (commandline -opc) (commandline -ct)
    $words[1] completion query $words[2..] 2>/dev/null
end
complete -c depthlab -f -a '(_depthlab)'
""",
}
WORDS = {  # the arguments of commands that take no settings
    "ui": ["--port", "--uri", "--experiment"],
    "fetch": ["--dataset"],
    "close": ["--uri", "--experiment"],
    "completion": list(SCRIPTS),
}


COMMAND_SETTINGS = {  # settings that a command reads in addition to its settings file
    "predict": ("run", "out", "data", "tracking.uri"),
    "examine": ("run", "out", "figure"),
}
PATHS = ("dataset.path", "ckpt", "data", "out", "figure")


def candidates(words: list[str]) -> list[str]:
    """The possible completions of the last word, sorted.

    Args:
        words: a command line without `depthlab`.
    """
    from depthlab.__main__ import COMMANDS

    *before, word = words
    if before and before[-1] in FLAGS:
        return _paths(word, "/")
    flag, equals, value = word.partition("=")
    if equals and flag in FLAGS:
        return [f"{flag}={path}" for path in _paths(value, "/")]
    arguments = use_config_dir(before)
    if not arguments:
        return _matching(word, [*COMMANDS, "--help", "--version"])
    command, *given = arguments
    if command == "trust":
        return _paths(word, "")
    if command == "fetch" and given[-1:] == ["--dataset"]:
        return _matching(word, option_names("dataset"))
    if command in WORDS or command not in COMMANDS:
        return _matching(word, [*WORDS.get(command, []), "--help"])
    known = _report() if command == "report" else _settings(COMMANDS[command], given)
    known |= {key: [] for key in COMMAND_SETTINGS.get(command, ())}
    if not equals:
        return _matching(word, [*(f"{key}=" for key in known), "--help", "--config-dir"])
    if flag in PATHS:
        return [f"{flag}={path}" for path in _paths(value, "")]
    head, comma, last = value.rpartition(",")
    return [f"{flag}={head}{comma}{choice}" for choice in _matching(last, known.get(flag, []))]


def _settings(command: "Command", given: list[str]) -> dict[str, list[str]]:
    """Every group and setting of a command, with its known values."""
    schemas = {"study": STUDY_LIMITS, "sweep": SWEEP_LIMITS}
    if command.settings:
        limits = RUN_LIMITS | schemas.get(command.settings, {})
        known = {key: _values(kind, limit) for key, (kind, limit) in limits.items()}
        groups = [*GROUPS, *([command.settings] if command.settings in schemas else [])]
        known |= {group: option_names(group) for group in groups}
        known["like"] = ["none", *known["dataset"]]
    else:
        known = {group: option_names(group) for group in command.groups}
    chosen: dict[str, Any] = {}
    for entry in read_mapping(config_file("", "config"))["defaults"]:
        chosen |= entry if isinstance(entry, dict) else {}
    chosen |= dict(word.split("=", 1) for word in given if "=" in word)
    for group in set(OPTION_GROUPS).intersection(known):
        with contextlib.suppress(UserError):  # no such option, or more than one
            option = read_mapping(config_file(group, chosen[group]))
            limits = option.pop("limits", {})
            fixed = ("_target_", *FIXED.get(group, ()))
            own = {key: value for key, value in flatten(option).items() if key not in fixed}
            known |= {f"{group}.{key}": _values(type(value), limits.get(key)) for key, value in own.items()}
    return known


def _report() -> dict[str, list[str]]:
    words: dict[str, list[str]] = {"from": ["results", "store"], "latex": ["false", "true"], "formats": [], "width": []}
    return words | {"study": option_names("study"), "tracking.uri": [], "tracking.experiment": []}


def _values(kind: Any, limit: Limit) -> list[str]:
    return ["false", "true"] if kind is bool else list(map(str, limit)) if isinstance(limit, list) else []


def _matching(word: str, choices: list[str]) -> list[str]:
    return sorted(choice for choice in choices if choice.startswith(word))


def _paths(start: str, end: str) -> list[str]:
    """Files and folders that start with `start`; only folders if `end` is "/"."""
    paths = glob.glob(f"{glob.escape(os.path.expanduser(start))}*{end}")  # noqa: PTH111, PTH207, a user's own spelling
    return sorted(f"{path.rstrip('/')}/" if os.path.isdir(path) else path for path in paths)  # noqa: PTH112


def command() -> None:
    """Print a script or the completions that the shell asks for, then exit."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["query"]:
        with contextlib.suppress(UserError):
            print("\n".join(candidates(arguments[1:] or [""])))
    elif len(arguments) == 1 and arguments[0] in SCRIPTS:
        print(SCRIPTS[arguments[0]].strip())
    else:
        sys.exit(
            f"error: completion needs the name of your shell ({', '.join(SCRIPTS)}): type `depthlab completion bash`"
        )
