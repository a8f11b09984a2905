"""The compiled layers against the same maths in torch's own operations, with equal masks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from depthlab import compiler
from depthlab.graph.adjacency import Adjacency, gcn_adjacency
from depthlab.graph.copies import adjacency_copies
from depthlab.graph.drop_edge import DropEdge
from depthlab.ops import MaskSource, can_compile, compiled_layers
from depthlab.ops.kernel import random_bytes
from depthlab.ops.masks import LEVELS, dropped_levels
from depthlab.ops.replica_masks import ReplicaMasks

pytestmark = pytest.mark.skipif(compiler.kernel() is None, reason="layers cannot be compiled here")
NODES = 131  # two whole blocks of rows and a part of one
SEED = 3
At = Callable[[int], Adjacency]


@dataclass(frozen=True)
class Member:
    """A member of the family of layers."""

    weights: bool = True
    residual: bool = False
    skip: bool = False
    relu: bool = True
    dropout: float = 0.5


GCNII, GCN, RESIDUAL = Member(residual=True), Member(), Member(skip=True)
APPNP = Member(weights=False, residual=True, relu=False, dropout=0.0)
FAMILY = {
    "gcnii": GCNII, "gcn": GCN, "residual_gcn": RESIDUAL, "appnp": APPNP,
    "no dropout": Member(residual=True, skip=True, dropout=0.0), "relu alone": Member(weights=False),
    "dropout alone": Member(weights=False, relu=False), "skip without relu": Member(skip=True, relu=False),
}  # fmt: skip


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def directed(seed: int = 0) -> Adjacency:
    return gcn_adjacency(torch.randint(0, NODES, (2, 400), generator=torch.Generator().manual_seed(seed)), NODES)


def by_layer() -> At:
    """Two operators that are not symmetric, in turns."""
    operators = directed(0), directed(1)
    return lambda layer: operators[layer % 2]


@dataclass(frozen=True)
class Inputs:
    """Arguments of a pass and their gradients' leaves."""

    member: Member
    x: Tensor
    weights: Tensor | None
    residual: Tensor | None
    skip: Tensor | None
    betas: Tensor

    @staticmethod
    def of(member: Member, width: int, depth: int) -> "Inputs":
        generator = torch.Generator().manual_seed(width)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator).requires_grad_()

        weights = (torch.randn(depth, width, width, generator=generator) / width**0.5).requires_grad_()
        return Inputs(
            member, normal(NODES, width), weights if member.weights else None,
            normal(NODES, width) if member.residual else None, normal(NODES, width) if member.skip else None,
            torch.linspace(0.3, 1.0, depth),
        )  # fmt: skip

    @property
    def depth(self) -> int:
        return len(self.betas)

    @property
    def leaves(self) -> list[Tensor]:
        return [one for one in (self.x, self.weights, self.residual, self.skip) if one is not None]

    def compiled(self, at: At, every: int = 1, masks: MaskSource | None = None) -> Tensor:
        return compiled_layers(
            at, self.x, depth=self.depth, weights=self.weights, betas=self.betas, residual=self.residual,
            skip=self.skip, relu=self.member.relu, scale=0.7, dropout=self.member.dropout,
            masks=masks or MaskSource(SEED), every=every,
        )  # fmt: skip

    def plain(self, at: At) -> Tensor:
        """The equation, with the masks of the kernel."""
        x, h, width = self.x, self.skip, self.x.shape[1]
        dropped, (key,) = dropped_levels(self.member.dropout), MaskSource(SEED).mask_keys()
        for layer in range(self.depth):
            z = 0.7 * at(layer).matrix.to_dense() @ x
            if self.residual is not None:
                z = z + self.residual
            if self.weights is not None:
                z = z @ torch.lerp(torch.eye(width), self.weights[layer], self.betas[layer])
            z = z.relu() if self.member.relu else z
            if h is not None:
                z = h = z + h
            mask = random_bytes(key, layer, NODES, width) >= dropped
            x = z * mask * (LEVELS / (LEVELS - dropped))
        return x

    def with_gradients(self, out: Tensor) -> list[Tensor]:
        loss = (out * torch.linspace(-1, 1, out.shape[-1])).sum() + out.square().mean()
        return [out.detach(), *torch.autograd.grad(loss, self.leaves)]


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert (one - other).norm() <= 1e-5 * other.norm()


@pytest.mark.parametrize("depth", [1, 2, 8])
@pytest.mark.parametrize("width", [1, 3, 7, 16, 33, 64, 100, 256])
def test_values_and_gradients_are_those_of_torch(width: int, depth: int, threads: int) -> None:
    inputs = Inputs.of(GCNII, width, depth)
    assert_same(inputs.with_gradients(inputs.compiled(by_layer())), inputs.with_gradients(inputs.plain(by_layer())))


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("width", [7, 32, 80])
def test_every_member_of_the_family_is_that_of_torch(name: str, width: int, threads: int) -> None:
    inputs = Inputs.of(FAMILY[name], width, 3)
    assert_same(inputs.with_gradients(inputs.compiled(by_layer())), inputs.with_gradients(inputs.plain(by_layer())))


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("every", [2, 3, 100])
def test_recomputing_gives_the_very_same_numbers(name: str, every: int) -> None:
    inputs = Inputs.of(FAMILY[name], 20, 8)
    stored, again = (inputs.with_gradients(inputs.compiled(by_layer(), length)) for length in (1, every))
    assert all(torch.equal(one, other) for one, other in zip(stored, again, strict=True))


