import numpy as np
import pytest
import torch

from depthlab.measures import laplacian as module
from depthlab.measures.laplacian import Blocks, ConvergenceError, factorable, laplacian, solver
from tests.measures.conftest import barbell, clique, cycle, path, random_graph


def test_components_become_blocks() -> None:
    new = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    edge_index = new[torch.cat([clique(4), cycle(5) + 4], dim=1)]  # and three nodes alone
    blocks = Blocks(edge_index, 12)
    assert len(blocks) == 5
    assert sorted(blocks[k].shape[0] for k in range(5)) == [1, 1, 1, 4, 5]
    assert blocks[blocks.largest].toarray().sum(axis=1).tolist() == [2.0] * 5
    whole = np.zeros((12, 12))
    for k in range(5):
        inside = slice(blocks.begin[k], blocks.begin[k + 1])
        whole[inside, inside] = blocks[k].toarray()
    row, col = blocks.position[edge_index.numpy()]
    assert whole[row, col].all() and whole.sum() == edge_index.shape[1]
    assert (blocks.label[new[:4]] == blocks.label[new[0]]).all() and blocks.label[new[0]] != blocks.label[new[4]]


def test_no_nodes_make_no_blocks() -> None:
    assert len(Blocks(torch.empty(2, 0, dtype=torch.long), 0)) == 0


@pytest.mark.parametrize("factored", [-1, 5000])
@pytest.mark.parametrize("edge_index", [path(30), cycle(30), clique(30), barbell(15), random_graph(30, 0.3)])
def test_systems_are_solved(edge_index: torch.Tensor, factored: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FACTORED", factored)
    adjacency = Blocks(edge_index, 30)[0]
    b = np.random.default_rng(0).standard_normal(30)
    b -= b.mean()
    x = solver(adjacency)(b)
    np.testing.assert_allclose(x - x.mean(), np.linalg.pinv(laplacian(adjacency).toarray()) @ b, rtol=0, atol=1e-5)


def test_long_paths_are_factored_and_large_dense_graphs_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FACTORED", 25)
    kinds = [(path(200), 200), (cycle(200), 200), (clique(20), 20), (clique(30), 30)]
    assert [factorable(Blocks(edge_index, n)[0]) for edge_index, n in kinds] == [True, True, True, False]


def test_what_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FACTORED", -1)
    monkeypatch.setattr(module, "STEPS", 5)
    ends = np.eye(200)[0] - np.eye(200)[-1]
    with pytest.raises(ConvergenceError, match="did not reach a residual of 1e-08 in 5 steps"):
        solver(Blocks(path(200), 200)[0])(ends)
