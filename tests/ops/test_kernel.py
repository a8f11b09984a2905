"""The random masks of the compiled layers, and the threads that they run on."""

import ctypes
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from depthlab import compiler
from depthlab.config.settings import RANDOM_NUMBERS
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.ops import MaskSource, compiled_layers, kernel
from depthlab.ops.kernel import random_bytes

pytestmark = pytest.mark.skipif(compiler.kernel() is None, reason="layers cannot be compiled here")
NODES, CHANNELS = 480, 64  # ten whole blocks


def draw(key: int = 1, layer: int = 0) -> Tensor:
    return random_bytes(key, layer, NODES, CHANNELS).double()


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def test_bytes_are_uniform() -> None:
    size, expected = NODES * CHANNELS * 8, NODES * CHANNELS * 8 / 256
    drawn = torch.stack([draw(key) for key in range(8)]).long().flatten()
    counts = torch.bincount(drawn, minlength=256).double()
    assert len(counts) == 256 and drawn.numel() == size
    assert abs(float(((counts - expected) ** 2 / expected).sum()) - 255) < 5 * math.sqrt(2 * 255)


@pytest.mark.parametrize(("key", "layer"), [(2, 0), (1, 1), (0, 1), (1 << 63, 0)])
def test_other_keys_and_layers_give_unrelated_masks(key: int, layer: int) -> None:
    assert abs(correlation(draw(), draw(key, layer))) < 5 / math.sqrt(NODES * CHANNELS)


@pytest.mark.parametrize("rows", [1, 2, 48, 96])
def test_rows_and_blocks_are_unrelated(rows: int) -> None:
    drawn = draw()
    assert abs(correlation(drawn[rows:], drawn[:-rows])) < 5 / math.sqrt((NODES - rows) * CHANNELS)


def test_neighbouring_channels_are_unrelated() -> None:
    drawn = draw().flatten()
    for lag in (1, 2, 8, 16, 64):
        assert abs(correlation(drawn[lag:], drawn[:-lag])) < 5 / math.sqrt(drawn.numel() - lag)


def test_the_bytes_are_those_of_the_scheme() -> None:
    """Results of a seed are reused: whoever draws other masks from it gives the scheme another number."""
    (key,) = MaskSource(3).mask_keys()
    found = random_bytes(key, 2, 50, 4)[[0, 49]].flatten().tolist()
    assert {RANDOM_NUMBERS: found} == {1: [24, 43, 130, 107, 12, 158, 185, 131]}


def test_a_step_a_pass_and_a_seed_have_masks_of_their_own() -> None:
    source, keys = MaskSource(3), []
    for step in (0, 1):
        source.restart(step)
        keys += source.mask_keys() + source.mask_keys()
    assert len({*keys, *MaskSource(4).mask_keys()}) == 5
    source.restart(0)
    assert source.mask_keys() == keys[:1]


@pytest.mark.parametrize("p", [0.1, 0.5, 0.6])
def test_dropout_keeps_the_mean(p: float) -> None:
    loops = gcn_adjacency(torch.empty(2, 0, dtype=torch.long), 4096)
    out = compiled_layers(lambda _: loops, torch.ones(4096, 64), depth=1, dropout=p, masks=MaskSource(0))
    assert float(out.mean()) == pytest.approx(1, abs=5 * math.sqrt(p / (1 - p) / out.numel()))
    assert float((out == 0).double().mean()) == pytest.approx(p, abs=0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_threads_are_torchs_own() -> None:
    """Two OpenMP libraries in a process have two pools, whose threads wait for each other's processors."""
    loops, before = gcn_adjacency(torch.empty(2, 0, dtype=torch.long), 100), torch.get_num_threads()

    def threads() -> set[str]:
        return {path.name for path in Path("/proc/self/task").iterdir()}

    torch.set_num_threads(3)
    compiled_layers(lambda _: loops, torch.ones(100, 4), depth=1, masks=MaskSource(0))
    of_kernel = threads()
    torch.ones(4_000_000).exp().sum()  # all of torch's threads
    of_torch = threads()
    torch.set_num_threads(before)
    assert len(of_kernel) >= 3 and of_torch <= of_kernel
    library = compiler.kernel()
    assert library is not None and isinstance(library, ctypes.CDLL)
    assert b"libgomp" not in Path(library._name).read_bytes()


@pytest.mark.parametrize(("nodes", "expected"), [(0, 1), (1, 1), (34, 1), (NODES, 4)])
def test_a_thread_without_rows_is_not_started(monkeypatch: pytest.MonkeyPatch, nodes: int, expected: int) -> None:
    """It would wait at the barrier of every layer; on a processor that others use, that costs more than the layer."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    seen: list[int] = []
    library = kernel._library()

    def work(width: int, threads: int) -> int:
        seen.append(threads)
        return int(library.layers_work(width, threads))

    class Recorder:
        def __getattr__(self, name: str) -> object:
            return work if name == "layers_work" else getattr(library, name)

    monkeypatch.setattr(kernel, "_library", Recorder)
    loops = gcn_adjacency(torch.empty(2, 0, dtype=torch.long), nodes)
    x = torch.ones(nodes, 4)
    assert torch.isfinite(compiled_layers(lambda _: loops, x, depth=1, masks=MaskSource(0))).all()
    assert seen == [expected]
