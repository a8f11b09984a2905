"""Networks of PyG's layers: equal with edges and with a CSR matrix, and equal to ours."""

from typing import Any

import pytest
import torch

from benchmarks.gpu import random_graph
from benchmarks.peers import operator_of, peer_of
from benchmarks.timing import UnavailableError
from depthlab.nn.appnp import APPNP
from depthlab.nn.execution import run
from depthlab.nn.gcn import GCN
from depthlab.nn.gcnii import GCNII

ARGUMENTS: dict[str, dict[str, Any]] = {"gcn": {}, "gcnii": {"alpha": 0.1, "theta": 0.5}, "appnp": {"alpha": 0.2}}
GRAPH = random_graph((30, 60, 5, 3), torch.device("cpu"))
DEPTH, HIDDEN = 4, 6


@pytest.mark.parametrize("name", ARGUMENTS)
def test_edges_and_a_csr_matrix_give_equal_outputs_and_gradients(name: str) -> None:
    torch.manual_seed(0)
    model = peer_of(name, (5, 3, DEPTH, HIDDEN, 0.5), ARGUMENTS[name]).eval()
    assert isinstance(GRAPH.x, torch.Tensor)
    outputs = [model(GRAPH.x, *operator_of(name, GRAPH, csr)) for csr in (False, True)]
    torch.testing.assert_close(*outputs)
    weight = next(model.parameters())
    gradients = [torch.autograd.grad(output.square().sum(), weight)[0] for output in outputs]
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 0


@pytest.mark.parametrize("name", ARGUMENTS)
def test_with_our_weights_a_peer_gives_our_outputs(name: str) -> None:
    kinds: dict[str, Any] = {"gcn": GCN, "gcnii": GCNII, "appnp": APPNP}
    torch.manual_seed(0)
    ours = kinds[name](5, 3, depth=DEPTH, hidden=HIDDEN, **ARGUMENTS[name]).eval()
    peer = peer_of(name, (5, 3, DEPTH, HIDDEN, 0.0), ARGUMENTS[name]).eval()
    named = dict(ours.named_parameters())
    layers = named.pop("weights").unbind(0) if name == "gcnii" else ()  # PyG multiplies by these from the same side
    taken = [weight.T if weight.dim() == 2 else weight for weight in named.values()] + list(layers)
    for theirs, weight in zip(peer.parameters(), taken, strict=True):
        theirs.data = weight.detach().clone()
    assert isinstance(GRAPH.x, torch.Tensor)
    torch.testing.assert_close(peer(GRAPH.x, *operator_of(name, GRAPH)), run(ours, GRAPH.x, GRAPH.layers))


def test_acmp_has_no_csr_matrix() -> None:
    assert torch.equal(operator_of("acmp", GRAPH)[0], GRAPH.edge_index)
    with pytest.raises(UnavailableError, match="both ends of its edge"):
        operator_of("acmp", GRAPH, csr=True)
