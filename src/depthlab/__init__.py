"""Measure and prevent the collapse of deep graph neural networks.

Subpackages are imported on first use: `import depthlab; depthlab.measures.dirichlet_energy(x, edge_index)`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from depthlab import graph, measures, nn, ops

__version__ = "0.1.0"
__all__ = ["graph", "measures", "nn", "ops"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"depthlab.{name}")
    raise AttributeError(f"module 'depthlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
