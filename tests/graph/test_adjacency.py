import pytest
import torch
from torch import Tensor
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.ops import SparseFeatures

N = 10
KINDS = pytest.mark.parametrize("kind", ["undirected", "directed"])


def edges(kind: str, seed: int = 0) -> Tensor:
    """Random, without self-loops or repeats; nodes 8 and 9 are isolated."""
    pairs = torch.randint(0, 8, (2, 18), generator=torch.Generator().manual_seed(seed))
    pairs = pairs[:, pairs[0] != pairs[1]]
    return torch.unique(pairs if kind == "directed" else torch.cat([pairs, pairs.flip(0)], 1), dim=1)


def dense_formula(edge_index: Tensor, num_nodes: int = N) -> Tensor:
    a = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    a[edge_index[1], edge_index[0]] = 1
    a.fill_diagonal_(1)
    inverse_root = torch.diag(a.sum(1) ** -0.5)
    return inverse_root @ a @ inverse_root


def in_float64(adjacency: Adjacency) -> Adjacency:
    return adjacency.normalized(torch.ones(adjacency.num_edges, dtype=torch.float64))


def assert_consistent(adjacency: Adjacency) -> None:
    assert torch.equal(adjacency.transpose.to_dense(), adjacency.matrix.to_dense().T)
    assert torch.equal(adjacency.matrix.to_dense()[adjacency.row, adjacency.col], adjacency.values)


@pytest.mark.parametrize("seed", range(3))
@KINDS
def test_equals_the_dense_formula(kind: str, seed: int) -> None:
    edge_index = edges(kind, seed)
    adjacency = gcn_adjacency(edge_index, N)
    assert adjacency.num_nodes == N and adjacency.values.dtype == torch.float32
    torch.testing.assert_close(adjacency.matrix.to_dense().double(), dense_formula(edge_index), rtol=1e-6, atol=0)
    exact = in_float64(adjacency).matrix.to_dense()
    torch.testing.assert_close(exact, dense_formula(edge_index), rtol=1e-14, atol=0)


@KINDS
def test_equals_the_normalisation_of_pyg(kind: str) -> None:
    edge_index = edges(kind)
    (source, target), weight = gcn_norm(edge_index, None, N, dtype=torch.float64)
    expected = torch.zeros(N, N, dtype=torch.float64).index_put((target, source), weight)
    torch.testing.assert_close(in_float64(gcn_adjacency(edge_index, N)).matrix.to_dense(), expected)


@KINDS
def test_self_loops_repeats_and_order_do_not_matter(kind: str) -> None:
    edge_index = edges(kind)
    noisy = torch.cat([edge_index.flip(1), torch.tensor([[0, 3, 9, 3], [0, 3, 9, 3]]), edge_index[:, :5]], dim=1)
    clean, other = gcn_adjacency(edge_index, N), gcn_adjacency(noisy, N)
    assert torch.equal(clean.matrix.to_dense(), other.matrix.to_dense())
    assert torch.equal(clean.pair, other.pair) and clean.num_edges == other.num_edges


def test_isolated_nodes_keep_themselves() -> None:
    dense = gcn_adjacency(edges("undirected"), N).matrix.to_dense()
    assert torch.equal(dense[8:], torch.eye(N)[8:]) and torch.equal(dense[:, 8:], torch.eye(N)[:, 8:])


def test_without_edges_it_is_the_identity() -> None:
    adjacency = gcn_adjacency(torch.empty(2, 0, dtype=torch.long), 4)
    assert torch.equal(adjacency.matrix.to_dense(), torch.eye(4))
    assert adjacency.num_edges == 0 and adjacency.pair.tolist() == [0] * 4


def test_the_root_of_the_degrees_stays_where_it_is() -> None:
    p = in_float64(gcn_adjacency(edges("undirected"), N)).matrix.to_dense()
    fixed = (p != 0).sum(1).double().sqrt()
    torch.testing.assert_close(p @ fixed, fixed)


def test_a_symmetric_pattern_is_its_own_transpose() -> None:
    adjacency = gcn_adjacency(edges("undirected"), N)
    assert adjacency.transpose is adjacency.matrix and adjacency.symmetric
    assert_consistent(adjacency)


