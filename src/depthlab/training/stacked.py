"""Train replicas as one stacked network, each with its own split of one graph."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from depthlab.graph.copies import graph_copies
from depthlab.graph.graph import Graph
from depthlab.nn.execution import run
from depthlab.nn.stacking import set_stacked, stack
from depthlab.training.module import TrainingModule


class Replicas:
    """Stacked networks in training. Replicas do not interact, each has its own random bits, and the optimizer works
    elementwise: each replica is trained like a single run.

    Args:
        modules: modules of one architecture with equal settings except for the seed; they are not changed.
        graphs: the graph of each replica; they differ in the split only.
        moments: states of the optimizer of each replica, as returned by `moments`, to continue a training.

    Attributes:
        module: module of the stacked networks.
        optimizer: an elementwise optimizer over the parameter groups of the architecture.
    """

    def __init__(
        self,
        modules: Sequence[TrainingModule],
        graphs: Sequence[Graph],
        moments: Sequence[Sequence[Mapping[str, Tensor]]] | None = None,
    ) -> None:
        self.shapes = {name: value.shape for name, value in modules[0].network.named_parameters()}
        self.module = copy.deepcopy(modules[0])
        self.module.network = stack([module.network for module in modules])
        self.graphs = list(graphs)
        self._set_up()
        for parameter, *each in zip(self._parameters(), *moments, strict=True) if moments else ():
            for key, value in each[0].items():  # all replicas have the same number of steps
                stacked = value.clone() if value.dim() == 0 else torch.stack([state[key] for state in each])
                self.optimizer.state[parameter][key] = stacked.view(parameter.shape if stacked.dim() else ())

    @property
    def count(self) -> int:
        """Number r of replicas."""
        return len(self.graphs)

    def train(self, step: int) -> Tensor:
        """One training step of every replica; returns the losses (r,), as `TrainingModule.training_step` does."""
        self.module.train()
        self.optimizer.zero_grad()
        logits = run(self.module.network, self.copies.x, self.module.training_graph(self.copies, step))
        each = self.module.task.loss(logits.flatten(0, 1)[self.train_nodes], self.train_y, "none")
        losses = torch.stack([part.mean() for part in each.split(self.train_sizes)])
        losses.sum().backward()
        self.optimizer.step()
        return losses.detach()

    @torch.inference_mode()
    def validate(self) -> list[dict[str, Tensor]]:
        """The scores of every replica, as in `TrainingModule.validation_step`."""
        self.module.eval()
        task, scores, outputs = self.module.task, [], run(self.module.network, self.copies.x, self.copies.layers)
        for graph, output in zip(self.graphs, outputs, strict=True):
            train, val = (task.read(output, graph, part) for part in ("train", "val"))
            scores.append(task.measure("train", *train) | task.score("val", *val))
        return scores

    def weights(self, replica: int) -> dict[str, Tensor]:
        """The parameters of a replica, as in `TrainingModule.state_dict`; they share memory with the stacked ones."""
        parameters = dict(self.module.network.named_parameters())
        return {
            f"network.{name}": parameters[name].detach()[replica].view(shape) for name, shape in self.shapes.items()
        }

    def moments(self, replica: int) -> list[dict[str, Tensor]]:
        """Copies of the optimizer's state for each parameter of a replica, in the order of the parameter groups."""
        shapes = {id(parameter): self.shapes[name] for name, parameter in self.module.network.named_parameters()}

        def own(parameter: Tensor, value: Tensor) -> Tensor:
            return (value if value.dim() == 0 else value[replica].view(shapes[id(parameter)])).clone()

        state = self.optimizer.state
        return [{key: own(p, value) for key, value in state[p].items()} for p in self._parameters()]

    def keep(self, replicas: Sequence[int]) -> None:
        """Continue with these replicas only."""
        index, network = torch.tensor(replicas), self.module.network
        before = [self.optimizer.state[parameter] for parameter in self._parameters()]
        network.masks.keep(replicas)  # type: ignore[attr-defined]
        self.graphs = [self.graphs[k] for k in replicas]
        set_stacked(network, {name: value.detach()[index] for name, value in network.named_parameters()})
        self._set_up()
        for parameter, state in zip(self._parameters(), before, strict=True):
            self.optimizer.state[parameter] = {
                key: value if value.dim() == 0 else value[index] for key, value in state.items()
            }

    def _parameters(self) -> list[Any]:
        """Parameters in the order of the optimizer's groups."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _set_up(self) -> None:
        """Create the optimizer for the present parameters, and one copy of the graph per replica."""
        self.optimizer = self.module.make_optimizer()
        self.copies = self.graphs[0]  # frees the former copies before the new ones are made
        self.copies = graph_copies(self.graphs[0], self.count)
        nodes = self.graphs[0].x.shape[0]
        self.train_nodes = torch.cat([k * nodes + graph.train for k, graph in enumerate(self.graphs)])
        self.train_y = torch.cat([graph.y[graph.train] for graph in self.graphs])
        self.train_sizes = [len(graph.train) for graph in self.graphs]