@pytest.mark.parametrize("name", FAMILY)
def test_without_gradients_the_state_is_the_same(name: str) -> None:
    inputs = Inputs.of(FAMILY[name], 20, 3)
    with torch.no_grad():
        alone = inputs.compiled(by_layer())
    assert torch.equal(alone, inputs.compiled(by_layer()).detach()) and not alone.requires_grad


def test_dropped_edges_by_layer_are_those_of_torch() -> None:
    inputs = Inputs.of(Member(residual=True, dropout=0.0), 16, 5)
    edges = torch.randint(0, NODES, (2, 400), generator=torch.Generator().manual_seed(0))
    full = gcn_adjacency(torch.cat([edges, edges.flip(0)], 1), NODES)

    def at() -> At:
        return DropEdge(0.4, per_layer=True)(full, MaskSource(5)).at

    assert_same(inputs.with_gradients(inputs.compiled(at())), inputs.with_gradients(inputs.plain(at())))


def test_states_do_not_depend_on_the_number_of_threads() -> None:
    inputs, before, states = Inputs.of(GCNII, 64, 4), torch.get_num_threads(), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        states.append(inputs.with_gradients(inputs.compiled(by_layer())))
    torch.set_num_threads(before)
    for other in states[1:]:
        for name in (0, 1, 3):  # outputs, gradients of x and of the residual; those of weights are sums by thread
            assert torch.equal(states[0][name], other[name])


def test_inputs_are_not_written_over() -> None:
    inputs = Inputs.of(RESIDUAL, 32, 4)
    before = [leaf.detach().clone() for leaf in inputs.leaves]
    inputs.with_gradients(inputs.compiled(by_layer(), every=2))
    assert all(torch.equal(leaf, copy) for leaf, copy in zip(inputs.leaves, before, strict=True))


def test_replicas_are_those_that_are_run_alone() -> None:
    each = [Inputs.of(GCNII, width, 3) for width in (24, 24)]
    each[1] = replace(each[1], x=each[0].x.detach().flip(0).requires_grad_())
    alone = []
    for seed, inputs in enumerate(each):
        alone.append(inputs.with_gradients(inputs.compiled(lambda _: directed(), masks=MaskSource(seed))))
    x, weights, residual = (torch.stack([one.leaves[k].detach() for one in each]).requires_grad_() for k in range(3))
    copies = adjacency_copies(directed(), 2)
    out = compiled_layers(
        lambda _: copies, x, depth=3, weights=weights, betas=each[0].betas, residual=residual, scale=0.7, dropout=0.5,
        masks=ReplicaMasks([0, 1]),
    )  # fmt: skip
    loss = sum((one * torch.linspace(-1, 1, 24)).sum() + one.square().mean() for one in out)
    together = [out.detach(), *torch.autograd.grad(loss, (x, weights, residual))]
    for k, one in enumerate(alone):
        assert all(torch.equal(a, b[k]) for a, b in zip(one, together, strict=True))


def test_what_the_kernel_does_not_know_is_left_to_torch() -> None:
    x, adjacency = torch.ones(NODES, 4), directed()
    learned = adjacency.with_values(adjacency.values.clone().requires_grad_())
    assert can_compile(x, adjacency)
    assert not can_compile(x.double(), adjacency) and not can_compile(x, learned)
    with torch.autocast("cpu", torch.bfloat16):
        assert not can_compile(x, adjacency)
    with pytest.raises(ValueError, match="float32 tensors on a CPU"):
        compiled_layers(lambda _: adjacency, x.double(), depth=2, masks=MaskSource(0))
    with pytest.raises(ValueError, match="constant operators"):
        compiled_layers(lambda _: learned, x, depth=2, masks=MaskSource(0))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"x": torch.ones(NODES + 1, 4)}, r"a matrix \(131, 131\) cannot be multiplied with states \(132, 4\)"),
        ({"weights": torch.ones(3, 4, 4)}, r"the weights of these layers have the shape \(2, 4, 4\), got \(3, 4, 4\)"),
        ({"residual": torch.ones(NODES, 1)}, r"all states have the shape \(131, 4\), got \(131, 1\)"),
        ({"skip": torch.ones(1, 4)}, r"all states have the shape \(131, 4\), got \(1, 4\)"),
        ({"betas": torch.ones(1)}, "2 layers need as many betas, got 1"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(wrong: dict[str, Tensor], sentence: str) -> None:
    """The kernel is given pointers, and would read beyond the end of these."""
    adjacency, given = directed(), {"x": torch.ones(NODES, 4), "weights": torch.ones(2, 4, 4)} | wrong
    with pytest.raises(ValueError, match=sentence):
        compiled_layers(lambda _: adjacency, **given, depth=2, masks=MaskSource(0))  # type: ignore[arg-type]


def test_states_that_are_not_finite_stay_so() -> None:
    x = torch.full((NODES, 4), torch.nan)
    out = compiled_layers(lambda _: directed(), x, depth=2, masks=MaskSource(0))
    assert out.isnan().all()
