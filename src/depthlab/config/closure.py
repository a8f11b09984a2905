"""Hash the code that computes a result: the modules that its settings name and everything these import.

Imports nothing heavy, and never executes the code that it reads.
"""

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from depthlab.config.errors import UserError
from depthlab.folders import SOURCE

PACKAGE = __name__.partition(".")[0]
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
INSTALLED = {"site-packages", "dist-packages"}  # folders of libraries
# Modules and packages that cannot change a number of a result. Modules that only these import do not count either.
PRESENTATION = {
    "depthlab.cli": "runs commands and prints their errors",
    "depthlab.config": "its settings are hashed by value",
    "depthlab.text": "prints names",
    "depthlab.tracking": "sends results to MLflow",
    "depthlab.training.claim": "keeps two commands from training the same run",
    "depthlab.training.figures": "draws curves",
    "depthlab.training.animation": "stores states for an animation",
    "depthlab.training.identity": "names folders and tags",
    "depthlab.training.progress": "draws the bar",
    "depthlab.training.run_name": "names runs",
    "depthlab.training.signals": "ends a run on Ctrl-C",
}


def code_hash(*names: str) -> str:
    """Hash of the code behind a result. Comments, docstrings, formatting and `PRESENTATION` do not count.

    For an installed library, such as the network `torch_geometric.nn.models.GCN`, its version counts.

    Args:
        names: modules, or objects that they define.

    Raises:
        UserError: a module does not exist or cannot be read.
    """
    return _code_hash(frozenset(names))


@functools.cache  # hashes the files as they are at the first call
def _code_hash(names: frozenset[str]) -> str:
    programs = {name: _read(path)[0] for name, path in closure(names).items()}
    return digest([programs, {name: _versions(name) for name in names if _is_library(name)}])


def _is_library(name: str) -> bool:
    """Whether an installed library defines it; torch's version counts nowhere, since its code is behind every run."""
    return not locate(_module(name)) and name.partition(".")[0] != "torch"


def targets(content: Any) -> Iterator[str]:
    """Every `_target_` in settings."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        if key == "_target_" and value:
            yield value
        elif isinstance(value, dict | list):
            yield from targets(value)


def closure(names: Iterable[str], cut: Iterable[str] = PRESENTATION) -> dict[str, Path]:
    """Source files of the named modules and of everything they import, also indirectly and in functions; by module.

    The `__init__` of a package counts only if something that it defines is imported from it. The standard library and
    installed libraries are left out.

    Args:
        names: dotted names of modules, or of objects that they define.
        cut: modules and packages to leave out, together with modules that only these import.
    """
    without, files, left = set(cut), dict[str, Path](), [_module(name) for name in names]
    while left:
        module = left.pop()
        if module in files or without.intersection(_with_parents(module)):
            continue
        if path := locate(module):
            files[module] = path
            left += [_module(name) for _, name in _imports(module, path)]
    return dict(sorted(files.items()))


def digest(content: Any) -> str:
    """Hash of plain types."""
    return hashlib.md5(json.dumps(content, sort_keys=True).encode()).hexdigest()


@functools.cache
def locate(module: str) -> Path | None:
    """The file of a module, without importing it; None for installed libraries and modules without a file."""
    top, *parts = module.split(".")
    if top in sys.stdlib_module_names:
        return None
    if top == PACKAGE:
        folders = [SOURCE / top]
    else:
        spec = _spec(top)
        folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or []]
        if spec and spec.origin and not folders:
            folders = [Path(spec.origin).with_suffix("")]
    for folder in folders:
        base = folder.joinpath(*parts)
        for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
            if path.is_file() and (top == PACKAGE or not INSTALLED.intersection(path.parts)):
                return path
    return None


def _spec(top: str) -> Any:
    with suppress(ValueError):  # the module has no __spec__
        return importlib.util.find_spec(top)
    return None


def _versions(module: str) -> list[str]:
    top = module.partition(".")[0]
    if top == PACKAGE or not _spec(top):
        raise UserError(f"there is no module {module}")
    names = importlib.metadata.packages_distributions().get(top, [])
    return [f"{name} {importlib.metadata.version(name)}" for name in names]


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _module(name: str) -> str:
    """The module that a dotted name refers to, or that defines the object it refers to."""
    package, _, own = name.rpartition(".")
    if not package or locate(name):
        return name
    path = locate(package)
    source = dict(_imports(package, path)).get(own, name) if path and path.stem == "__init__" else name
    return package if source == name else _module(source)


def _read(path: Path) -> tuple[str, list[tuple[int, str, str, str]]]:
    try:
        return _parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be read as Python: {error}") from None


def _imports(module: str, path: Path) -> list[tuple[str, str]]:
    """Everything that a file imports: local names and dotted names."""
    package = module.split(".") if path.stem == "__init__" else module.split(".")[:-1]
    names = []
    for level, origin, name, alias in _read(path)[1]:
        base = ".".join([*package[: len(package) - level + 1], *filter(None, [origin])] if level else [origin])
        names.append((alias, f"{base}.{name}" if name else base))
    return names


@functools.cache
def _parse(source: bytes) -> tuple[str, list[tuple[int, str, str, str]]]:
    """Normalised source without comments and docstrings, and its imports: (level, module, name, local name)."""
    words: list[str] = []
    imports: list[tuple[int, str, str, str]] = []

    def visit(node: ast.AST) -> None:
        words.append(type(node).__name__)
        if isinstance(node, ast.ImportFrom):
            imports.extend((node.level, node.module or "", a.name, a.asname or a.name) for a in node.names)
        elif isinstance(node, ast.Import):
            imports.extend((0, a.name, "", a.asname or a.name) for a in node.names)
        elif isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False):
            del node.body[0]
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                words.append(f"{name} {len(value)}")
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, ast.AST):
                    visit(item)
                elif item is not None:
                    words.append(f"{name} {item!r}")

    visit(ast.parse(source))
    return "\n".join(words), imports
