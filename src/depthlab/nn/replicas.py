"""Several networks of one architecture as one: their parameters stacked, their states (r, n, f)."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from depthlab.graph.copies import graph_copies
from depthlab.graph.graph import Graph
from depthlab.nn.base import NodeClassifier
from depthlab.ops.replica_masks import ReplicaMasks


class Replicas:
    """Networks that are trained at once, each on a split of its own of one graph.

    A weight (a, b) becomes (r, a, b) and a vector (c,) becomes (r, 1, c), so that it is added to states (r, n, c) as it
    was to (n, c): a forward pass that reads sizes and axes from the end is that of all replicas. They propagate over
    copies of the graph side by side, products with weights are batched, masks are those of each replica's seed. Nothing
    passes from one replica to another, and Adam treats every number alone: each is trained as it would be by itself.

    Args:
        networks: of one architecture and equal settings but for the seed; they stay as they are.
        graphs: one for each, equal but for the split.
        moments: what Adam knew of each replica, as `moments` gave it, where training goes on.

    Attributes:
        network: the network of all, with stacked parameters.
        optimizer: Adam on these, with the groups of the architecture.
    """

    def __init__(
        self,
        networks: Sequence[NodeClassifier],
        graphs: Sequence[Graph],
        moments: Sequence[Sequence[Mapping[str, Tensor]]] | None = None,
    ) -> None:
        self.network = copy.deepcopy(networks[0])
        self.shapes = {name: value.shape for name, value in self.network.named_parameters()}
        self.masks = ReplicaMasks([network.settings.seed for network in networks])
        self.network.masks = self.masks  # type: ignore[assignment]
        self.graphs = list(graphs)
        found = [dict(network.named_parameters()) for network in networks]
        self._stack({name: torch.stack([one[name].detach() for one in found]) for name in self.shapes})
        for parameter, *each in zip(self._parameters(), *moments, strict=True) if moments else ():
            for key, value in each[0].items():  # the number of steps is the same for all
                stacked = value.clone() if value.dim() == 0 else torch.stack([one[key] for one in each])
                self.optimizer.state[parameter][key] = stacked.view(parameter.shape if stacked.dim() else ())

    @property
    def count(self) -> int:
        """r, how many are at work."""
        return len(self.graphs)

    def train(self, step: int) -> Tensor:
        """One step of every replica; returns their training losses (r,), each as `NodeClassifier.training_step`'s."""
        self.network.train()
        self.optimizer.zero_grad()
        logits = self.network(self.copies.x, self.network.training_adjacency(self.copies, step))
        each = self.network.task.loss(logits.flatten(0, 1)[self.train_nodes], self.train_y, "none")
        losses = torch.stack([part.mean() for part in each.split(self.train_sizes)])
        losses.sum().backward()
        self.optimizer.step()
        return losses.detach()

    @torch.inference_mode()
    def validate(self) -> list[dict[str, Tensor]]:
        """Of every replica what `NodeClassifier.validation_step` scores."""
        self.network.eval()
        task, scores = self.network.task, []
        for graph, logits in zip(self.graphs, self.network(self.copies.x, self.copies.layers), strict=True):
            train, val = (task.read(logits, graph, part) for part in ("train", "val"))
            scores.append(task.measure("train", *train) | task.score("val", *val))
        return scores

    def weights(self, replica: int) -> dict[str, Tensor]:
        """One replica's parameters as its own network names and shapes them; the memory is shared."""
        parameters = dict(self.network.named_parameters())
        return {name: parameters[name].detach()[replica].view(shape) for name, shape in self.shapes.items()}

    def moments(self, replica: int) -> list[dict[str, Tensor]]:
        """What Adam knows of each of one replica's parameters, in the order of its groups; copies."""
        shapes = {id(parameter): self.shapes[name] for name, parameter in self.network.named_parameters()}

        def own(parameter: Tensor, value: Tensor) -> Tensor:
            return (value if value.dim() == 0 else value[replica].view(shapes[id(parameter)])).clone()

        state = self.optimizer.state
        return [{key: own(p, value) for key, value in state[p].items()} for p in self._parameters()]

    def keep(self, replicas: Sequence[int]) -> None:
        """Go on with these alone: the parameters, moments and masks of the others are given up."""
        index = torch.tensor(replicas)
        before = [self.optimizer.state[parameter] for parameter in self._parameters()]
        self.masks.keep(replicas)
        self.graphs = [self.graphs[k] for k in replicas]
        self._stack({name: value.detach()[index] for name, value in self.network.named_parameters()})
        for parameter, state in zip(self._parameters(), before, strict=True):
            kept = {key: value if value.dim() == 0 else value[index] for key, value in state.items()}
            self.optimizer.state[parameter] = kept

    def _parameters(self) -> list[Any]:
        """In the order of Adam's groups."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _stack(self, values: Mapping[str, Tensor]) -> None:
        """Take these as parameters (r, ...), with an optimiser of their own, and as many copies of the graph."""
        for name, value in values.items():
            module, _, own = name.rpartition(".")
            parameter = nn.Parameter(value.unsqueeze(1) if value.dim() == 2 else value)
            setattr(self.network.get_submodule(module), own, parameter)
        self.optimizer = self.network.configure_optimizers()
        self.copies = self.graphs[0]  # the copies of before go before the new ones come
        self.copies = graph_copies(self.graphs[0], self.count)
        nodes = self.graphs[0].x.shape[0]
        self.train_nodes = torch.cat([k * nodes + graph.train for k, graph in enumerate(self.graphs)])
        self.train_y = torch.cat([graph.y[graph.train] for graph in self.graphs])
        self.train_sizes = [len(graph.train) for graph in self.graphs]
