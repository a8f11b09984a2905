"""Several networks of one architecture as one: their parameters stacked, their states (r, n, f)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from src.models.base import NodeClassifier
from src.ops.replica_masks import ReplicaMasks


class Replicas:
    """A network whose every parameter holds those of r networks; products with it are batched.

    A weight (a, b) becomes (r, a, b), a vector (c,) becomes (r, 1, c), so that it is added to states (r, n, c) as it was
    to (n, c): a forward pass that reads sizes and axes from the end is that of all replicas at once.

    Args:
        networks: of one architecture and equal settings but for the seed; the first becomes the network of all.

    Attributes:
        network: it, with stacked parameters.
        optimizer: Adam on these; it treats every number alone, as that of r networks does.
    """

    def __init__(self, networks: Sequence[NodeClassifier]) -> None:
        self.network = networks[0]
        self.count = len(networks)
        self.shapes = {name: value.shape for name, value in self.network.named_parameters()}
        found = [dict(network.named_parameters()) for network in networks]
        stacked = {name: torch.stack([one[name].detach() for one in found]) for name in self.shapes}
        self.network.masks = ReplicaMasks([network.settings.seed for network in networks])  # type: ignore[assignment]
        for name, value in stacked.items():
            self._set(name, value.unsqueeze(1) if value.dim() == 2 else value)
        self.optimizer = self.network.configure_optimizers()

    def weights(self, replica: int) -> dict[str, Tensor]:
        """A copy of one replica's parameters, as its own network names and shapes them."""
        parameters = dict(self.network.named_parameters())
        return {name: parameters[name][replica].detach().view(shape).clone() for name, shape in self.shapes.items()}

    def moments(self, replica: int) -> list[dict[str, Any]]:
        """What Adam knows of one replica's parameters, in the order of its groups."""
        state = self.optimizer.state
        return [
            {key: value if value.dim() == 0 else value[replica].clone() for key, value in state[parameter].items()}
            for group in self.optimizer.param_groups
            for parameter in group["params"]
        ]

    def keep(self, replicas: Sequence[int]) -> None:
        """Go on with these alone: parameters, Adam's moments and masks of the others are forgotten."""
        index = torch.tensor(replicas)
        before = {name: self.optimizer.state[p] for name, p in self.network.named_parameters()}
        for name, parameter in list(self.network.named_parameters()):
            self._set(name, parameter.detach()[index])
        self.count = len(replicas)
        self.optimizer = self.network.configure_optimizers()
        for name, parameter in self.network.named_parameters():
            for key, value in before[name].items():
                self.optimizer.state[parameter][key] = value if value.dim() == 0 else value[index]
        self.network.masks.keep(replicas)  # type: ignore[attr-defined]

    def _set(self, name: str, value: Tensor) -> None:
        module, _, own = name.rpartition(".")
        setattr(self.network.get_submodule(module), own, nn.Parameter(value))
