"""The batches of an epoch: one graph, or mini-batches of many graphs of one topology, each batch one `Graph`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.graph.large import LargeGraph
from depthlab.graph.mini_batches import PARTS, PROBE_NODES, MiniBatches
from depthlab.ops import SparseFeatures


class Batches(Protocol):
    """The training steps of an epoch, in order, and what is evaluated.

    Attributes:
        probe: graph that a network is built for and on which gradients and measures by layer are taken.
        labels: classes of all training nodes or graphs, int64.
        task_range: hops from the node that is read out to the node with the answer, if the task has such a distance.
        validation: graphs that are evaluated after every epoch and scored together.
        all_parts: training, validation and test nodes, for the test at the end.
        largest: a training batch of maximum size, to estimate memory with.
        sampler: the loader itself, whose `set_epoch` Lightning calls before every epoch, also after a resume.
    """

    @property
    def probe(self) -> Graph: ...

    @property
    def labels(self) -> Tensor: ...

    @property
    def task_range(self) -> int | None: ...

    @property
    def validation(self) -> Iterable[Graph | LargeGraph]: ...

    @property
    def all_parts(self) -> Iterable[Graph | LargeGraph]: ...

    @property
    def largest(self) -> Graph: ...

    @property
    def sampler(self) -> "Batches": ...

    def set_epoch(self, epoch: int) -> None: ...

    def __iter__(self) -> Iterator[Graph]: ...

    def __len__(self) -> int: ...


class OneGraph:
    """Full-batch training: the whole graph, once an epoch."""

    task_range: int | None = None

    def __init__(self, graph: Graph) -> None:
        self.probe = self.largest = graph
        self.labels = graph.y[graph.train]
        self.validation = self.all_parts = (graph,)

    @property
    def sampler(self) -> "OneGraph":
        return self

    def set_epoch(self, epoch: int) -> None:
        """Every epoch is the same."""

    def __iter__(self) -> Iterator[Graph]:
        yield self.probe

    def __len__(self) -> int:
        return 1


class GraphBatches(MiniBatches):
    """Mini-batches of many graphs of one topology, read out at one node each.

    A batch of B graphs is one `Graph` of B * n nodes: the block-diagonal adjacency depends on B alone, so it is built
    once for each B and shared by all batches, while collating would sort and normalise the same edges at every step.
    Classes are -1 except at read-out nodes, which are the nodes of the part that a batch was drawn from.

    Args:
        x: float32 (g, n, f), or integers (g, n, k): the columns that hold a one in each row of one-hot features, -1
            for none.
        width: number of features f.
        edge_index: (2, m) of one graph, as messages go; every node gets a self-loop.
        root: the node of each graph that is read out.
        y: class of each graph, int64 (g,).
        parts, batch_size, seed: as for `MiniBatches`.
        task_range: as in `Batches`.
        rewired: rewired edges that every graph propagates over; nodes from n on are new.
        last_of: depth of the network, if only its last layer uses the rewired edges.
    """

    def __init__(
        self,
        x: Tensor,
        width: int,
        edge_index: Tensor,
        root: int,
        y: Tensor,
        parts: tuple[Tensor, Tensor, Tensor],
        batch_size: int,
        seed: int = 0,
        task_range: int | None = None,
        rewired: Tensor | None = None,
        last_of: int | None = None,
    ) -> None:
        super().__init__(parts, batch_size, seed)
        self.x, self.width, self.edge_index, self.root, self.y = x, width, edge_index, root, y
        self.task_range, self.labels = task_range, y[self.parts["train"]]
        self.rewired, self.last_of = rewired, last_of
        highest = int(rewired.max()) if rewired is not None and rewired.numel() else -1
        self.new_nodes = max(0, highest + 1 - x.shape[1])
        self._by_count: dict[int, _Copies] = {}
        count = min(batch_size, max(1, PROBE_NODES // x.shape[1]))
        self.probe = self.graph(self.parts["val"][:count], "train")  # graphs that no weight was fitted to

    @property
    def sampler(self) -> "GraphBatches":
        return self

    def graph(self, numbers: Tensor, part: str) -> Graph:
        """The graphs `numbers` side by side as one graph, whose read-out nodes belong to `part`."""
        count, nodes = len(numbers), self.x.shape[1]
        if count not in self._by_count:
            with torch.inference_mode(False):  # training uses it as well, even if an evaluation builds it
                self._by_count[count] = self._copies(count)
        copies, new = self._by_count[count], count * self.new_nodes
        roots, none = torch.arange(count) * nodes + self.root, torch.empty(0, dtype=torch.long)
        y = self.y.new_full((count * nodes + new,), -1)
        y[roots] = self.y[numbers]
        train, val, test = (roots if part == name else none for name in PARTS)
        x = self._features(numbers, new)
        return Graph(x, copies.adjacency, y, train, val, test, copies.original, new, copies.last, self.last_of or 0)

    def _copies(self, count: int) -> "_Copies":
        nodes, new = self.x.shape[1], self.new_nodes
        own = disjoint_copies(self.edge_index, nodes, count)
        if self.rewired is None:
            return _Copies(gcn_adjacency(own, count * nodes))
        wired = gcn_adjacency(disjoint_copies(self.rewired, nodes, count, new), count * (nodes + new))
        if self.last_of is None:
            return _Copies(wired, own)
        return _Copies(gcn_adjacency(own, count * (nodes + new)), own, wired)

    def _features(self, numbers: Tensor, new: int) -> Tensor | SparseFeatures:
        rows = self.x[numbers].flatten(0, 1)
        rows = torch.cat([rows, rows.new_full((new, rows.shape[1]), 0 if rows.is_floating_point() else -1)])
        if rows.is_floating_point():
            return rows
        ones = rows >= 0
        crow = torch.zeros(len(rows) + 1, dtype=torch.long)
        crow[1:] = ones.sum(1).cumsum(0)
        col = rows[ones].long()
        return SparseFeatures.from_csr(crow, col, torch.ones(len(col)), (len(rows), self.width))


@dataclass(frozen=True)
class _Copies:
    """The operators of a batch with a given number of graphs; attributes as in `Graph`."""

    adjacency: Adjacency
    original: Tensor | None = None
    last: Adjacency | None = None


def disjoint_copies(edge_index: Tensor, num_nodes: int, count: int, new: int = 0) -> Tensor:
    """The edges of `count` copies of a graph, (2, count * m).

    The nodes of copy i are numbered from i * num_nodes; those from `num_nodes` on, `new` of each copy, come last.
    """
    copy = torch.arange(count)[:, None]
    offset = torch.where(edge_index[:, None] < num_nodes, num_nodes * copy, num_nodes * (count - 1) + new * copy)
    return (edge_index[:, None] + offset).flatten(1)
