import math

import pytest
import torch
from torch.nn import functional as F

from depthlab.nn.linear import Linear, glorot
from depthlab.ops import SparseFeatures

DENSE = torch.randn(9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).relu()


def sparse() -> SparseFeatures:
    csr = DENSE.to_sparse_csr()
    return SparseFeatures.from_csr(csr.crow_indices(), csr.col_indices(), csr.values(), (9, 5))


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_product_and_gradients_are_those_of_torch(kind: str) -> None:
    linear = Linear(5, 3).double()
    weight, bias = linear.weight.detach().clone(), linear.bias.detach().clone()
    weight.requires_grad_()
    bias.requires_grad_()
    expected = F.linear(DENSE, weight.T, bias)
    out = linear(sparse() if kind == "sparse" else DENSE)
    factor = torch.arange(27.0, dtype=torch.float64).view(9, 3)
    (out * factor).sum().backward()
    (expected * factor).sum().backward()
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(linear.weight.grad, weight.grad)
    torch.testing.assert_close(linear.bias.grad, bias.grad)


def test_start_values_are_those_of_torch() -> None:
    torch.manual_seed(0)
    linear, bound = Linear(400, 300), 1 / math.sqrt(400)
    for values in (linear.weight, linear.bias):
        assert 0.98 * bound < values.abs().max().item() <= bound
    assert linear.weight.std().item() == pytest.approx(torch.nn.Linear(400, 300).weight.std().item(), rel=0.02)
    assert abs(linear.weight.mean().item()) < 5 * bound / math.sqrt(3 * 400 * 300)


@pytest.mark.parametrize(("rows", "columns"), [(300, 200), (7, 500)])
def test_glorot_fills_its_interval(rows: int, columns: int) -> None:
    torch.manual_seed(0)
    weight, bound = glorot(rows, columns), math.sqrt(6 / (rows + columns))
    assert weight.shape == (rows, columns) and weight.requires_grad
    assert 0.99 * bound < weight.abs().max().item() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)


@pytest.mark.parametrize("seed", [0, 5])
def test_the_seed_of_torch_decides(seed: int) -> None:
    torch.manual_seed(seed)
    first, other = Linear(4, 4), Linear(4, 4)
    torch.manual_seed(seed)
    again = Linear(4, 4)
    assert torch.equal(first.weight, again.weight) and torch.equal(first.bias, again.bias)
    assert not torch.equal(first.weight, other.weight)
