import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.graph.rewiring import fully_adjacent as module
from depthlab.graph.rewiring.fully_adjacent import fully_adjacent
from tests.graph.rewiring.conftest import assert_form, clique, path, seeded, undirected


@pytest.mark.parametrize("num_nodes", [1, 2, 7])
def test_all_pairs_are_joined(num_nodes: int) -> None:
    after = fully_adjacent(undirected(), num_nodes, seeded())
    assert_form(after)
    assert torch.equal(after, clique(num_nodes))


def test_the_old_edges_do_not_count() -> None:
    assert torch.equal(fully_adjacent(path(5), 5, seeded()), clique(5))


def test_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NODES", 5)
    assert fully_adjacent(path(5), 5, seeded()).shape == (2, 20)
    with pytest.raises(UserError, match="at most 5 nodes"):
        fully_adjacent(path(5), 6, seeded())


def test_large_graphs_are_refused_with_what_they_would_take() -> None:
    with pytest.raises(UserError, match=r"all 100,000 nodes: 1\.0e\+10 entries, some 1,000 GB; use rewiring=virtual"):
        fully_adjacent(path(3), 100_000, seeded())
