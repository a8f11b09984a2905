"""Many graphs of one topology as plain tensors in one file, and the batches of one split."""

from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.data.dataset import FORMAT
from depthlab.files import read_prepared, write_prepared
from depthlab.graph.batches import GraphBatches


@dataclass(frozen=True, eq=False)
class GraphSet:
    """Graphs with the same edges that differ in their features and in the target of the root, the only node read out.

    Attributes:
        x: features of each graph, float32 (g, n, f), or integers (g, n, k) for one-hot features: the columns of the
            ones in each row, -1 for none.
        width: number of features f.
        edge_index: int64 (2, m), from source to target, sorted by source; every directed edge once. No self-loops.
        root: the node that is read out.
        task_range: hops from the root to the node that determines the class.
        y: target of each graph: a class, int64 (g,), or for regression a number, float32 (g,).
        train, val, test: bool (s, g), one row per fixed split.
    """

    x: Tensor
    width: int
    edge_index: Tensor
    root: int
    task_range: int
    y: Tensor
    train: Tensor
    val: Tensor
    test: Tensor

    @property
    def num_nodes(self) -> int:
        """Number of nodes of each graph."""
        return self.x.shape[1]

    def parts(self, split: str, split_seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """The numbers of the graphs in each part of one split; all splits are fixed.

        Raises:
            UserError: there is no such split, or a part of it is empty.
        """
        if int(split) >= len(self.train):
            raise UserError(f"split must be one of 0..{len(self.train) - 1} for this dataset, got {split}")
        train, val, test = (mask[int(split)].nonzero().view(-1) for mask in (self.train, self.val, self.test))
        if 0 in (train.numel(), val.numel(), test.numel()):
            raise UserError("a part of the split has no graph: the dataset has too few graphs for its classes")
        return train, val, test

    @property
    def num_graphs(self) -> int:
        return len(self.y)

    def targets(self, graphs: Tensor) -> Tensor:
        """The targets of some graphs."""
        return self.y[graphs]

    def batches(
        self, split: str, batch_size: int, seed: int = 0, rewired: Tensor | None = None, last_of: int | None = None
    ) -> GraphBatches:
        """Mini-batches with one split, in an order drawn from `seed` and the epoch.

        Args:
            rewired: edges to propagate over in every graph instead of the original ones; they may have new nodes.
            last_of: depth of the network, if only its last layer propagates over the rewired edges.

        Raises:
            UserError: as `parts`.
        """
        parts = self.parts(split)
        return GraphBatches(
            self.x, self.width, self.edge_index, self.root, self.y, parts, batch_size, seed, self.task_range,
            rewired, last_of,
        )  # fmt: skip

    def save(self, path: Path, fingerprint: str) -> None:
        """Write the file atomically."""
        write_prepared(asdict(self), path, fingerprint, FORMAT)

    @staticmethod
    def load(path: Path, fingerprint: str) -> "GraphSet | None":
        """The prepared graphs, or None if there is no file or its fingerprint differs.

        Raises:
            UserError: the file exists and cannot be read.
        """
        return read_prepared(path, fingerprint, FORMAT, lambda content: GraphSet(**content))
