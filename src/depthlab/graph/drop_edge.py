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

    The authors' code keeps a fixed number of the stored entries, each direction of an edge by itself, which makes the
    operator asymmetric; here the two directions go together, each edge by itself, so that the sample is again the graph
    of undirected edges that the normalisation is meant for.

    The pattern keeps its shape and dropped entries become zeros, so an adjacency costs one vectorised pass and never
    a new sort.

    Attributes:
        p: probability in [0, 1).
        mode: `renormalize` normalises the subgraph afresh (the paper); `rescale` keeps the weights of the whole graph
            and multiplies those of surviving edges by 1/(1-p).
        per_layer: a sample for every layer instead of one that all layers share.
    """

    p: float
    mode: str = "renormalize"
    per_layer: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode}")

    def __call__(self, adjacency: Adjacency | LastLayer, masks: MaskSource) -> "Adjacency | LayerSamples | LastLayer":
        """A sample of the adjacency; call once for every training step, with the step's masks.

        Where the last layer has a graph of its own, that one stays whole.
        """
        if self.p == 0.0:
            return adjacency
        if isinstance(adjacency, LastLayer):
            whole = adjacency.first.at(0)
            return replace(adjacency, first=self._sampled(whole, masks))
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
    """An adjacency that is sampled afresh each time a layer asks for its own."""

    drop_edge: DropEdge
    whole: Adjacency
    masks: MaskSource

    def at(self, layer: int) -> Adjacency:
        return self.drop_edge.sample(self.whole, self.masks)


def active_edges(adjacency: Adjacency) -> int:
    """Number of undirected edges whose weight is not zero."""
    alive = torch.zeros(adjacency.num_edges + 1, dtype=torch.bool, device=adjacency.pair.device)
    alive[adjacency.pair[adjacency.values != 0]] = True
    return int(alive[: adjacency.num_edges].sum())
