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
from depthlab.config.modules import INSTALLED, PACKAGE, Source
from depthlab.folders import SOURCE

DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
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

    For an installed library, such as the network `torch_geometric.nn.models.GCN`, its version and that of torch count;
    for a file `my_net.py:Net`, its local imports and the versions of the libraries that they import.

    Args:
        names: modules, or objects that they define.

    Raises:
        UserError: a module does not exist or cannot be read.
    """
    files = [name for name in names if Source.of(name)]
    own = _code_hash(frozenset(names).difference(files))
    return digest([own, *map(_code_of_file, files)]) if files else own


@functools.cache  # hashes the files as they are at the first call
def _code_hash(names: frozenset[str]) -> str:
    programs = {name: _read(path)[0] for name, path in closure(names).items()}
    libraries = {name: _versions(name) for name in names if _is_library(name)}
    return digest([programs, libraries | (_versions_by_name(["torch"]) if libraries else {})])


def _is_library(name: str) -> bool:
    """Whether an installed library defines it. torch alone does not count, because every run uses it."""
    return not locate(_module(name)) and name.partition(".")[0] != "torch"


def _code_of_file(name: str) -> list[Any]:
    """Current source of a user's file and of everything it imports, and the versions of libraries."""
    return [{module: _read(path)[0] for module, path in closure([name]).items()}, module_hash(name)]


def module_hash(target: str) -> str:
    """Hash of the current source code of an external module, and of the versions of its libraries.

    The source is its file and all local imports, without code of this package. The libraries are torch, those that
    these files import, and the one that defines the network.

    Args:
        target: a dotted name, or `FILE.py:CLASS`.

    Raises:
        UserError: a module does not exist or cannot be read.
    """
    local = {name: path for name, path in closure([target]).items() if name.partition(".")[0] != PACKAGE}
    imported = [name for module, path in local.items() for _, name in _imports(module, path)]
    tops = {name.partition(".")[0] for name in imported or [target]} - {name.partition(".")[0] for name in local}
    libraries = tops - sys.stdlib_module_names - {PACKAGE}
    return digest([{name: _read(path)[0] for name, path in local.items()}, _versions_by_name(["torch", *libraries])])


def _versions_by_name(tops: Iterable[str]) -> dict[str, list[str]]:
    """The versions of installed top-level modules."""
    return {top: _versions(top) for top in sorted(set(tops)) if _spec(top)}


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
        names: dotted names of modules, or of objects that they define, or `FILE.py:CLASS`, whose imports are looked up
            in its own folder first.
        cut: modules and packages to leave out, together with modules that only these import.
    """
    without, files = set(cut), dict[str, Path]()
    left: list[tuple[str, Path | None]] = []
    for name in names:
        source = Source.of(name)
        left.append((source.module, source.root) if source else (_module(name), None))
    while left:
        module, root = left.pop()
        if module in files or without.intersection(_with_parents(module)):
            continue
        if path := locate(module, root):
            files[module] = path
            left += [(_module(name, root), root) for _, name in _imports(module, path)]
    return dict(sorted(files.items()))


def digest(content: Any) -> str:
    """Hash of plain types."""
    return hashlib.md5(json.dumps(content, sort_keys=True).encode()).hexdigest()


@functools.cache
def locate(module: str, root: Path | None = None) -> Path | None:
    """The file of a module, without importing it; None for installed libraries and modules without a file.

    Args:
        root: a folder to search first.
    """
    top, *parts = module.split(".")
    if top in sys.stdlib_module_names:
        return None
    if top == PACKAGE:
        folders = [SOURCE / top]
    elif root and ((root / f"{top}.py").is_file() or (root / top).is_dir()):
        folders = [root / top]
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


@functools.cache
def _versions(module: str) -> list[str]:
    top = module.partition(".")[0]
    if top == PACKAGE or not _spec(top):
        raise UserError(f"there is no module {module}")
    names = importlib.metadata.packages_distributions().get(top, [])
    return [f"{name} {importlib.metadata.version(name).partition('+')[0]}" for name in names]  # no +cu128


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _module(name: str, root: Path | None = None) -> str:
    """The module that a dotted name refers to, or that defines the object it refers to."""
    package, _, own = name.rpartition(".")
    if not package or locate(name, root):
        return name
    path = locate(package, root)
    source = dict(_imports(package, path)).get(own, name) if path and path.stem == "__init__" else name
    return package if source == name else _module(source, root)


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
