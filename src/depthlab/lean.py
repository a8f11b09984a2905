"""Import torch and Lightning without the two thirds of their imports that no run uses. Imports nothing heavy itself.

Every optimizer imports torch's compiler, 1.6 s of a processor. TorchMetrics, which Lightning needs for one base class,
imports Matplotlib and SciPy's signal processing, 2 s.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from depthlab.config.schema import Settings

COMPILER = "torch._dynamo"
KNOWN = ("depthlab.", "torch.optim.")  # classes below use neither the compiler nor optional parts of TorchMetrics
OPTIONAL = ("scipy", "matplotlib", "PIL", "requests", "tqdm")  # libraries that TorchMetrics imports if they are there


def may_be_lean(settings: Settings) -> bool:
    """Whether every class that the settings name is known to work without the rest of torch and TorchMetrics."""
    return all(target.startswith(KNOWN) for target in [*settings.targets, *settings.logger_targets])


def import_lightning() -> None:
    """Import torch and Lightning without the rest."""
    if COMPILER not in sys.modules:
        import torch

        sys.modules[COMPILER] = torch._dynamo = _Compiler()
        sys.meta_path.insert(0, _Finder())
    with _without_optional_libraries():
        importlib.import_module("pytorch_lightning")


class _Config:
    """Stands in for the settings of torch's compiler."""

    error_on_nested_fx_trace = True  # `torch.utils.checkpoint` reads it

    def __getattr__(self, name: str) -> Any:
        return getattr(_real().config, name)


class _Compiler(ModuleType):
    """Stands in for torch's compiler as long as nothing is compiled; any other use imports the real one."""

    config = _Config()

    def __init__(self) -> None:
        super().__init__(COMPILER)
        self.__path__ = []

    class OptimizedModule:
        """The class of compiled modules, of which there are none."""

    @staticmethod
    def graph_break(message: str = "") -> None:
        """Do nothing, as the real function does outside of compiled code."""

    @staticmethod
    def disable(function: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return the function, which is not compiled anyway."""
        return function

    def __getattr__(self, name: str) -> Any:
        return getattr(_real(), name)


class _Finder:
    """Imports the real compiler before any of its submodules."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The spec of a submodule that the compiler has imported itself, else None."""
        if not name.startswith(f"{COMPILER}.") or not isinstance(sys.modules.get(COMPILER), _Compiler):
            return None
        _real()
        return ModuleSpec(name, _Imported()) if name in sys.modules else None


class _Imported(Loader):
    """Loads a module that is imported already."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """It has been executed."""


def _real() -> ModuleType:
    if isinstance(sys.modules.get(COMPILER), _Compiler):
        del sys.modules[COMPILER], sys.modules["torch"]._dynamo
    return importlib.import_module(COMPILER)


@contextmanager
def _without_optional_libraries() -> Iterator[None]:
    """Context in which TorchMetrics does not see its optional libraries."""
    imports: Any = importlib.import_module("lightning_utilities.core.imports")
    known, available = imports.package_available, imports.RequirementCache.__bool__

    def sees(cache: Any) -> bool:
        return not str(cache.requirement).startswith(OPTIONAL) and available(cache)

    imports.package_available = lambda name: name not in OPTIONAL and known(name)
    imports.RequirementCache.__bool__ = sees
    try:
        yield
    finally:
        imports.package_available, imports.RequirementCache.__bool__ = known, available
