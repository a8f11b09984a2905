"""Mini-batches of one graph: a few of its parts, with the nodes around them."""

from collections.abc import Iterator
from copy import copy
from dataclasses import replace

import torch
from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.graph import Graph
from depthlab.graph.large import LargeGraph


class ClusterBatches:
    """Stochastic multiple partitions of Cluster-GCN (Chiang et al. 2019, https://arxiv.org/abs/1905.07953).

    Every epoch the parts are shuffled and distributed over batches of at most `batch_parts` parts. Every batch gets a
    part with training nodes; if there are fewer such parts than batches, an epoch leaves some other parts out. A batch
    is the graph of its parts with the edges between them, as in the paper, plus a halo of the nodes one hop around,
    which the paper leaves out: the entries of P are then those of the full graph, while the paper normalises the
    batch's own edges. States of deeper layers still differ from those of the full graph. The order depends on seed and
    epoch only, so that a resumed run sees the same batches.

    Args:
        large: the full graph.
        assignment: part of every node, int64 (n,).
        batch_parts: number of parts per batch, >= 1.
        seed: seed of the order.
        evaluated: the full graph as it is evaluated: in memory, or `large` itself.
    """

    task_range: int | None = None

    def __init__(
        self, large: LargeGraph, assignment: Tensor, batch_parts: int, seed: int, evaluated: Graph | LargeGraph
    ) -> None:
        self.large, self.batch_parts, self.seed, self.epoch = large, batch_parts, seed, 0
        by_part = assignment.argsort(stable=True)  # nodes of a part stay ascending
        self.members = [part for part in by_part.split(torch.bincount(assignment).tolist()) if len(part)]
        trained = torch.zeros(int(assignment.max()) + 1, dtype=torch.bool)
        trained[assignment[large.train]] = True
        self.trained = trained[assignment.unique()]  # of the parts that have nodes
        self.count = max(1, min(-(-len(self.members) // batch_parts), int(self.trained.sum())))
        trains = torch.bincount(assignment[large.train], minlength=len(trained))
        self.trains = trains[assignment.unique()].tolist()
        self.rank: tuple[int, int] | None = None  # (rank, number of processes)
        self.labels = large.y[large.train]
        self.validation: tuple[Graph | LargeGraph, ...] = (evaluated,)
        self.all_parts = self.validation
        self.probe = self._batch(self._distributed(0)[0])

    @property
    def sampler(self) -> "ClusterBatches":
        return self

    @property
    def largest(self) -> Graph:
        """A training batch; all are of about the same size."""
        return next(iter(self))

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of that epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Graph]:
        for parts in self._distributed(self.seed * 1_000_003 + self.epoch):
            yield self._batch(parts) if self.rank is None else self._shared(parts, *self.rank)

    @property
    def fewest(self) -> int:
        """Number of parts of the smallest batch."""
        return min(len(self.members) // self.count, self.batch_parts)

    @property
    def lonely_node(self) -> int | None:
        """A node that may be alone in a batch: a part of one node without neighbours; None if there is none."""
        if self.fewest > 1:
            return None
        for part, trained in zip(self.members, self.trained.tolist(), strict=True):
            if trained and len(part) == len(self.large.neighbours.around(part)) == 1:
                return int(part)
        return None

    def share(self, number: int, count: int) -> "ClusterBatches":
        """The share of process `number` of `count`: every count-th part of each batch, with its own halo.

        Losses are weighted by `count` / (training nodes of the full batch), so that the mean over processes is the mean
        over these nodes, for losses and for gradients.

        Raises:
            UserError: a batch has fewer parts than there are processes.
        """
        if self.fewest < count:
            raise UserError(
                f"some batches have {self.fewest} parts, too few for {count} processes: raise loader.parts or"
                " loader.batch_parts, or lower trainer.devices"
            )
        shared = copy(self)
        shared.rank = number, count
        return shared

    def _shared(self, parts: list[int], number: int, count: int) -> Graph:
        return replace(self._batch(parts[number::count]), weight=count / sum(self.trains[part] for part in parts))

    def _distributed(self, seed: int) -> list[list[int]]:
        """The parts of every batch; parts with training nodes are distributed first, so that every batch has one."""
        order = torch.randperm(len(self.members), generator=torch.Generator().manual_seed(seed))
        order = torch.cat([order[self.trained[order]], order[~self.trained[order]]])
        return [order[number :: self.count][: self.batch_parts].tolist() for number in range(self.count)]

    def _batch(self, parts: list[int]) -> Graph:
        return self.large.batch(torch.cat([self.members[part] for part in parts]).sort().values)
