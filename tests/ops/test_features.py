import math

import pytest
import torch
from torch import Tensor

from depthlab.ops import MaskSource, SparseFeatures, matmul
from depthlab.ops.features import has_unit_rows
from depthlab.ops.masks import draw_threshold

SHAPE = (11, 6)


def dense(dtype: torch.dtype = torch.float64) -> Tensor:
    """Words of 11 nodes, with an empty row and an empty column."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(SHAPE, generator=generator, dtype=torch.float64) + 0.5
    x[torch.rand(SHAPE, generator=generator) < 0.6] = 0
    x[3], x[:, 2] = 0, 0
    return x.to(dtype)


def sparse(dtype: torch.dtype = torch.float64) -> SparseFeatures:
    csr = dense(dtype).to_sparse_csr()
    return SparseFeatures.from_csr(csr.crow_indices(), csr.col_indices(), csr.values(), SHAPE)


def assert_consistent(x: SparseFeatures) -> None:
    assert torch.equal(x.transpose.to_dense(), x.to_dense().T)


def test_round_trip() -> None:
    x = sparse()
    assert torch.equal(x.to_dense(), dense())
    assert x.shape == SHAPE and x.device == torch.device("cpu")
    assert_consistent(x)


def test_a_stored_zero_and_an_empty_matrix_are_fine() -> None:
    crow, col = torch.tensor([0, 2, 3]), torch.tensor([0, 2, 1])
    x = SparseFeatures.from_csr(crow, col, torch.tensor([0.0, 2.0, 3.0]), (2, 3))
    assert torch.equal(x.to_dense(), torch.tensor([[0.0, 0, 2], [0, 3, 0]]))
    assert_consistent(x)
    empty = SparseFeatures.from_csr(torch.zeros(3).long(), torch.zeros(0).long(), torch.zeros(0), (2, 4))
    assert not empty.to_dense().any()
    assert_consistent(empty)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_product_and_weight_gradient_equal_the_dense_ones(kind: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(SHAPE[1], 4, generator=generator, dtype=dtype).requires_grad_()
    factor = torch.randn(SHAPE[0], 4, generator=generator, dtype=dtype)
    x = dense(dtype)
    out = matmul(sparse(dtype) if kind == "sparse" else x, weight)
    (out * factor).sum().backward()
    torch.testing.assert_close(out, x @ weight)
    torch.testing.assert_close(weight.grad, x.T @ factor)


def test_product_against_finite_differences() -> None:
    x = sparse().dropout(0.3, MaskSource(0))
    weight = torch.ones(SHAPE[1], 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: matmul(x, w), (weight,))


@pytest.mark.parametrize("p", [0.2, 0.6])
def test_dropout_acts_on_stored_values_in_both_copies(p: float) -> None:
    x = sparse()
    before = x.matrix.values().clone()
    dropped = x.dropout(p, MaskSource(5))
    threshold, scale = draw_threshold(p)
    kept = MaskSource(5).bits((before.numel(),), x.device) > threshold
    assert torch.equal(dropped.matrix.values(), before * scale * kept)
    assert 0 < int(kept.sum()) < kept.numel()
    assert torch.equal(dropped.matrix.col_indices(), x.matrix.col_indices())
    assert_consistent(dropped)
    assert torch.equal(x.matrix.values(), before)
    assert_consistent(x)


def test_gradient_after_dropout_uses_the_dropped_values() -> None:
    dropped = sparse().dropout(0.5, MaskSource(2))
    weight = torch.ones(SHAPE[1], 2, dtype=torch.float64, requires_grad=True)
    matmul(dropped, weight).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad[:, 0], dropped.to_dense().sum(0))


@pytest.mark.parametrize("p", [1 / 3, 0.6])
def test_dropout_keeps_the_mean(p: float) -> None:
    x, masks, count = sparse(), MaskSource(3), 2000
    mean = sum((x.dropout(p, masks).to_dense() for _ in range(count)), torch.zeros(SHAPE)) / count
    assert torch.all((mean - dense()).abs() <= 5 * dense() * math.sqrt(p / (1 - p) / count))


def test_without_probability_the_object_itself_comes_back() -> None:
    x = sparse()
    assert x.dropout(0.0, MaskSource(0)) is x


def test_other_values_on_the_same_pattern() -> None:
    x = sparse()
    other = x.with_values(torch.arange(1.0, x.matrix.values().numel() + 1))
    assert torch.equal(other.to_dense() != 0, dense() != 0)
    assert_consistent(other)
    back = other.with_values(x.matrix.values())
    assert torch.equal(back.to_dense(), dense())


def test_a_copy_on_a_device() -> None:
    x = sparse().to("cpu")
    assert torch.equal(x.to_dense(), dense())
    assert_consistent(x)


@pytest.mark.parametrize("make_sparse", [False, True])
def test_unit_rows(make_sparse: bool) -> None:
    x = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0], [0.2, 0.3, 0.5]])

    def features(x: torch.Tensor) -> torch.Tensor | SparseFeatures:
        csr = x.to_sparse_csr()
        arrays = (csr.crow_indices(), csr.col_indices(), csr.values())
        return SparseFeatures.from_csr(*arrays, (3, 3)) if make_sparse else x

    assert has_unit_rows(features(x))
    assert not has_unit_rows(features(2 * x)) and not has_unit_rows(features(0 * x))
