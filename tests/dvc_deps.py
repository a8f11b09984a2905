"""The modules that the stages of dvc.yaml depend on, written into it.

python -m tests.dvc_deps       after a change of what a stage's command imports; a test says when it is needed
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from depthlab.__main__ import COMMANDS
from depthlab.compiler import COMPILED, LAYERS
from depthlab.config.closure import PRESENTATION, closure, targets
from depthlab.measures.registry import functions
from depthlab.training.identity import TRAINING

ROOT = Path(__file__).parents[1]
PATH = ROOT / "dvc.yaml"
CODE = "src/"  # dependencies below it are written here, all others by hand
COMPUTING = {"study": (*TRAINING, *functions())}  # modules that a command imports only where it computes


def filled(value: Any, names: dict[str, str]) -> Any:
    """A stage with its `${...}` replaced."""
    if isinstance(value, dict):
        return {filled(key, names): filled(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, names) for item in value]
    return re.sub(r"\$\{([\w.]+)\}", lambda found: names[found[1]], value) if isinstance(value, str) else value


def expanded(stage: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The stages of a template, each with what DVC adds to its name."""
    if "matrix" in stage:
        for values in itertools.product(*stage["matrix"].values()):
            items = {f"item.{key}": value for key, value in zip(stage["matrix"], values, strict=True)}
            yield f"@{'-'.join(values)}", filled(stage, items)
    elif "foreach" in stage:
        for key, item in stage["foreach"].items():
            yield f"@{key}", filled(stage["do"], {"key": key, "item": item})
    else:
        yield "", stage


def modules(stage: dict[str, Any]) -> list[str]:
    """The files behind the command of a template, for all of its stages; those of a report with what shows it."""
    command = stage.get("do", stage)["cmd"].split()[2].removeprefix("src.")
    roots = {COMMANDS[command].module, *COMPUTING.get(command, ())}
    for _, one in expanded(stage):
        for path in one["deps"]:
            if path.startswith("conf/"):
                roots |= set(targets(yaml.safe_load((ROOT / path).read_text())))
    cut = () if command == "report" else PRESENTATION
    files = closure(roots, cut)
    compiled = [LAYERS] if COMPILED in files else []
    return sorted(path.relative_to(ROOT).as_posix() for path in [*files.values(), *compiled])


def with_modules(text: str) -> str:
    """The text of dvc.yaml with these files in place of all dependencies below `src`."""
    stages, name, done = yaml.safe_load(text)["stages"], "", set()
    lines = []
    for line in text.splitlines():
        if found := re.match(r"  (\w+):$", line):
            name = found[1]
        entry = re.match(rf"( +- ){CODE}", line)
        if entry and name not in done:
            lines += [f"{entry[1]}{path}" for path in modules(stages[name])]
            done.add(name)
        if not entry:
            lines.append(line)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(with_modules(PATH.read_text()))
