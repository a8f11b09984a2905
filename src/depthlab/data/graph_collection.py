"""A dataset of graphs of different topology, and its batches."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.data.dataset import FORMAT, Nodes
from depthlab.data.sizes import FRACTIONS, Sizes
from depthlab.data.splits import random_split
from depthlab.files import read_prepared, write_prepared
from depthlab.graph.collection_batches import CollectionBatches, has_target

POOLINGS = ("mean", "sum", "max", "none")


@dataclass(frozen=True, eq=False)
class GraphCollection(Nodes):
    """Graphs of different topology with graph-level or node-level targets.

    Attributes:
        x: features, float32 (n, f), the nodes of one graph after the other.
        edge_index: int64 (2, m), as for `Dataset`; no edge joins two graphs.
        ptr: graph i has the nodes ptr[i] to ptr[i + 1] - 1, int64 (g + 1,).
        y: target of each graph (g,) or node (n,): a class, int64, -1 for none, or a number, float32, NaN for none.
        train, val, test: bool (s, g), one row per fixed split; no rows if all splits are drawn at random.
        edge_weight, directed, class_names, notes, sizes: as for `Dataset`.
    """

    x: Tensor
    edge_index: Tensor
    ptr: Tensor
    y: Tensor
    train: Tensor
    val: Tensor
    test: Tensor
    edge_weight: Tensor | None = None
    directed: bool = False
    class_names: list[str] | None = None
    notes: list[str] = field(default_factory=list)
    sizes: Sizes = FRACTIONS

    @property
    def num_graphs(self) -> int:
        return len(self.ptr) - 1

    @property
    def has_node_targets(self) -> bool:
        """Whether the targets are node-level."""
        return len(self.y) != self.num_graphs

    @property
    def labelled(self) -> Tensor:
        """Which graphs have a target, or a node with one; bool (g,)."""
        known = has_target(self.y)
        if not self.has_node_targets:
            return known
        graph = torch.arange(self.num_graphs).repeat_interleave(self.ptr.diff())
        return torch.bincount(graph[known], minlength=self.num_graphs) > 0

    def parts(self, split: str, split_seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """The indices of the graphs in each part of a split, as `Dataset.parts`.

        Raises:
            UserError: there is no such split, a part is empty, or a class has fewer graphs than there are parts.
        """
        if split == "random" or not len(self.train):
            seed = split_seed if split == "random" else int(split)
            train, val, test = random_split(self._strata(), seed, self.sizes)
        elif int(split) >= len(self.train):
            raise UserError(f"split must be one of 0..{len(self.train) - 1} for this dataset, got {split}")
        else:
            train, val, test = (mask[int(split)].nonzero().view(-1) for mask in (self.train, self.val, self.test))
        if 0 in (train.numel(), val.numel(), test.numel()):
            raise UserError(f"a part of the split has no graph: {self.num_graphs} graphs are too few")
        return train, val, test

    def _strata(self) -> Tensor:
        """The strata of a random split: the classes of the graphs, or a constant; NaN without a target."""
        if self.has_node_targets:
            return torch.where(self.labelled, 0.0, torch.nan)
        if not self.y.is_floating_point():
            count = torch.bincount(self.y[self.y >= 0])
            if (few := int(count.min())) < 3:
                label = int(count.argmin())
                name = f"{label} ({self.class_names[label]})" if self.class_names else str(label)
                raise UserError(
                    f"class {name} has {few} graph{'s' * (few != 1)}, and a split has three parts: leave the class out,"
                    " or give a fixed split"
                )
        return self.y

    def targets(self, graphs: Tensor) -> Tensor:
        """The targets of some graphs, or of the nodes of these."""
        if not self.has_node_targets:
            return self.y[graphs]
        chosen = torch.zeros(self.num_graphs, dtype=torch.bool)
        chosen[graphs] = True
        return self.y[chosen.repeat_interleave(self.ptr.diff())]

    def batches(
        self,
        split: str,
        split_seed: int,
        pooling: str,
        batch_size: int,
        seed: int = 0,
        rewired: Tensor | None = None,
        last_of: int | None = None,
    ) -> CollectionBatches:
        """Mini-batches for one split; `seed` and the epoch determine the order.

        Args:
            pooling: readout of graph outputs: `mean`, `sum` or `max`; `none` for node-level targets.
            rewired, last_of: as for `CollectionBatches`.

        Raises:
            UserError: as `parts`, or the pooling does not fit the targets.
        """
        if self.has_node_targets and pooling != "none":
            raise UserError(f"dataset.pooling={pooling} is for graph-level targets, and these are node-level: use none")
        if not self.has_node_targets and pooling == "none":
            raise UserError("dataset.pooling=none is for node-level targets, and these are graph-level: use mean")
        return CollectionBatches(
            self.x, self.edge_index, self.ptr, self.y, pooling, self.parts(split, split_seed), batch_size, seed,
            rewired, last_of, self.edge_weight,
        )  # fmt: skip

    def save(self, path: Path, fingerprint: str) -> None:
        """Write the file atomically."""
        write_prepared(self.stored, path, fingerprint, FORMAT)

    @staticmethod
    def load(path: Path, fingerprint: str) -> "GraphCollection | None":
        """The prepared graphs, or None if there is no file or its fingerprint differs.

        Raises:
            UserError: the file exists and cannot be read.
        """
        return read_prepared(path, fingerprint, FORMAT, lambda content: GraphCollection(**content))
