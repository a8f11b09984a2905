"""The LightningModule: trains a network on a task, and scores it."""

import functools
from collections.abc import Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, distributed, nn

from depthlab.config.option_types import LRSchedulerSettings, OptimizerSettings
from depthlab.graph.drop_edge import DropEdge
from depthlab.graph.graph import Graph
from depthlab.graph.large import LargeGraph
from depthlab.nn.equation import stuck
from depthlab.nn.execution import by_blocks, run, works_by_blocks
from depthlab.nn.network import LayerGraphs, Network
from depthlab.ops import segment_length
from depthlab.tasks.task import Task
from depthlab.training.optimizer import ADAM, CONSTANT, make_optimizer, make_scheduler


class TrainingModule(pl.LightningModule):
    """Trains and scores a network.

    Args:
        network: initialised.
        task: loss and metrics.
        in_channels, hidden: number of input features, and of channels of hidden states.
        drop_edge: how edges are dropped in training.
        lr: learning rate; the initial one with a scheduler.
        weight_decay: L2 coefficient of the propagation layers.
        weight_decay_linear: L2 coefficient of encoder and decoder, if the architecture has them.
        memory: `checkpoint` recomputes layers in the backward pass instead of storing their states.
        optimizer, lr_scheduler: options of conf/optimizer and conf/lr_scheduler.
        monitor: the score that a scheduler may follow.

    Attributes:
        precision: `bf16` for dense products of training steps in bfloat16, else `float32`.
        scores: the latest loss and metrics by name, for callbacks. `self.log` takes a third of a millisecond per
            number, as long as the rest of Lightning's loop.
    """

    def __init__(
        self, network: Network, task: Task, in_channels: int, hidden: int, *, drop_edge: DropEdge = DropEdge(0.0),
        lr: float = 0.01, weight_decay: float = 0.0, weight_decay_linear: float = 0.0, memory: str = "full",
        optimizer: OptimizerSettings = ADAM, lr_scheduler: LRSchedulerSettings = CONSTANT, monitor: str = "val_loss",
    ) -> None:  # fmt: skip
        super().__init__()
        self.network, self.in_channels, self.hidden, self.drop_edge = network, in_channels, hidden, drop_edge
        self.lr, self.decays = lr, {"layers": weight_decay, "linear": weight_decay_linear, "none": 0.0}
        self.task, self.memory, self.monitor = task, memory, monitor
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.every = segment_length(network.depth) if memory == "checkpoint" else None
        self.precision = "float32"
        self.scores: dict[str, Tensor] = {}

    def training_step(self, graph: Graph, batch: int = 0) -> Tensor:
        """The task's loss on the training nodes, with dropout and DropEdge; scores `train_loss`.

        `train_loss` is the mean over the batches of an epoch.
        """
        graphs = self.training_graph(graph, self.trainer.fit_loop.total_batch_idx if self._trainer else 0)
        with torch.autocast(graph.y.device.type, torch.bfloat16, enabled=self.precision == "bf16", cache_enabled=False):
            output = run(self.network, graph.x, graphs, every=self.every)
        loss = self.task.training_loss(output.to(self.dtype), graph)
        now = loss.detach()
        self.scores["train_loss"] = torch.lerp(self.scores["train_loss"], now, 1 / (batch + 1)) if batch else now
        return loss

    def training_graph(self, graph: Graph, step: int) -> LayerGraphs:
        """The operators of training step `step`: restarts the random bits for that step and drops edges."""
        self.network.masks.restart(step)
        return self.drop_edge(graph.layers, self.network.masks)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """As in Lightning, but gradients become NaN if an adjoint solver cannot integrate backwards."""
        try:
            super().backward(loss, *args, **kwargs)
        except AssertionError as error:
            if not stuck(error):
                raise
            for weight in self.parameters():
                weight.grad = torch.full_like(weight, torch.nan)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add every rank's state of torch's random number generator; a user's network may use it (`nn.Dropout`)."""
        device = self.trainer.strategy.root_device
        state = {"cpu": torch.get_rng_state()}
        if device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(device)
        states: list[Any] = [state]
        if distributed.is_initialized():
            states = [None] * distributed.get_world_size()
            distributed.all_gather_object(states, state)
        checkpoint["torch_rng"] = states

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore torch's random number generator. Replicas do not use it and save no state."""
        if states := checkpoint.get("torch_rng"):
            state, device = states[self.global_rank], self.trainer.strategy.root_device
            torch.set_rng_state(state["cpu"])
            if device.type == "cuda" and "cuda" in state:  # a checkpoint may be of another device
                torch.cuda.set_rng_state(state["cuda"], device)

    def validation_step(self, graphs: Iterable[Graph | LargeGraph]) -> None:
        """Scores the training and validation nodes of all graphs together, without dropout."""
        train, val = self._read(graphs, "train", "val")
        self.scores |= self.task.measure("train", *train) | self.task.score("val", *val)

    def test_step(self, graphs: Iterable[Graph | LargeGraph]) -> None:
        """Scores all three parts, and sets `chance_test`; the only place where test labels are read."""
        parts = ("train", "val", "test")
        self.scores = {}
        for part, read in zip(parts, self._read(graphs, *parts), strict=True):
            self.scores |= self.task.score(part, *read)
            if part == "test":
                self.chance_test = self.task.chance(read[1])
        del self.scores["train_loss"]  # `train_loss` is the loss with dropout

    @functools.cached_property
    def by_blocks(self) -> bool:
        """Whether a large graph is evaluated layer by layer in blocks of rows instead of in memory."""
        return works_by_blocks(self.network, self.in_channels)

    def infer(self, graph: Graph | LargeGraph) -> Tensor:
        """Outputs of all nodes (n, channels), on the device of the graph."""
        if isinstance(graph, Graph):
            return run(self.network, graph.x, graph.layers)
        if self.by_blocks:
            return by_blocks(self.network, graph, self.device)
        return run(self.network, graph.x.to(self.device), graph.adjacency.to(self.device)).to(graph.y.device)

    def _read(self, graphs: Iterable[Graph | LargeGraph], *parts: str) -> list[tuple[Tensor, Tensor]]:
        """Outputs and targets of each part, of all graphs together."""
        pieces: dict[str, list[tuple[Tensor, Tensor]]] = {part: [] for part in parts}
        for graph in graphs:
            graph = graph.to(self.device) if isinstance(graph, Graph) else graph
            output = self.infer(graph)
            for part, read in pieces.items():
                read.append(self.task.read(output, graph, part))
        return [(torch.cat(output), torch.cat(y)) for output, y in (zip(*p, strict=True) for p in pieces.values())]

    def transfer_batch_to_device(self, batch: Graph, device: torch.device, dataloader_idx: int) -> Graph:
        """Move the graph once; Lightning would copy each of its fields at every step."""
        return batch.to(device)

    def configure_optimizers(self) -> Any:
        """The optimizer, and its scheduler if there is one."""
        optimizer = self.make_optimizer()
        scheduler = make_scheduler(self.lr_scheduler, optimizer, self.monitor)
        if scheduler is None:
            return optimizer
        # Lightning would require a score logged with `self.log`
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "reduce_on_plateau": False}}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Do nothing: Lightning calls this before the scores of the epoch are known. `Schedule` steps later."""

    def make_optimizer(self) -> torch.optim.Optimizer:
        """The optimizer of all parameters, with a weight decay for each parameter group."""
        groups: dict[str, list[nn.Parameter]] = {kind: [] for kind in self.decays}
        for name, parameter in self.network.named_parameters():
            module = name.split(".")[0]
            linear = "linear" if module in ("encoder", "decoder") else "layers"
            groups["none" if module in self.network.without_decay else linear].append(parameter)
        settings = [{"params": group, "weight_decay": self.decays[kind]} for kind, group in groups.items() if group]
        return make_optimizer(self.optimizer, settings, self.lr)
