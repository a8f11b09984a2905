"""Networks that are trained at once as one, each on a split of its own of one graph."""

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
    """Stacked networks in training. Nothing passes from one replica to another, random bits are those of each, and Adam
    treats every number alone: each is trained as it would be by itself.

    Args:
        modules: of networks of one architecture, with equal settings but for the seed; they stay as they are.
        graphs: one for each, equal but for the split.
        moments: what Adam knew of each replica, as `moments` gave it, where training goes on.

    Attributes:
        module: of the stacked networks.
        optimizer: Adam on their parameters, with the groups of the architecture.
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
            for key, value in each[0].items():  # the number of steps is the same for all
                stacked = value.clone() if value.dim() == 0 else torch.stack([one[key] for one in each])
                self.optimizer.state[parameter][key] = stacked.view(parameter.shape if stacked.dim() else ())

    @property
    def count(self) -> int:
        """r, how many are at work."""
        return len(self.graphs)

    def train(self, step: int) -> Tensor:
        """One step of every replica; returns their training losses (r,), each as `TrainingModule.training_step`'s."""
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
        """Of every replica what `TrainingModule.validation_step` scores."""
        self.module.eval()
        task, scores, outputs = self.module.task, [], run(self.module.network, self.copies.x, self.copies.layers)
        for graph, output in zip(self.graphs, outputs, strict=True):
            train, val = (task.read(output, graph, part) for part in ("train", "val"))
            scores.append(task.measure("train", *train) | task.score("val", *val))
        return scores

    def weights(self, replica: int) -> dict[str, Tensor]:
        """One replica's parameters as `TrainingModule.state_dict` names and shapes them; the memory is shared."""
        parameters = dict(self.module.network.named_parameters())
        return {
            f"network.{name}": parameters[name].detach()[replica].view(shape) for name, shape in self.shapes.items()
        }

    def moments(self, replica: int) -> list[dict[str, Tensor]]:
        """What Adam knows of each of one replica's parameters, in the order of its groups; copies."""
        shapes = {id(parameter): self.shapes[name] for name, parameter in self.module.network.named_parameters()}

        def own(parameter: Tensor, value: Tensor) -> Tensor:
            return (value if value.dim() == 0 else value[replica].view(shapes[id(parameter)])).clone()

        state = self.optimizer.state
        return [{key: own(p, value) for key, value in state[p].items()} for p in self._parameters()]

    def keep(self, replicas: Sequence[int]) -> None:
        """Go on with these alone: the parameters, moments and random bits of the others are given up."""
        index, network = torch.tensor(replicas), self.module.network
        before = [self.optimizer.state[parameter] for parameter in self._parameters()]
        network.masks.keep(replicas)  # type: ignore[attr-defined]
        self.graphs = [self.graphs[k] for k in replicas]
        set_stacked(network, {name: value.detach()[index] for name, value in network.named_parameters()})
        self._set_up()
        for parameter, state in zip(self._parameters(), before, strict=True):
            kept = {key: value if value.dim() == 0 else value[index] for key, value in state.items()}
            self.optimizer.state[parameter] = kept

    def _parameters(self) -> list[Any]:
        """In the order of Adam's groups."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _set_up(self) -> None:
        """An optimiser for the present parameters, and as many copies of the graph as there are replicas."""
        self.optimizer = self.module.configure_optimizers()
        self.copies = self.graphs[0]  # the copies of before go before the new ones come
        self.copies = graph_copies(self.graphs[0], self.count)
        nodes = self.graphs[0].x.shape[0]
        self.train_nodes = torch.cat([k * nodes + graph.train for k, graph in enumerate(self.graphs)])
        self.train_y = torch.cat([graph.y[graph.train] for graph in self.graphs])
        self.train_sizes = [len(graph.train) for graph in self.graphs]
