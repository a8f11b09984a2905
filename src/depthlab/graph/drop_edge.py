"""DropEdge (Rong et al. 2020, https://arxiv.org/abs/1907.10903): a random subgraph for every training step."""

from dataclasses import dataclass, replace

import torch

from depthlab.graph.adjacency import Adjacency
from depthlab.graph.last_layer import LastLayer
from depthlab.ops import MaskSource
from depthlab.ops.masks import draw_threshold

MODES = ("renormalize", "rescale")


@dataclass(frozen=True)
class DropEdge:
    """Drops each undirected edge, both directions together, with probability `p`; self-loops stay.

    The authors' code keeps a fixed number of directed entries, which makes the operator asymmetric. Here both
    directions of an edge are dropped together and edges independently, so that the sample is an undirected graph, as
    the normalisation assumes.

    Dropped entries become zeros and the sparsity pattern stays the same: sampling is one vectorised pass, without a
    sort.

    Attributes:
        p: probability in [0, 1).
        mode: `renormalize` normalises the subgraph again (the paper); `rescale` keeps the weights of the full graph
            and multiplies those of the remaining edges by 1/(1-p).
        per_layer: draw a sample for every layer instead of one that all layers share.
    """

    p: float
    mode: str = "renormalize"
    per_layer: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode}")

    def __call__(self, adjacency: Adjacency | LastLayer, masks: MaskSource) -> "Adjacency | LayerSamples | LastLayer":
        """A sample of the adjacency; call once for every training step, with the step's masks.

        If the last layer has its own graph, no edges of that graph are dropped.
        """
        if self.p == 0.0:
            return adjacency
        if isinstance(adjacency, LastLayer):
            full = adjacency.first.at(0)
            return replace(adjacency, first=self._sampled(full, masks))
        return self._sampled(adjacency, masks)

    def _sampled(self, adjacency: Adjacency, masks: MaskSource) -> "Adjacency | LayerSamples":
        return LayerSamples(self, adjacency, masks) if self.per_layer else self.sample(adjacency, masks)

    def sample(self, adjacency: Adjacency, masks: MaskSource) -> Adjacency:
        """One random subgraph on the pattern of `adjacency`."""
        threshold, scale = draw_threshold(self.p)
        bits = masks.bits((adjacency.num_edges,), adjacency.row.device)
        kept = (bits > threshold).to(adjacency.values.dtype)
        return adjacency.normalized(kept) if self.mode == "renormalize" else adjacency.scaled(kept * scale)


@dataclass(frozen=True)
class LayerSamples:
    """An adjacency of which every layer gets a new sample."""

    drop_edge: DropEdge
    full: Adjacency
    masks: MaskSource

    def at(self, layer: int) -> Adjacency:
        return self.drop_edge.sample(self.full, self.masks)


def active_edges(adjacency: Adjacency) -> int:
    """Number of undirected edges whose weight is not zero."""
    alive = torch.zeros(adjacency.num_edges + 1, dtype=torch.bool, device=adjacency.pair.device)
    alive[adjacency.pair[adjacency.values != 0]] = True
    return int(alive[: adjacency.num_edges].sum())
