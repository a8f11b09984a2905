"""Pure functions of node states and of edges: how smooth, how wide, how much arrives, how narrow the graph is."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from depthlab.measures.magnitude import max_abs
from depthlab.measures.rank import effective_rank, stable_rank
from depthlab.measures.smoothness import (
    dirichlet_energy,
    dirichlet_energy_normalized,
    mean_average_distance,
    rayleigh_quotient,
)

Measure = Callable[[Tensor, Tensor], float]

# Every measure that a run can record by name: a function of states (n, f) and edges (2, m), which it does not check:
# `depthlab.measures.layers.layer_measures` does it once for all layers.
MEASURES: dict[str, Measure] = {
    "dirichlet_energy": partial(dirichlet_energy, checked=True),
    "dirichlet_energy_normalized": partial(dirichlet_energy_normalized, checked=True),
    "rayleigh_quotient": partial(rayleigh_quotient, checked=True),
    "mean_average_distance": partial(mean_average_distance, checked=True),
    "effective_rank": lambda x, _: effective_rank(x),
    "stable_rank": lambda x, _: stable_rank(x),
    "max_abs": lambda x, _: max_abs(x),
}
