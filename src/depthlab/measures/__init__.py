"""Measures of node states and edges as pure functions: smoothness, rank, sensitivity and bottlenecks.

`depthlab.measures.dirichlet_energy(x, edge_index)`; every function of `depthlab.measures.registry` is an attribute.
"""

from typing import TYPE_CHECKING, Any

from depthlab.measures.registry import MEASURES, Measure, register

if TYPE_CHECKING:
    from depthlab.measures.magnitude import max_abs
    from depthlab.measures.rank import effective_rank, stable_rank
    from depthlab.measures.smoothness import (
        dirichlet_energy,
        dirichlet_energy_normalized,
        log10_dirichlet_energy,
        mean_average_distance,
        rayleigh_quotient,
    )

__all__ = [
    "MEASURES", "Measure", "dirichlet_energy", "dirichlet_energy_normalized", "effective_rank",
    "log10_dirichlet_energy", "max_abs", "mean_average_distance", "rayleigh_quotient", "register", "stable_rank",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a measure's function on first use, since the registry alone needs no torch."""
    if name in __all__:
        return MEASURES[name].load()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
