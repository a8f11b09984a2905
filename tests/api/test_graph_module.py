"""Find the graph network in a LightningModule, and its edges."""

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv
from torch_geometric.nn.models import GCN

import depthlab as dl
from depthlab.api.graph_module import UndirectedEdges, find_edges, graph_network

EDGES = torch.tensor([[0, 1, 1], [1, 1, 2]])


def test_the_network_is_found() -> None:
    module = nn.ModuleDict({"net": GCN(3, 4, 2, 2)})
    assert graph_network(module, None, None) is module["net"]
    assert graph_network(module, "net", None) is graph_network(module, module["net"], None) is module["net"]
    single = nn.Sequential(nn.ModuleDict({"conv": GCNConv(3, 3)}))
    assert graph_network(single, None, None) is single
    with pytest.raises(dl.UserError, match="ModuleDict has no module nett: choose one of net"):
        graph_network(module, "nett", None)


@pytest.mark.parametrize(
    "arguments",
    [
        ((torch.ones(3, 2), EDGES), {}),
        ((torch.ones(3, 2),), {"edge_index": EDGES}),
        (Data(x=torch.ones(3, 2), edge_index=EDGES), {}),
        ([{"graph": Data(edge_index=EDGES)}], {}),
        (torch.sparse_coo_tensor(EDGES, torch.ones(3), (3, 3)), {}),
    ],
)
def test_edges_among_arguments(arguments: object) -> None:
    assert sorted(next(find_edges(arguments)).T.tolist()) == EDGES.T.tolist()
    assert next(find_edges((torch.ones(3, 2), 5)), None) is None


def test_undirected_edges_are_made_once_for_a_graph() -> None:
    edges = UndirectedEdges()
    made = edges.undirected(EDGES, 3)
    assert made.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]
    assert edges.undirected(EDGES.clone(), 3) is made
    assert edges.undirected(EDGES[:, :1], 3).tolist() == [[0, 1], [1, 0]]
