"""`python -m benchmarks.where`: where the time of a training step goes, GCNII on Cora, on one thread.

Self time of PyTorch's operations as its profiler sees it, summed by kind; compiled layers are one of them, whatever
they do. What is left is Python and the autograd engine. The profiler itself costs some time, so shares say more than
milliseconds. `DEPTHLAB_KERNEL=plain` shows the step without compiled layers.
"""

import argparse
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.steps import network, our_step
from depthlab.training.allocator import keep_freed_blocks
from depthlab.training.experiment import Experiment

KINDS = {
    "compiled layers": {"_Compiled", "_CompiledBackward"},
    "dense products": {"aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm"},
    "sparse products": {"aten::_embedding_bag_forward_only"},
    "copies and conversions": {"aten::copy_", "aten::cat", "aten::stack", "aten::clone", "aten::fill_", "aten::zero_"},
    "masks, relu, sums": {"aten::threshold_backward", "aten::relu_", "aten::clamp_min_", "aten::add_", "aten::mul",
                          "aten::add", "aten::mul_", "aten::lerp", "aten::sum"},
    "random bits": {"random bits"},
    "Adam": {"aten::_fused_adam_"},
}  # fmt: skip
STEPS = 10


def shares(made: Experiment) -> dict[str, float]:
    """Milliseconds of a training step by kind of operation."""
    model = made.module
    draw = model.network.masks.bits

    def bits(*of: Any) -> Tensor:
        with record_function("random bits"):
            return draw(*of)

    model.network.masks.bits = bits  # type: ignore[method-assign, assignment]
    step = our_step(model, made.graph)
    for _ in range(3):
        step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(STEPS):
            step()
    events = {event.key: event.self_cpu_time_total / 1000 / STEPS for event in profiler.key_averages()}
    by_kind = {kind: sum(events.get(name, 0.0) for name in names) for kind, names in KINDS.items()}
    return by_kind | {"the rest": sum(events.values()) - sum(by_kind.values())}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.where", description=__doc__)
    parser.add_argument("--depth", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=64)
    options = parser.parse_args()
    keep_freed_blocks()
    torch.set_num_threads(1)
    by_kind = shares(network("gcnii", options.depth, options.hidden))
    total = sum(by_kind.values())
    table = Table("GCNII", "ms a step", "share", title=f"{options.depth} layers of {options.hidden}, one thread")
    for kind, ms in by_kind.items():
        table.add_row(kind, f"{ms:.1f}", f"{100 * ms / total:.0f} %")
    table.add_row("all", f"{total:.1f}", "100 %")
    Console().print(table)


if __name__ == "__main__":
    main()
