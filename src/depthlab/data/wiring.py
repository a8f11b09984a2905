"""The edges that a rewiring made, in one file that loads without unpickling."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from depthlab.files import read_prepared, write_json, write_prepared
from depthlab.graph.rewiring.edges import both_directions, edge_keys
from depthlab.graph.statistics import DIGITS

FORMAT = 1  # raised when the file or a number in `effect` changes its meaning: older files are then made again


@dataclass(frozen=True, eq=False)
class Wiring:
    """What a network propagates over instead of the graph's own edges.

    Attributes:
        edge_index: int64 (2, m), both directions of every undirected edge, sorted, no self-loops.
        num_nodes: of the data, and then new ones.
        effect: what was changed, as `depthlab.graph.effect.effect` says it.
    """

    edge_index: Tensor
    num_nodes: int
    effect: dict[str, float]

    def save(self, path: Path, fingerprint: str) -> None:
        """Write the file, and `effect` as JSON beside it."""
        content = {
            "keys": edge_keys(self.edge_index, self.num_nodes),
            "num_nodes": self.num_nodes,
            "effect": self.effect,
        }
        write_prepared(content, path, fingerprint, FORMAT)
        self.write_effect(path.with_suffix(".json"))

    def write_effect(self, path: Path) -> None:
        """Write `effect` as JSON."""
        write_json(path, self.effect, DIGITS)

    @staticmethod
    def load(path: Path, fingerprint: str) -> "Wiring | None":
        """The saved edges, or None if there is no file or it was made from something else.

        Raises:
            UserError: the file is there and cannot be read.
        """

        def make(content: dict[str, Any]) -> Wiring:
            nodes = content["num_nodes"]
            return Wiring(both_directions(content["keys"], nodes), nodes, content["effect"])

        return read_prepared(path, fingerprint, FORMAT, make)
