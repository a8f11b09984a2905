"""A prepared dataset: plain tensors in one file that loads without unpickling, and the graph of one split."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.data.sizes import PLANETOID, Sizes
from depthlab.data.splits import random_split
from depthlab.files import read_prepared, write_prepared
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.ops import SparseFeatures

SPARSE_BELOW = 0.1  # density of the features below which sparse features are faster
FORMAT = 2  # increase it if the prepared file changes its meaning, to prepare older files again


class Nodes:
    """Base of a dataset of one graph and one of many: the nodes, and what its prepared file stores."""

    x: Tensor

    @property
    def num_nodes(self) -> int:
        return self.x.shape[0]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The attributes that are tensors, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    @property
    def stored(self) -> dict[str, Any]:
        """The attributes that a prepared file stores, by name: all but the part sizes, which are settings."""
        return {name: value for name, value in vars(self).items() if name != "sizes"}


@dataclass(frozen=True, eq=False)
class Dataset(Nodes):
    """One graph with features, targets and one or more splits.

    Attributes:
        x: features, dense float32 (n, f).
        edge_index: int64 (2, m), sources and targets, sorted, no self-loops, no repetitions; both directions of every
            edge if the graph is undirected.
        y: target of each node: a class, int64 (n,), -1 for none, or a number, float32 (n,), NaN for none.
        train, val, test: bool (s, n), one row per fixed split; no rows if all splits are drawn at random.
        edge_weight: edge weights, float32 (m,), > 0; None if all are 1.
        directed: whether messages go from source to target only.
        node_names: name of each node, or None.
        class_names: name of each class, or None.
        notes: messages for the user about how the data were read.
        sizes: part sizes of a random split, as for `depthlab.data.splits.random_split`; not saved.
    """

    x: Tensor
    edge_index: Tensor
    y: Tensor
    train: Tensor
    val: Tensor
    test: Tensor
    edge_weight: Tensor | None = None
    directed: bool = False
    node_names: list[str] | None = None
    class_names: list[str] | None = None
    notes: list[str] = field(default_factory=list)
    sizes: Sizes = PLANETOID

    def graph(self, split: str, split_seed: int = 0) -> Graph:
        """The graph in memory, with one split as in `parts`."""
        parts = self.parts(split, split_seed)
        adjacency = gcn_adjacency(self.edge_index, self.num_nodes, self.edge_weight)
        return Graph(self.features(), adjacency, self.y, *parts)

    def parts(self, split: str, split_seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """The node numbers of one split: `public` (the first), a number, or `random` drawn with `split_seed`.

        Without fixed splits a number is the seed of a random split.

        Raises:
            UserError: there is no such split, or a part of it is empty.
        """
        if split == "random" or not len(self.train):
            seed = split_seed if split == "random" else 0 if split == "public" else int(split)
            train, val, test = random_split(self.y, seed, self.sizes)
        else:
            row = 0 if split == "public" else int(split)
            if row >= len(self.train):
                raise UserError(f"split must be one of 0..{len(self.train) - 1} for this dataset, got {split}")
            train, val, test = (mask[row].nonzero().view(-1) for mask in (self.train, self.val, self.test))
        if 0 in (train.numel(), val.numel(), test.numel()):
            raise UserError(
                "a part of the split holds no node: the graph has too few nodes of each class; use other sizes in"
                " dataset.random_split, or other targets"
            )
        return train, val, test

    def targets(self, nodes: Tensor) -> Tensor:
        """The targets of some nodes."""
        return self.y[nodes]

    def features(self) -> Tensor | SparseFeatures:
        """The features for a model: sparse if that is faster."""
        if self.x.count_nonzero() >= SPARSE_BELOW * self.x.numel():
            return self.x
        csr = self.x.to_sparse_csr()
        return SparseFeatures.from_csr(
            csr.crow_indices(), csr.col_indices(), csr.values(), (self.num_nodes, self.x.shape[1])
        )

    def save(self, path: Path, fingerprint: str) -> None:
        """Write the file atomically."""
        write_prepared(self.stored | {"x": self.x.to_sparse_coo().coalesce()}, path, fingerprint, FORMAT)

    @staticmethod
    def load(path: Path, fingerprint: str) -> "Dataset | None":
        """The prepared dataset, or None if there is no file or its fingerprint differs.

        Raises:
            UserError: the file exists and cannot be read.
        """
        return read_prepared(
            path, fingerprint, FORMAT, lambda content: Dataset(**content | {"x": content["x"].to_dense()})
        )
