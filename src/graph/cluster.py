"""Mini-batches of one graph: some parts of it at a time, with the nodes around them."""

from collections.abc import Iterator

import torch
from torch import Tensor

from src.graph.graph import Graph
from src.graph.large import LargeGraph


class ClusterBatches:
    """Stochastic multiple partitions of Cluster-GCN (Chiang et al. 2019, https://arxiv.org/abs/1905.07953).

    Every epoch the parts are shuffled and dealt out to as many batches as needed, `batch_parts` to each, or one more or
    less; every batch gets a part with training nodes. A batch is the graph of its parts with the edges between them, as
    in the paper, and a halo of the nodes one hop around, which the paper leaves out: so every entry of P is that of the
    whole graph, where the paper normalises the batch's own. States deeper in a network are still those of a cut graph.
    The order is drawn from seed and epoch alone, so that a resumed run sees the same batches.

    Args:
        large: the whole graph.
        assignment: the part of every node, int64 (n,).
        batch_parts: parts a batch, >= 1.
        seed: of the order.
        evaluated: the same graph as it is evaluated, whole: in memory, or `large` itself.
    """

    task_range: int | None = None

    def __init__(
        self, large: LargeGraph, assignment: Tensor, batch_parts: int, seed: int, evaluated: Graph | LargeGraph
    ) -> None:
        self.large, self.seed, self.epoch = large, seed, 0
        by_part = assignment.argsort(stable=True)  # nodes of a part stay ascending
        self.members = [part for part in by_part.split(torch.bincount(assignment).tolist()) if len(part)]
        trained = torch.zeros(int(assignment.max()) + 1, dtype=torch.bool)
        trained[assignment[large.train]] = True
        self.trained = trained[assignment.unique()]  # of the parts that have nodes
        self.count = max(1, min(-(-len(self.members) // batch_parts), int(self.trained.sum())))
        self.labels = large.y[large.train]
        self.validation: tuple[Graph | LargeGraph, ...] = (evaluated,)
        self.whole = self.validation
        self.probe = self._batch(self._dealt(0)[0])

    @property
    def sampler(self) -> "ClusterBatches":
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of that epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Graph]:
        for parts in self._dealt(self.seed * 1_000_003 + self.epoch):
            yield self._batch(parts)

    def _dealt(self, seed: int) -> list[list[int]]:
        """The parts of every batch: those with training nodes are dealt out first, so that no batch has none."""
        order = torch.randperm(len(self.members), generator=torch.Generator().manual_seed(seed))
        order = torch.cat([order[self.trained[order]], order[~self.trained[order]]])
        return [order[number :: self.count].tolist() for number in range(self.count)]

    def _batch(self, parts: list[int]) -> Graph:
        return self.large.batch(torch.cat([self.members[part] for part in parts]).sort().values)
