"""Python files as programs, for hashes that comments and docstrings do not change. Imports nothing heavy."""

import ast
from pathlib import Path

from depthlab.folders import SOURCE


def program(path: Path) -> ast.Module:
    """The syntax tree of a file, without docstrings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return tree


def sources(module: str, within: tuple[str, ...]) -> list[Path]:
    """The file of a module and those that it imports, directly or not, from the packages `within`; sorted.

    Args:
        module: such as `depthlab.graph.rewiring.fosr`.
        within: packages such as `depthlab.graph.rewiring`; what is imported from elsewhere is left out.
    """
    found: set[Path] = set()
    names = [module]
    while names:
        path = SOURCE / f"{names.pop().replace('.', '/')}.py"
        if path in found or not path.is_file():
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
        names = [name for name in names if name.startswith(tuple(f"{package}." for package in within))]
    return sorted(found)
