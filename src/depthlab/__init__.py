"""Measure and prevent the collapse of deep graph neural networks.

    import depthlab as dl
    run = dl.train(model="gcnii", depth=64, dataset="cora")
    dl.load(run.run_id).predict()
    dl.examine(my_model, data)
    dl.measures.dirichlet_energy(x, edge_index)

Everything is imported on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from depthlab import graph, measures, nn, ops
    from depthlab.api.examine import examine
    from depthlab.api.load import load
    from depthlab.api.monitor import DepthMonitor
    from depthlab.api.train import train
    from depthlab.config.errors import UserError

__version__ = "0.2.0"
__all__ = ["DepthMonitor", "UserError", "examine", "graph", "load", "measures", "nn", "ops", "train"]
_DEFINED_IN = {
    "DepthMonitor": "depthlab.api.monitor",
    "UserError": "depthlab.config.errors",
    "examine": "depthlab.api.examine",
    "load": "depthlab.api.load",
    "train": "depthlab.api.train",
}


def __getattr__(name: str) -> Any:
    if name in _DEFINED_IN:
        return getattr(importlib.import_module(_DEFINED_IN[name]), name)
    if name in __all__:
        return importlib.import_module(f"depthlab.{name}")
    raise AttributeError(f"module 'depthlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
