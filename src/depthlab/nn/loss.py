"""What is minimised, and what is counted."""

from torch import Tensor
from torch.nn import functional as F

from depthlab.graph.graph import Graph


def training_loss(logits: Tensor, graph: Graph) -> Tensor:
    """Mean cross-entropy over the training nodes; of a share of a batch the weighed sum, which may be over none."""
    logits, y = logits[graph.train], graph.y[graph.train]
    if graph.weight is None:
        return F.cross_entropy(logits, y)
    return F.cross_entropy(logits, y, reduction="sum") * graph.weight


def accuracy(logits: Tensor, y: Tensor) -> Tensor:
    """The fraction of nodes whose largest logit is that of their class."""
    return (logits.argmax(-1) == y).float().mean()
