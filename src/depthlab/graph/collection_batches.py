"""Mini-batches of graphs of different topology, as PyG's `DataLoader` makes them."""

from functools import cached_property

import torch
from torch import Tensor

from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.graph.mini_batches import PARTS, PROBE_NODES, MiniBatches


class CollectionBatches(MiniBatches):
    """Mini-batches of graphs of different topology, with graph-level or node-level targets.

    A batch of b graphs is one `Graph`, whose adjacency has a block for each of them. Measures by layer are taken on
    `probe`: validation graphs with 4,096 nodes in all, or the first one if it is larger. A measure that averages
    over nodes averages over the nodes of all these graphs, and a measure that is a sum adds up over the graphs.

    Args:
        x: float32 (n, f), the nodes of one graph after the other.
        edge_index: (2, m), sources and targets, no edge between two graphs.
        ptr: graph i has the nodes ptr[i] to ptr[i + 1] - 1, int64 (g + 1,).
        y: target of each graph (g,), or of each node (n,) if `pooling` is `none`.
        pooling: as `Graph.pooling`, or `none`.
        parts, batch_size, seed: as for `MiniBatches`.
        rewired: rewired edges to propagate over; nodes from n on are new, each connected to nodes of its graph.
        last_of: depth of the network, if only its last layer uses the rewired edges.
        edge_weight: weights of `edge_index`, > 0, (m,); None if all are 1.
    """

    def __init__(
        self,
        x: Tensor,
        edge_index: Tensor,
        ptr: Tensor,
        y: Tensor,
        pooling: str,
        parts: tuple[Tensor, Tensor, Tensor],
        batch_size: int,
        seed: int = 0,
        rewired: Tensor | None = None,
        last_of: int | None = None,
        edge_weight: Tensor | None = None,
    ) -> None:
        super().__init__(parts, batch_size, seed)
        self.x, self.ptr, self.y, self.pooling, self.last_of = x, ptr, y, pooling, last_of
        self.own = BlockEdges(edge_index, ptr, edge_weight)
        self.rewired = None if rewired is None else BlockEdges(rewired, ptr)
        train = self.parts["train"]
        self.labels = self._targets(y[self.nodes(train)] if pooling == "none" else y[train])
        val = self._shuffled(0, "val")
        count = max(1, int((ptr.diff()[val].cumsum(0) <= PROBE_NODES).sum()))
        self.probe = self.graph(val[:count], "train")  # graphs that were not trained on

    @property
    def sampler(self) -> "CollectionBatches":
        return self

    @cached_property
    def largest(self) -> Graph:
        """The batch of the largest training graphs: an upper bound for the batches of an epoch."""
        train = self.parts["train"]
        by_size = train[self.ptr.diff()[train].argsort(descending=True)]
        return self.graph(by_size[: self.batch_size], "train")

    @cached_property
    def validation(self) -> list[Graph]:
        """As in `MiniBatches`; the graphs are the same after every epoch, and kept."""
        with torch.inference_mode(False):  # the estimate of a study reads them outside of it
            return list(super().validation)

    @property
    def may_have_single_node(self) -> bool:
        """Whether a training batch may have a single node."""
        train = self.parts["train"]
        one = self.batch_size == 1 or len(train) % self.batch_size == 1
        return one and bool((self.ptr.diff()[train] == 1).any())

    def graph(self, numbers: Tensor, part: str) -> Graph:
        """Combine the graphs `numbers` into one block-diagonal graph, whose targets belong to `part`."""
        sizes, nodes = self.ptr.diff()[numbers], self.nodes(numbers)
        own = self.own.of(numbers)
        new = 0 if self.rewired is None else int(self.rewired.new[numbers].sum())
        x = torch.cat([self.x[nodes], self.x.new_zeros(new, self.x.shape[1])])
        adjacency, last = self._operators(numbers, own, len(x))
        if self.pooling == "none":
            y = torch.cat([self.y[nodes], self.y.new_full((new,), -1)])
            members, ptr = has_target(y[: len(nodes)]).nonzero().view(-1), None
        else:
            y, members, ptr = self.y[numbers], torch.arange(len(numbers)), _starts(sizes)
        train, val, test = (members if part == name else members[:0] for name in PARTS)
        return Graph(
            x, adjacency, y, train, val, test, None if self.rewired is None else own, new, last, self.last_of or 0,
            ptr=ptr, pooling=self.pooling,
        )  # fmt: skip

    def _operators(self, numbers: Tensor, own: Tensor, nodes: int) -> tuple[Adjacency, Adjacency | None]:
        if self.rewired is None:
            return gcn_adjacency(own, nodes, self.own.weights_of(numbers)), None
        rewired = gcn_adjacency(self.rewired.of(numbers), nodes)
        return (rewired, None) if self.last_of is None else (gcn_adjacency(own, nodes), rewired)

    def nodes(self, numbers: Tensor) -> Tensor:
        """The nodes of these graphs, one graph after the other."""
        sizes = self.ptr.diff()[numbers]
        shift = (self.ptr[numbers] - _starts(sizes)[:-1]).repeat_interleave(sizes)
        return torch.arange(len(shift)) + shift

    @staticmethod
    def _targets(y: Tensor) -> Tensor:
        return y[has_target(y)]


