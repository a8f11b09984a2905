"""Mini-batches of one graph: some parts of it at a time, with the nodes around them."""

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

    Every epoch the parts are shuffled and dealt out to as many batches as needed, at most `batch_parts` to each; every
    batch gets a part with training nodes, and where fewer parts have some than there would be batches, not every part
    of the others has its turn in every epoch. A batch is the graph of its parts with the edges between them, as
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
        self.large, self.batch_parts, self.seed, self.epoch = large, batch_parts, seed, 0
        by_part = assignment.argsort(stable=True)  # nodes of a part stay ascending
        self.members = [part for part in by_part.split(torch.bincount(assignment).tolist()) if len(part)]
        trained = torch.zeros(int(assignment.max()) + 1, dtype=torch.bool)
        trained[assignment[large.train]] = True
        self.trained = trained[assignment.unique()]  # of the parts that have nodes
        self.count = max(1, min(-(-len(self.members) // batch_parts), int(self.trained.sum())))
        trains = torch.bincount(assignment[large.train], minlength=len(trained))
        self.trains = trains[assignment.unique()].tolist()
        self.place: tuple[int, int] | None = None
        self.labels = large.y[large.train]
        self.validation: tuple[Graph | LargeGraph, ...] = (evaluated,)
        self.all_parts = self.validation
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
            yield self._batch(parts) if self.place is None else self._shared(parts, *self.place)

    @property
    def fewest(self) -> int:
        """How many parts the smallest batch has."""
        return min(len(self.members) // self.count, self.batch_parts)

    @property
    def lonely_node(self) -> int | None:
        """A node that may be alone in a batch: the only one of its part, without neighbours. None if there is none."""
        if self.fewest > 1:
            return None
        for part, trained in zip(self.members, self.trained.tolist(), strict=True):
            if trained and len(part) == len(self.large.neighbours.around(part)) == 1:
                return int(part)
        return None

    def share(self, number: int, count: int) -> "ClusterBatches":
        """The share of one of `count` processes: every count-th part of each batch, with a halo of its own.

        The loss of a training node is weighed by `count` over the training nodes of the whole batch, so that the mean
        over processes, of losses as of gradients, is the mean over these nodes, however they are spread.

        Raises:
            UserError: a batch has fewer parts than there are processes.
        """
        if self.fewest < count:
            raise UserError(
                f"some batches have {self.fewest} parts, too few for {count} processes: raise loader.parts or"
                " loader.batch_parts, or lower trainer.devices"
            )
        mine = copy(self)
        mine.place = number, count
        return mine

    def _shared(self, parts: list[int], number: int, count: int) -> Graph:
        return replace(self._batch(parts[number::count]), weight=count / sum(self.trains[part] for part in parts))

    def _dealt(self, seed: int) -> list[list[int]]:
        """The parts of every batch: those with training nodes are dealt out first, so that no batch has none."""
        order = torch.randperm(len(self.members), generator=torch.Generator().manual_seed(seed))
        order = torch.cat([order[self.trained[order]], order[~self.trained[order]]])
        return [order[number :: self.count][: self.batch_parts].tolist() for number in range(self.count)]

    def _batch(self, parts: list[int]) -> Graph:
        return self.large.batch(torch.cat([self.members[part] for part in parts]).sort().values)
