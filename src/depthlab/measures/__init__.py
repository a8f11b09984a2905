"""Measures of node states and edges as pure functions: smoothness, rank, sensitivity and bottlenecks.

`depthlab.measures.dirichlet_energy(x, edge_index)`; every measure by layer in the registry is an attribute.
"""

from typing import TYPE_CHECKING, Any

from depthlab.measures.registry import MEASURES as MEASURES
from depthlab.measures.registry import Measure as Measure
from depthlab.measures.registry import register as register
from depthlab.measures.registry import selectable

if TYPE_CHECKING:
    from depthlab.measures.magnitude import max_abs as max_abs
    from depthlab.measures.rank import effective_rank as effective_rank
    from depthlab.measures.rank import stable_rank as stable_rank
    from depthlab.measures.smoothness import dirichlet_energy as dirichlet_energy
    from depthlab.measures.smoothness import dirichlet_energy_normalized as dirichlet_energy_normalized
    from depthlab.measures.smoothness import log10_dirichlet_energy as log10_dirichlet_energy
    from depthlab.measures.smoothness import mean_average_distance as mean_average_distance
    from depthlab.measures.smoothness import rayleigh_quotient as rayleigh_quotient


def __getattr__(name: str) -> Any:
    """Import a measure's function on first use, since the registry alone needs no torch."""
    if name in selectable("layer"):
        return MEASURES[name].load()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *selectable("layer")})