def test_a_directed_pattern_gets_a_transpose() -> None:
    adjacency = gcn_adjacency(torch.tensor([[0, 1], [1, 2]]), 3)
    assert torch.equal(adjacency.matrix.to_dense() != 0, torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 1]]).bool())
    adjacency = gcn_adjacency(edges("directed"), N)
    assert not adjacency.symmetric
    assert_consistent(adjacency)


@KINDS
def test_the_order_leads_from_an_entry_to_its_place_in_the_transpose(kind: str) -> None:
    adjacency = gcn_adjacency(edges(kind), N)
    numbers = torch.arange(adjacency.row.numel()).double()
    dense = torch.zeros(N, N, dtype=torch.float64).index_put((adjacency.col, adjacency.row), numbers)
    crow, col = adjacency.transpose.crow_indices(), adjacency.transpose.col_indices()
    row = torch.repeat_interleave(torch.arange(N), crow.diff().long())
    assert torch.equal(dense[row, col.long()], adjacency.order.double())


@KINDS
def test_both_directions_of_an_edge_share_a_number(kind: str) -> None:
    adjacency = gcn_adjacency(edges(kind), N)
    numbers: dict[frozenset[int], set[int]] = {}
    for i, j, pair in zip(adjacency.row.tolist(), adjacency.col.tolist(), adjacency.pair.tolist(), strict=True):
        numbers.setdefault(frozenset((i, j)), set()).add(pair)
    loops = [pair for ends, pair in numbers.items() if len(ends) == 1]
    others = [pair for ends, pair in numbers.items() if len(ends) == 2]
    assert loops == [{adjacency.num_edges}] * N
    assert sorted(others, key=min) == [{k} for k in range(adjacency.num_edges)]


@KINDS
def test_other_values_leave_the_original_alone(kind: str) -> None:
    adjacency = gcn_adjacency(edges(kind), N)
    before = adjacency.values.clone()
    factor = 2.0 + adjacency.pair
    other = adjacency.with_values(adjacency.values * factor)
    other.values.mul_(3)
    assert torch.equal(adjacency.values, before)
    assert_consistent(adjacency)
    assert torch.equal(other.values, before * factor * 3)
    again = adjacency.with_values(before * factor)
    assert_consistent(again)
    assert again.row is adjacency.row and again.pair is adjacency.pair


@KINDS
def test_values_may_differ_in_the_two_directions(kind: str) -> None:
    adjacency = gcn_adjacency(edges(kind), N)
    before, values = adjacency.values.clone(), torch.arange(1.0, adjacency.row.numel() + 1)
    weighted = adjacency.with_values(values)
    assert_consistent(weighted)
    assert torch.equal(weighted.values, values) and weighted.learned is None
    assert torch.equal(adjacency.values, before)
    assert_consistent(adjacency)
    assert weighted.row is adjacency.row and weighted.symmetric == adjacency.symmetric


@KINDS
def test_only_values_that_want_a_gradient_are_learned(kind: str) -> None:
    adjacency = gcn_adjacency(edges(kind), N)
    leaf = torch.arange(1.0, adjacency.row.numel() + 1).requires_grad_()
    values = 2 * leaf
    weighted = adjacency.with_values(values)
    assert weighted.learned is values and not weighted.values.requires_grad
    assert_consistent(weighted)
    assert weighted.with_values(torch.ones_like(leaf)).learned is None
    with torch.no_grad():
        assert adjacency.with_values(leaf * 2).learned is None


@KINDS
def test_sums_over_rows_equal_the_dense_ones(kind: str) -> None:
    adjacency = in_float64(gcn_adjacency(edges(kind), N))
    values = torch.arange(1.0, adjacency.row.numel() + 1).double().requires_grad_()
    sums = adjacency.row_sums(values)
    assert torch.equal(sums, adjacency.with_values(values).matrix.to_dense().sum(1))
    (grad,) = torch.autograd.grad(sums @ torch.arange(N).double(), values)
    assert torch.equal(grad, adjacency.row.double())


@KINDS
def test_loops_come_in_the_order_of_the_nodes(kind: str) -> None:
    adjacency = gcn_adjacency(edges(kind), N)
    assert adjacency.row[adjacency.loops].tolist() == adjacency.col[adjacency.loops].tolist() == [*range(N)]


