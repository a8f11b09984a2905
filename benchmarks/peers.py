"""The same networks as a user would write them with PyG's own layers, and the products of GCNII alone.

The graph is normalised once, before training (`operator_of`): PyG's layers take its edges with their weights, or the
same as a CSR matrix, where they aggregate by a sparse product.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import APPNP, GCN2Conv, GCNConv, MessagePassing
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import degree, scatter

from benchmarks.timing import UnavailableError
from depthlab.graph.graph import Graph
from depthlab.ops import SparseFeatures, product


class PygGCN(nn.Module):
    """GCN of any depth from `GCNConv`, dense features, `F.dropout`."""

    def __init__(self, in_channels: int, out_channels: int, depth: int, hidden: int, dropout: float) -> None:
        super().__init__()
        sizes = [in_channels] + [hidden] * (depth - 1) + [out_channels]
        self.convs = nn.ModuleList(GCNConv(a, b, bias=False, normalize=False) for a, b in pairwise(sizes))
        self.dropout = dropout

    def forward(self, x: Tensor, *operator: Tensor) -> Tensor:
        for conv in self.convs[:-1]:
            x = conv(F.dropout(x, self.dropout, self.training), *operator).relu()
        return self.convs[-1](F.dropout(x, self.dropout, self.training), *operator)


class PygGCNII(nn.Module):
    """GCNII from `GCN2Conv` as in PyG's own example."""

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int, dropout: float, alpha: float, theta: float
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(in_channels, hidden), nn.Linear(hidden, out_channels)
        self.convs = nn.ModuleList(GCN2Conv(hidden, alpha, theta, layer + 1, normalize=False) for layer in range(depth))
        self.dropout = dropout

    def forward(self, x: Tensor, *operator: Tensor) -> Tensor:
        h = h0 = self.encoder(F.dropout(x, self.dropout, self.training)).relu()
        for conv in self.convs:
            h = conv(F.dropout(h, self.dropout, self.training), h0, *operator).relu()
        return self.decoder(F.dropout(h, self.dropout, self.training))


class PygAPPNP(nn.Module):
    """APPNP from PyG's propagation of that name behind two linear layers, dropout before each of them."""

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int, dropout: float, alpha: float
    ) -> None:
        super().__init__()
        self.encoder = nn.ModuleList([nn.Linear(in_channels, hidden), nn.Linear(hidden, out_channels)])
        self.propagation, self.dropout = APPNP(depth, alpha, normalize=False), dropout

    def forward(self, x: Tensor, *operator: Tensor) -> Tensor:
        first, second = self.encoder
        h = first(F.dropout(x, self.dropout, self.training)).relu()
        return self.propagation(second(F.dropout(h, self.dropout, self.training)), *operator)


class PygForce(MessagePassing):
    """sum_j w_ij (x_j - x_i), a message for every edge."""

    def __init__(self) -> None:
        super().__init__(aggr="add")

    def forward(self, x: Tensor, edge_index: Tensor, weight: Tensor) -> Tensor:
        return self.propagate(edge_index, x=x, weight=weight)

    def message(self, x_i: Tensor, x_j: Tensor, weight: Tensor) -> Tensor:
        return weight.unsqueeze(1) * (x_j - x_i)


class PygACMP(nn.Module):
    """ACMP with GCN weights and `normalization: mean`, from `MessagePassing` and torchdiffeq; weights once a pass."""

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, hidden: int, dropout: float, arguments: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(in_channels, hidden), nn.Linear(hidden, out_channels)
        self.force, self.dropout, self.solver = PygForce(), dropout, arguments["solver"]
        self.repulsion, self.times = arguments["repulsion"], torch.arange(depth + 1) * arguments["step_size"]
        self.alpha, self.delta = (nn.Parameter(torch.full((hidden,), arguments[name])) for name in ("alpha", "delta"))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        from torchdiffeq import odeint  # which the other networks do not need

        source, target = edge_index
        degrees = degree(target, x.shape[0])
        a = ((degrees[source] + 1) * (degrees[target] + 1)).rsqrt()
        weight = a / scatter(a, target, dim_size=x.shape[0])[target] - self.repulsion / degrees[target]

        def velocity(_: Tensor, h: Tensor) -> Tensor:
            return self.alpha * self.force(h, edge_index, weight) + self.delta * h * (1 - h * h)

        state = self.encoder(F.dropout(x, self.dropout, self.training))
        options = {"grid_constructor": lambda *_: self.times}
        state = odeint(velocity, state, self.times[[0, -1]], method=self.solver, options=options)[-1]
        return self.decoder(F.dropout(state.relu(), self.dropout, self.training))


def peer_of(name: str, sizes: tuple[int, int, int, int, float], arguments: Mapping[str, Any]) -> nn.Module:
    """The network `name` from PyG's own layers."""
    if name == "gcn":
        return PygGCN(*sizes)
    if name == "appnp":
        return PygAPPNP(*sizes, arguments["alpha"])
    if name == "acmp":
        return PygACMP(*sizes, arguments)
    return PygGCNII(*sizes, arguments["alpha"], arguments["theta"])


def operator_of(name: str, graph: Graph, csr: bool = False) -> tuple[Tensor, ...]:
    """What the peer `name` takes beside x: edges with self-loops and their weights, or their CSR matrix, transposed.

    Raises:
        UnavailableError: ACMP, whose layers take plain edges, has no CSR matrix.
    """
    if name == "acmp":
        if csr:
            raise UnavailableError(
                "a message of ACMP needs both ends of its edge, which a sparse product does not give"
            )
        return (graph.edge_index,)
    edge_index, weight = gcn_norm(graph.edge_index, None, graph.num_nodes)
    if not csr:
        return edge_index, weight
    size = (graph.num_nodes, graph.num_nodes)
    return (torch.sparse_coo_tensor(edge_index.flip(0), weight, size).coalesce().to_sparse_csr(),)


def gcnii_floor(graph: Graph, depth: int, hidden: int) -> Callable[[], None]:
    """The sparse and dense products of one GCNII step and nothing else, on buffers of the step's own shapes.

    Forward: X W_in, then per layer P H and S M. Backward: per layer S^T G, G M^T and P G, then X^T G. As in training
    every layer's S is another tensor, kept from the forward pass for the backward pass. Weights are orthogonal: states
    that shrink at every layer end as denormal numbers, which cost several times as much.
    """
    assert isinstance(graph.x, SparseFeatures)
    features, propagate = graph.x, graph.adjacency.matrix
    nodes = features.shape[0]
    encoder = torch.randn(features.shape[1], hidden) * 0.01
    weights = [nn.init.orthogonal_(torch.empty(hidden, hidden)) for _ in range(depth)]

    def products() -> None:
        with torch.no_grad():
            h = product(features.matrix, encoder)
            supports, states = [], [h]
            for weight in weights:
                supports.append(product(propagate, states[-1]))
                states.append(supports[-1] @ weight)
            g = states[-1]
            for support, weight in zip(reversed(supports), reversed(weights), strict=True):
                support.T @ g  # the weight's gradient
                g = product(propagate, g @ weight.T)
            product(features.transpose, g)

    assert nodes == graph.adjacency.num_nodes
    return products
