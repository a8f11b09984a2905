"""Mini-batches of many graphs, in training and evaluation."""

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor

from depthlab.graph.graph import Graph

PROBE_NODES = 4096  # maximum number of nodes for the measures by layer, about the size of a citation graph
SAMPLE = 512  # minimum number of training graphs to score after every epoch
PARTS = ("train", "val", "test")


class MiniBatches:
    """Mini-batches of many graphs, each batch one `Graph`; a subclass defines `graph`.

    The order of the training graphs depends on seed and epoch only, so that a resumed run sees the same batches.

    Args:
        parts: indices of the training, validation and test graphs.
        batch_size: graphs per batch, >= 1.
        seed: seed of the order.
    """

    task_range: int | None = None

    def __init__(self, parts: tuple[Tensor, Tensor, Tensor], batch_size: int, seed: int = 0) -> None:
        self.parts = dict(zip(PARTS, parts, strict=True))
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0
        self.sample = self._shuffled(0)[: max(SAMPLE, len(self.parts["val"]))]

    def graph(self, numbers: Tensor, part: str) -> Graph:
        """Combine the graphs `numbers` into one graph, whose targets belong to `part`."""
        raise NotImplementedError("a subclass builds the graph of a batch")  # pragma: no cover

    @property
    def largest(self) -> Graph:
        """A training batch to estimate memory with; all full batches have the same size."""
        return next(iter(self))

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the order."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.parts["train"]) // self.batch_size)

    def __iter__(self) -> Iterator[Graph]:
        for numbers in self._shuffled(self.seed * 1_000_003 + self.epoch).split(self.batch_size):
            yield self.graph(numbers, "train")

    def _shuffled(self, seed: int, part: str = "train") -> Tensor:
        numbers = self.parts[part]
        return numbers[torch.randperm(len(numbers), generator=torch.Generator().manual_seed(seed))]

    @property
    def validation(self) -> Iterable[Graph]:
        """All validation graphs and a fixed sample of about as many training graphs, to save time."""
        return chain(self._batches("train", self.sample), self._batches("val", self.parts["val"]))

    @property
    def all_parts(self) -> Iterable[Graph]:
        """The graphs of every part, for the test at the end."""
        return chain.from_iterable(self._batches(part, numbers) for part, numbers in self.parts.items())

    def _batches(self, part: str, numbers: Tensor) -> Iterator[Graph]:
        return (self.graph(batch, part) for batch in numbers.split(self.batch_size))