@KINDS
def test_a_dropped_edge_joins_no_neighbours(kind: str) -> None:
    edge_index = edges(kind)
    adjacency = gcn_adjacency(edge_index, N)
    assert set(_joined(adjacency)) == set(zip(*edge_index.tolist(), strict=True))
    dropped = adjacency.with_values(adjacency.values * (adjacency.pair != 2))
    ends = adjacency.pair == 2
    lost = set(zip(adjacency.col[ends].tolist(), adjacency.row[ends].tolist(), strict=True))
    assert len(lost) >= 1 and set(_joined(dropped)) == set(_joined(adjacency)) - lost
    nothing = adjacency.with_values(torch.zeros_like(adjacency.values))
    assert not nothing.neighbours.any() and nothing.loops.sum() == N


def _joined(adjacency: Adjacency) -> list[tuple[int, ...]]:
    ends = torch.stack([adjacency.col, adjacency.row])[:, adjacency.neighbours]
    return [tuple(end) for end in ends.T.tolist()]


@KINDS
def test_weights_of_edges_are_normalised_by_their_row_sums(kind: str) -> None:
    adjacency = gcn_adjacency(edges(kind), N)
    weights = torch.arange(adjacency.num_edges).double() % 4
    on_entries = torch.cat([weights, torch.ones(1).double()])[adjacency.pair]
    dense = torch.zeros(N, N, dtype=torch.float64).index_put((adjacency.row, adjacency.col), on_entries)
    root = dense.sum(1).sqrt()
    result = adjacency.normalized(weights)
    torch.testing.assert_close(result.matrix.to_dense(), dense / root[:, None] / root)
    assert_consistent(result)


