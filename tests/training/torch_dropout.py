"""An architecture that draws from torch's own random numbers, as one of a user may."""

from typing import Any

from torch.nn import functional as F

from depthlab.nn.gcn import GCN


class TorchDropout(GCN):
    """GCN with `F.dropout` on the input of every layer."""

    def layer(self, number: int, state: Any, graph: Any) -> Any:
        return super().layer(number, (F.dropout(state[0], 0.5, self.training),), graph)