class BlockEdges:
    """The edges of disjoint graphs, with selection of graphs.

    Args:
        edge_index: (2, m); nodes from ptr[-1] on are new, each joined to a node of its graph.
        ptr: as for `CollectionBatches`.
        weight: edge weights (m,), or None.

    Attributes:
        edges: of each graph, numbered within it, (2, m_i); its new nodes come last.
        new: number of new nodes of each graph, (g,).
    """

    def __init__(self, edge_index: Tensor, ptr: Tensor, weight: Tensor | None = None) -> None:
        self.sizes, nodes, graphs = ptr.diff(), int(ptr[-1]), len(ptr) - 1
        graph = torch.arange(graphs).repeat_interleave(self.sizes)
        highest = int(edge_index.max()) + 1 if edge_index.numel() else 0
        owner = graph.new_zeros(max(0, highest - nodes))  # the graph that each new node belongs to
        joins = (edge_index[0] < nodes) & (edge_index[1] >= nodes)
        owner[edge_index[1, joins] - nodes] = graph[edge_index[0, joins]]
        self.new = torch.bincount(owner, minlength=graphs)
        graph, order = torch.cat([graph, owner]), owner.argsort(stable=True)
        local = torch.empty_like(graph)  # the index of a node in its graph, where new nodes come last
        local[:nodes] = torch.arange(nodes) - ptr[graph[:nodes]]
        within = torch.arange(len(order)) - _starts(self.new)[owner[order]]
        local[nodes + order] = self.sizes[owner[order]] + within
        of_edge = graph[edge_index[0]]
        by_graph = of_edge.argsort(stable=True)
        self.count = torch.bincount(of_edge, minlength=graphs)
        counts = self.count.tolist()
        self.edges = local[edge_index[:, by_graph]].split(counts, 1)
        self.weights = None if weight is None else weight[by_graph].split(counts)

    def of(self, numbers: Tensor) -> Tensor:
        """The edges of the block-diagonal graph of `numbers`, (2, m'); new nodes come after all others."""
        if not len(numbers):
            return self.sizes.new_empty(2, 0)
        local = torch.cat([self.edges[number] for number in numbers.tolist()], 1)
        sizes, new, count = self.sizes[numbers], self.new[numbers], self.count[numbers]
        size = sizes.repeat_interleave(count)
        first = _starts(sizes)[:-1].repeat_interleave(count)
        if not new.any():
            return local + first
        first_new = (int(sizes.sum()) + _starts(new)[:-1] - sizes).repeat_interleave(count)
        return local + torch.where(local < size, first, first_new)

    def weights_of(self, numbers: Tensor) -> Tensor | None:
        """The edge weights of these graphs, in the order of `of`; None without weights."""
        if self.weights is None:
            return None
        return torch.cat([self.weights[number] for number in numbers.tolist()])


def _starts(sizes: Tensor) -> Tensor:
    """0 and the cumulative sums of sizes."""
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])


def has_target(y: Tensor) -> Tensor:
    """Which targets are there: classes from 0, numbers but NaN."""
    return ~y.isnan() if y.is_floating_point() else y >= 0