@KINDS
@pytest.mark.parametrize("change", ["normalized", "scaled", "with_values", "scaled after with_values"])
def test_gradients_of_any_operator_are_those_of_the_dense_one(kind: str, change: str) -> None:
    """The matrix serves as its own transpose only where its values are symmetric by construction."""
    adjacency = in_float64(gcn_adjacency(edges(kind), N))
    generator = torch.Generator().manual_seed(2)
    per_edge, entries = (
        torch.rand(count, generator=generator, dtype=torch.float64)
        for count in (adjacency.num_edges, adjacency.row.numel())
    )
    operator = adjacency.with_values(entries) if "with_values" in change else adjacency
    if change != "with_values":
        operator = getattr(operator, change.split()[0])(per_edge)
    assert (operator.transpose is operator.matrix) == (kind == "undirected" and "with_values" not in change)
    x, weight = (torch.randn(N, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    x.requires_grad_()
    (grad,) = torch.autograd.grad((operator.propagate(x) * weight).sum(), x)
    torch.testing.assert_close(grad, operator.matrix.to_dense().T @ weight)


@KINDS
def test_a_product_with_weights_is_propagated(kind: str) -> None:
    adjacency, generator = in_float64(gcn_adjacency(edges(kind), N)), torch.Generator().manual_seed(2)
    x, w, residual = (torch.randn(*s, generator=generator).double() for s in ((N, 3), (3, 2), (N, 2)))
    dense = adjacency.matrix.to_dense()
    torch.testing.assert_close(adjacency.propagate(x, w, scale=2.0, residual=residual), 2 * dense @ x @ w + residual)
    csr = x.relu().to_sparse_csr()
    bags = SparseFeatures.from_csr(csr.crow_indices(), csr.col_indices(), csr.values(), (N, 3))
    torch.testing.assert_close(adjacency.propagate(bags), dense @ x.relu())
    torch.testing.assert_close(adjacency.propagate(bags, w), dense @ x.relu() @ w)


@KINDS
def test_relabelling_the_nodes_relabels_the_matrix(kind: str) -> None:
    edge_index = edges(kind)
    new = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    original, relabelled = gcn_adjacency(edge_index, N), gcn_adjacency(new[edge_index], N)
    torch.testing.assert_close(relabelled.matrix.to_dense()[new][:, new], original.matrix.to_dense())
    assert relabelled.num_edges == original.num_edges


@KINDS
def test_every_layer_and_every_device_gets_the_same(kind: str) -> None:
    adjacency = gcn_adjacency(edges(kind), N)
    assert adjacency.at(1) is adjacency and adjacency.at(64) is adjacency
    copy = adjacency.to("cpu")
    assert torch.equal(copy.matrix.to_dense(), adjacency.matrix.to_dense())
    assert (copy.transpose is copy.matrix) == (adjacency.transpose is adjacency.matrix)
    assert_consistent(copy)
    elsewhere = adjacency.to("meta")
    parts = (elsewhere.matrix, elsewhere.transpose, elsewhere.row, elsewhere.col, elsewhere.pair, elsewhere.order)
    assert all(part.device.type == "meta" for part in parts)
    assert elsewhere.symmetric == adjacency.symmetric and elsewhere.num_edges == adjacency.num_edges


@KINDS
def test_a_copy_keeps_values_of_both_directions_and_what_is_learned(kind: str) -> None:
    adjacency = gcn_adjacency(edges(kind), N)
    values = torch.arange(1.0, adjacency.row.numel() + 1).requires_grad_()
    copy = adjacency.with_values(values).to("cpu")
    assert_consistent(copy)
    assert torch.equal(copy.values, values) and torch.equal(copy.order, adjacency.order)
    assert copy.learned is not None
    assert torch.autograd.grad(copy.learned.sum(), values)[0].tolist() == [1.0] * len(values)


def test_learned_values_move_with_the_rest() -> None:
    adjacency = gcn_adjacency(edges("undirected"), N)
    moved = adjacency.with_values(torch.ones(adjacency.row.numel(), requires_grad=True)).to("meta")
    assert moved.learned is not None and moved.learned.device.type == "meta"


def weights_of(edge_index: Tensor, kind: str) -> Tensor:
    """A weight for each edge; both directions of an undirected edge have the same."""
    dense = torch.rand(N, N, generator=torch.Generator().manual_seed(3)) * 5 + 0.1
    dense = dense if kind == "directed" else dense + dense.T
    return dense[edge_index[0], edge_index[1]]


@KINDS
def test_weighted_normalisation_agrees_with_pyg(kind: str) -> None:
    edge_index = edges(kind)
    weight = weights_of(edge_index, kind)
    (source, target), values = gcn_norm(edge_index, weight, N)
    expected = torch.zeros(N, N).index_put((target, source), values)
    adjacency = gcn_adjacency(edge_index, N, weight)
    torch.testing.assert_close(adjacency.matrix.to_dense(), expected)
    assert_consistent(adjacency)
    assert adjacency.symmetric == (kind == "undirected") == (adjacency.transpose is adjacency.matrix)


def test_unit_weights_change_nothing() -> None:
    edge_index = edges("undirected")
    adjacency = gcn_adjacency(edge_index, N, torch.ones(edge_index.shape[1]))
    assert torch.equal(adjacency.values, gcn_adjacency(edge_index, N).values) and adjacency.symmetric


def test_directions_with_different_weights_are_not_symmetric() -> None:
    adjacency = gcn_adjacency(torch.tensor([[0, 1], [1, 0]]), 2, torch.tensor([1.0, 3.0]))
    assert not adjacency.symmetric and adjacency.num_edges == 1
    assert_consistent(adjacency)
    assert_consistent(adjacency.normalized(torch.ones(1)))
    torch.testing.assert_close(adjacency.matrix.to_dense(), torch.tensor([[1 / 4, 3 / 8**0.5], [1 / 8**0.5, 1 / 2]]))


@KINDS
def test_a_subgraph_is_normalised_with_its_weights(kind: str) -> None:
    edge_index = edges(kind)
    weight = weights_of(edge_index, kind)
    whole = gcn_adjacency(edge_index, N, weight)
    kept = (torch.arange(whole.num_edges) % 2).float()
    pairs = whole.pair[~whole.loops]  # in the order of the rows
    left = kept[pairs] > 0
    subgraph = torch.stack([whole.col[~whole.loops], whole.row[~whole.loops]])[:, left]
    assert whole.weights is not None
    expected = gcn_adjacency(subgraph, N, whole.weights[~whole.loops][left])
    sample = whole.normalized(kept)
    torch.testing.assert_close(sample.matrix.to_dense(), expected.matrix.to_dense())
    assert_consistent(sample)
    assert_consistent(whole.scaled(kept * 2))
    torch.testing.assert_close(whole.to("cpu").normalized(kept).values, sample.values)
