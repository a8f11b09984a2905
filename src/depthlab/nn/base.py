"""What all architectures share: one training step, one evaluation, one optimiser."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from depthlab.graph.adjacency import Adjacency
from depthlab.graph.drop_edge import DropEdge, LayerSamples
from depthlab.graph.graph import Graph
from depthlab.graph.large import LargeGraph
from depthlab.graph.last_layer import LastLayer
from depthlab.measures.layers import Observer as Observer
from depthlab.nn.layerwise import Layerwise, infer
from depthlab.nn.norm import make_norm
from depthlab.ops import CapturedAdam, MaskSource, SparseFeatures, checkpointed_layers, dropout, relu_dropout
from depthlab.tasks.task import Classification, Task

Features = Tensor | SparseFeatures
Adjacencies = Adjacency | LayerSamples | LastLayer


def ignore(layer: int, state: Features) -> None:
    """The observer that looks away."""


@dataclass(frozen=True)
class Settings:
    """What every architecture is told, whatever its own knobs.

    Attributes:
        in_channels, out_channels: input features and outputs.
        depth: number of propagation layers, >= 1.
        hidden: width of the hidden states.
        dropout: probability with which an element of a layer's input is dropped, in [0, 1).
        norm: `none`, `batch`, `layer` or `pair`, between propagation and relu in hidden layers.
        drop_edge: how edges are dropped in training.
        lr: learning rate of Adam.
        weight_decay: L2 coefficient of the propagation layers.
        weight_decay_linear: L2 coefficient of encoder and decoder, where an architecture has them.
        memory: `checkpoint` recomputes layers in the backward pass instead of keeping what they made.
        seed: of the dropout and DropEdge masks.
    """

    in_channels: int
    out_channels: int
    depth: int
    hidden: int = 64
    dropout: float = 0.0
    norm: str = "none"
    drop_edge: DropEdge = DropEdge(0.0)
    lr: float = 0.01
    weight_decay: float = 0.0
    weight_decay_linear: float = 0.0
    memory: str = "full"
    seed: int = 0


class NodeClassifier(pl.LightningModule):
    """Base of the architectures: a subclass defines its parameters and `forward`.

    Its constructor makes parameters and never reads one: it is also called on the meta device, to count them.
    `forward(x, adjacency, observe)` returns logits of shape (n, classes). It calls `observe(layer, state)` with the
    state that enters the first layer (layer 0) and the state after each layer (1..depth), in order, as the pass streams
    by; in training mode it may show them after dropout.
    Layer l propagates over `adjacency.at(l)`. Modules named `encoder` and `decoder` get `weight_decay_linear`, what
    `without_decay` names gets none.

    Attributes:
        can_capture: whether a training step has fixed shapes and never waits for the device.
        can_checkpoint: whether the layers are run by `run_layers`, so that `memory=checkpoint` has a place.
        can_replicate: whether `forward` works on replicas (`depthlab.nn.replicas`): parameters and states have a
            leading axis. It does where sizes and axes are read from the end and products are `matmul` or `@`.
        states_passed: how many tensors of the size of a state a layer hands on to the next.
        precision: `bf16` for dense products of training steps in bfloat16, else `float32`.
        has_norms: whether `make_norms` was asked, so that the `norm` setting has a place.
        task: loss and metrics; a classification measured by accuracy unless it is replaced.
        scores: the latest loss and metrics by name, for callbacks to read. `self.log` would say the same at a third
            of a millisecond for each number, as much as the rest of Lightning's loop.
    """

    without_decay: tuple[str, ...] = ()
    can_capture = True
    can_checkpoint = False
    can_replicate = False
    states_passed = 1

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.masks = MaskSource(settings.seed)
        self.task: Task = Classification("acc", ("acc",), settings.out_channels)
        self.scores: dict[str, Tensor] = {}
        self.precision = "float32"
        self.has_norms = False

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        raise NotImplementedError("an architecture defines its own forward pass")  # pragma: no cover

    @property
    def recomputes(self) -> bool:
        """Whether the backward pass computes states once more, so that they need not be kept."""
        return self.settings.memory == "checkpoint"

    @property
    def reuses_buffers(self) -> bool:
        """Whether recomputed states go into one block that is made once, and not into many that come and go."""
        return False

    # Pieces for subclasses -------------------------------------------------------------------------------------------

    def drop(self, x: Features) -> tuple[Any, float]:
        """Dropout in training: `(state, scale)`, the scale still to be multiplied in by the next product."""
        if isinstance(x, SparseFeatures):
            return x.dropout(self.p_dropout, self.masks), 1.0
        return dropout(x, self.p_dropout, self.masks)

    def relu_drop(self, x: Tensor) -> tuple[Tensor, float]:
        """`drop(relu(x))` in one pass."""
        return relu_dropout(x, self.p_dropout, self.masks)

    @property
    def p_dropout(self) -> float:
        """The dropout probability in force: that of the settings in training, else 0."""
        return self.settings.dropout if self.training else 0.0

    def make_norms(self, count: int, channels: int | None = None) -> nn.ModuleList:
        """One norm of the configured kind for each of `count` hidden layers, of `channels` (or `hidden`) channels."""
        self.has_norms = True
        return nn.ModuleList(make_norm(self.settings.norm, channels or self.settings.hidden) for _ in range(count))

    def run_layers(
        self, layer: Callable[..., tuple[Any, ...]], state: tuple[Any, ...], observe: Observer
    ) -> tuple[Any, ...]:
        """`state = layer(l, *state)` for l = 1..depth; shows the first part of each to the observer.

        With `memory=checkpoint` a layer may be run once more in the backward pass: it leaves nothing behind.
        """
        if self.recomputes and torch.is_grad_enabled():
            norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm1d)]
            return checkpointed_layers(layer, self.settings.depth, state, observe, self.masks, norms)
        for number in range(1, self.settings.depth + 1):
            state = layer(number, *state)
            observe(number, state[0])
        return state

    # What a run asks --------------------------------------------------------------------------------------------------

    def check(self, graph: Graph) -> None:
        """Raise UserError if this architecture cannot work on this graph; called once, before training."""

    def findings(self) -> dict[str, float]:
        """What only the architecture knows after a pass, recorded once at the end of a run; names as in MLflow."""
        return {}

    def divergence(self) -> str:
        """Why a pass diverged and which settings would be stable, in words; empty if the architecture does not know."""
        return ""

    # Lightning -------------------------------------------------------------------------------------------------------

    def training_step(self, graph: Graph, batch: int = 0) -> Tensor:
        """The task's loss on the training nodes, with dropout and DropEdge; scores `train_loss`.

        Over the batches of an epoch that is the mean of theirs.
        """
        # Lightning's `global_step` is another count where steps are captured: it begins anew if that changes.
        self.masks.restart(self.trainer.fit_loop.total_batch_idx if self._trainer else 0)
        if self.automatic_optimization:
            return self._loss(graph, batch)
        optimizer: Any = self.optimizers()  # `depthlab.ops.capture`: the whole step is one call

        def closure() -> Tensor:
            optimizer.zero_grad()
            (loss := self._loss(graph, batch)).backward()
            return loss

        optimizer.step(closure=closure)
        return self.scores["train_loss"]

    def _loss(self, graph: Graph, batch: int) -> Tensor:
        with torch.autocast(graph.y.device.type, torch.bfloat16, enabled=self.precision == "bf16", cache_enabled=False):
            logits = self(graph.x, self.settings.drop_edge(graph.layers, self.masks))
        loss = self.task.training_loss(logits.to(self.dtype), graph)
        now = loss.detach()
        self.scores["train_loss"] = torch.lerp(self.scores["train_loss"], now, 1 / (batch + 1)) if batch else now
        return loss

    def training_adjacency(self, graph: Graph, step: int) -> Adjacencies:
        """What training step `step` propagates over: restarts the masks for that step and drops edges."""
        self.masks.restart(step)
        return self.settings.drop_edge(graph.layers, self.masks)

    def validation_step(self, graphs: Iterable[Graph | LargeGraph]) -> None:
        """Scores the training and validation nodes of all graphs together, without dropout."""
        train, val = self._read(graphs, "train", "val")
        self.scores |= self.task.measure("train", *train) | self.task.score("val", *val)

    def test_step(self, graphs: Iterable[Graph | LargeGraph]) -> None:
        """Scores all three parts; the only place where test labels are read."""
        parts = ("train", "val", "test")
        self.scores = {}
        for part, read in zip(parts, self._read(graphs, *parts), strict=True):
            self.scores |= self.task.score(part, *read)
        del self.scores["train_loss"]  # that name is the loss with dropout

    @property
    def layerwise(self) -> bool:
        """Whether a large graph is evaluated layer by layer; if not, whole and in memory. PairNorm needs all nodes."""
        return isinstance(self, Layerwise) and self.settings.norm != "pair"

    def infer(self, graph: Graph | LargeGraph) -> Tensor:
        """Logits of all nodes (n, classes); of a large graph layer by layer where the architecture can be run so."""
        if isinstance(graph, Graph):
            return self(graph.x, graph.layers)
        if self.layerwise:
            assert isinstance(self, Layerwise)
            return infer(self, graph, self.settings.depth, self.device)
        return self(graph.x.to(self.device), graph.adjacency.to(self.device)).to(graph.y.device)

    def _read(self, graphs: Iterable[Graph | LargeGraph], *parts: str) -> list[tuple[Tensor, Tensor]]:
        """Outputs and targets of each part; of a graph nothing else is kept."""
        found: dict[str, list[tuple[Tensor, Tensor]]] = {part: [] for part in parts}
        for graph in graphs:
            graph = graph.to(self.device) if isinstance(graph, Graph) else graph
            logits = self.infer(graph)
            for part, pieces in found.items():
                pieces.append(self.task.read(logits, graph, part))
        return [(torch.cat(logits), torch.cat(y)) for logits, y in (zip(*p, strict=True) for p in found.values())]

    def transfer_batch_to_device(self, batch: Graph, device: torch.device, dataloader_idx: int) -> Graph:
        """Lightning's own way walks and copies every field of the graph, at every step."""
        return batch.to(device)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam with L2 weight decay (coupled, as in the papers); one fused kernel for all parameters."""
        decays = {"layers": self.settings.weight_decay, "linear": self.settings.weight_decay_linear, "none": 0.0}
        groups: dict[str, list[nn.Parameter]] = {kind: [] for kind in decays}
        for name, parameter in self.named_parameters():
            module = name.split(".")[0]
            linear = "linear" if module in ("encoder", "decoder") else "layers"
            groups["none" if module in self.without_decay else linear].append(parameter)
        settings = [{"params": found, "weight_decay": decays[kind]} for kind, found in groups.items() if found]
        if not self.automatic_optimization:
            return CapturedAdam(settings, self.settings.lr, lambda: self.masks.generators)
        return torch.optim.Adam(settings, lr=self.settings.lr, fused=True)
