"""Pure functions of node states and of edges: how smooth, how wide, how much arrives, how narrow the graph is."""

from collections.abc import Callable

from torch import Tensor

from src.measures.magnitude import max_abs
from src.measures.rank import effective_rank, stable_rank
from src.measures.smoothness import (
    dirichlet_energy,
    dirichlet_energy_normalized,
    mean_average_distance,
    rayleigh_quotient,
)

Measure = Callable[[Tensor, Tensor], float]

# Every measure that a run can record by name: a function of states (n, f) and edges (2, m).
MEASURES: dict[str, Measure] = {
    "dirichlet_energy": dirichlet_energy,
    "dirichlet_energy_normalized": dirichlet_energy_normalized,
    "rayleigh_quotient": rayleigh_quotient,
    "mean_average_distance": mean_average_distance,
    "effective_rank": lambda x, _: effective_rank(x),
    "stable_rank": lambda x, _: stable_rank(x),
    "max_abs": lambda x, _: max_abs(x),
}
