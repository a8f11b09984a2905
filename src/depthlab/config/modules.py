"""The class that `model.target` names for model=module: `torch_geometric.nn.models.GraphSAGE` or `my_net.py:Net`.

Importing this module is fast; the named module is imported only by `load`.
"""

import ast
import functools
import importlib
import importlib.util
import re
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthlab.config.errors import UserError

MODULE = "depthlab.nn.module.ModuleNetwork"  # the class of model=module
PACKAGE = __name__.partition(".")[0]
INSTALLED = {"site-packages", "dist-packages"}  # folders of libraries
DOTTED = r"[^\W\d]\w*(\.[^\W\d]\w*)+"
FORM = "model.target must be MODULE.CLASS or FILE.py:CLASS, such as torch_geometric.nn.models.GCN or my_net.py:Net"


@dataclass(frozen=True)
class Source:
    """A class in a file.

    Attributes:
        file: path, relative to the working directory.
        name: name of the class.
        root: folder of its local imports: its own folder, or the parent of its packages.
        module: dotted name of the file below the root.
    """

    file: Path
    name: str
    root: Path
    module: str

    @staticmethod
    def of(target: str) -> "Source | None":
        """The file and class of a target; None if it is a dotted name."""
        file, colon, name = target.rpartition(":")
        if not colon:
            return None
        path = Path(file).expanduser()
        real = path.resolve()
        names, root = [real.stem], real.parent
        while (root / "__init__.py").is_file():
            names, root = [root.name, *names], root.parent
        return Source(path, name, root, ".".join(names))


def label(target: str) -> str:
    """The name of a target in run names: the class name, with its module or file unless it is a PyG model."""
    if target.startswith("torch_geometric."):
        return target.rpartition(".")[-1]
    source = Source.of(target)
    if source is None:
        return target
    with suppress(ValueError):
        file = source.file.resolve().relative_to(Path.cwd())
        return ".".join([*file.with_suffix("").parts, source.name])
    return f"{source.file.stem}.{source.name}"


def check_target(target: Any) -> None:
    """Raise UserError if a target is malformed, or its file cannot be read or does not define the class."""
    if target is None:
        raise UserError(f"model=module needs a class: {FORM}")
    if not isinstance(target, str) or not re.fullmatch(rf"{DOTTED}|.*\.py:.*", target):
        raise UserError(f"{FORM}, got {target}")
    if re.fullmatch(DOTTED, target) and not target.endswith(".py"):
        return
    source = Source.of(target if ":" in target else f"{target}:")
    assert source is not None
    if not source.file.is_file():
        raise UserError(f"model.target names {source.file}, which does not exist in {Path.cwd()}: correct the path")
    if not re.fullmatch(DOTTED, f"top.{source.module}"):
        raise UserError(f"{source.file} cannot be imported by this name: use only letters, digits and _")
    if _shadows(source.module.partition(".")[0]):
        raise UserError(f"{source.file} would shadow a Python module of the same name: rename it")
    classes, others = _defined(source.file)
    if source.name not in classes | others:
        known = " or ".join(f"{source.file}:{name}" for name in sorted(classes)[:4])
        what = f"{source.file} has no class {source.name}" if source.name else f"model.target={target} names no class"
        raise UserError(f"{what}: " + (f"choose {known}" if known else "it defines none"))


def _shadows(top: str) -> bool:
    """Whether a file with this name would shadow an installed module."""
    if top in sys.stdlib_module_names or top == PACKAGE:
        return True
    with suppress(ValueError):  # a loaded module without a spec
        spec = importlib.util.find_spec(top)
        return spec is not None and bool(INSTALLED.intersection(Path(spec.origin or "").parts))
    return False


def _defined(file: Path) -> tuple[set[str], set[str]]:
    """Names of the classes that a file defines, and of everything else that it imports or assigns.

    Raises:
        UserError: it cannot be read as Python.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError as error:
        line = f", line {error.lineno}," if error.lineno else ""
        raise UserError(f"{file}{line} cannot be read as Python: {error.msg}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read as Python: {error}") from None
    classes, others = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            classes.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            others |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            others.add(node.id)
    return classes, others


def load(target: str) -> Any:
    """The object that a target names. A file is imported again if it or one of its local imports has changed.

    Raises:
        UserError: it cannot be imported, or there is no such object; or a local module was edited after it was imported
            by its dotted name.
    """
    source = Source.of(target)
    module, name = (source.module, source.name) if source else target.rpartition(".")[::2]
    where = str(source.file) if source else module
    try:
        if source:
            code = tuple((name, path.read_bytes()) for name, path in local_files(source).items())
            found = _execute(source, code)
        else:
            found = importlib.import_module(module)
            _refuse_edited(target)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{where} cannot be imported: {describe_error(error, target)}") from error
    if not hasattr(found, name):
        raise UserError(f"{where} has no class {name}: correct model.target={target}")
    return getattr(found, name)


def _refuse_edited(target: str) -> None:
    """Raise UserError if a local module was edited after it was imported by its dotted name.

    The run records the hash of the files, but Python would run the imported code. A reload creates a new spec.
    """
    from depthlab.config.closure import closure

    for name, path in closure([target]).items():
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if name.partition(".")[0] == PACKAGE or spec is None:
            continue
        code = path.read_bytes()
        if vars(spec).setdefault("code_at_first_use", code) != code:
            raise UserError(
                f"{path} was edited after {name} was imported: restart Python or importlib.reload({name}), or name the"
                " network by its file, as FILE.py:CLASS, which is read again"
            )


def local_files(source: Source) -> dict[str, Path]:
    """The file and the files below its root that it imports, also indirectly; by module."""
    from depthlab.config.closure import closure

    files = closure([f"{source.file}:{source.name}"]).items()
    return {name: path for name, path in files if name.partition(".")[0] != PACKAGE and source.root in path.parents}


@functools.lru_cache(maxsize=1)  # caches the module until the code or the target changes
def _execute(source: Source, code: tuple[tuple[str, bytes], ...]) -> Any:
    """Import the file and its local imports again; its folder comes first in `sys.path`."""
    for name, _ in code:
        sys.modules.pop(name, None)
    root = str(source.root)
    sys.path[:] = [root, *(folder for folder in sys.path if folder != root)]
    importlib.invalidate_caches()
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        return importlib.import_module(source.module)
    finally:
        sys.dont_write_bytecode = writes


def describe_error(error: BaseException, target: str) -> str:
    """Describe an error in external code in one line: type, message, file and line."""
    text = " ".join(str(error).split())
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if (source := Source.of(target)) is None:
        return message
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if source.root in path.parents and not INSTALLED.intersection(path.parts) and PACKAGE not in path.parts:
            return f"{message} ({path.name}, line {frame.lineno})"
    return message
