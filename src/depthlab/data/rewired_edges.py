"""Rewired edges and the file that caches them, which loads without unpickling."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from depthlab.files import read_prepared, write_json, write_prepared
from depthlab.graph.rewiring.edges import both_directions, edge_keys
from depthlab.graph.statistics import DIGITS

FORMAT = 2  # increase it if the file or the meaning of a statistic changes, to compute older files again


@dataclass(frozen=True, eq=False)
class RewiredEdges:
    """Edges that a network propagates over instead of the original ones.

    Attributes:
        edge_index: int64 (2, m), both directions of every undirected edge, sorted, no self-loops.
        num_nodes: number of original nodes plus new ones, which come last.
        statistics: as returned by `depthlab.graph.rewiring_statistics.rewiring_statistics`.
    """

    edge_index: Tensor
    num_nodes: int
    statistics: dict[str, float]

    def save(self, path: Path, fingerprint: str) -> None:
        """Write the file, and `statistics` as JSON beside it."""
        content = {
            "keys": edge_keys(self.edge_index, self.num_nodes),
            "num_nodes": self.num_nodes,
            "statistics": self.statistics,
        }
        write_prepared(content, path, fingerprint, FORMAT)
        self.write_statistics(path.with_suffix(".json"))

    def write_statistics(self, path: Path) -> None:
        """Write `statistics` as JSON."""
        write_json(path, self.statistics, DIGITS)

    @staticmethod
    def load(path: Path, fingerprint: str) -> "RewiredEdges | None":
        """The saved edges, or None if there is no file or its fingerprint differs.

        Raises:
            UserError: the file exists and cannot be read.
        """

        def make(content: dict[str, Any]) -> RewiredEdges:
            nodes = content["num_nodes"]
            return RewiredEdges(both_directions(content["keys"], nodes), nodes, content["statistics"])

        return read_prepared(path, fingerprint, FORMAT, make)
