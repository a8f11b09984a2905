"""`make bench`: one training step and one epoch, ours beside PyG's layers and the products of GCNII alone, on Cora.

Each side has a process of its own, and they take turns, of several steps of which the last is timed. The least counts,
of as many rounds as it takes until the least of their first half agrees with that of their second half within 10 %.
All flush denormal numbers to zero, without which 1,024 layers take many times as long. Ours has the heap of a run;
PyG's has it once as any script has it, and else with freed memory kept by the C library, as our deep runs have it.
The tables are in Markdown. The deepest networks of PyG take some gigabytes each.
"""

import argparse
import math
import sys
from collections.abc import Iterable, Mapping, Sequence

import torch

from benchmarks.epochs import epoch_overhead
from benchmarks.steps import COMPILED_LAYERS, sides
from benchmarks.timing import FEWEST, Timing, alternate_processes
from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.data.prepare import load
from depthlab.training.fit import quiet_libraries

SIZES = [("gcn", 2, 64), ("gcn", 64, 64), ("appnp", 64, 64),
         *(("gcnii", depth, 64) for depth in (2, 8, 64, 256, 1024)),
         *(("gcnii", 64, hidden) for hidden in (16, 32, 128, 256)), ("acmp", 16, 64)]  # fmt: skip
STEPS = {f"{name}-{depth}x{hidden}": (name, depth, hidden) for name, depth, hidden in SIZES}
EPOCHS = {"epoch-2": (2, 600), "epoch-64": (64, 100)}  # layers of GCNII, and epochs of the run
OURS = ("compiled", "plain")
PEERS = ("edges", "edges, heap kept", "CSR", "edges, torch.compile", "CSR, torch.compile")
STEP_COLUMNS = ("One training step, ms", "ours", "ours, plain", *(f"PyG, {peer}" for peer in PEERS), "products",
                "edges / ours", "strongest PyG / ours", "ours / products")  # fmt: skip
EPOCH_COLUMNS = ("GCNII", "epoch, ms", "step, ms", "evaluation, ms", "beyond both", "epoch / step")


def step_cells(name: str, took: Mapping[str, Timing]) -> list[str]:
    """The row of a network; a time whose halves do not agree has a star."""
    seconds = {side: timing.seconds for side, timing in took.items()}
    own = next(seconds[side] for side in OURS if math.isfinite(seconds[side]))  # what a run has here
    products = took.get("products", Timing(math.inf))
    strongest = min(PEERS, key=lambda peer: seconds[peer])
    return [
        name, *(milliseconds(took[side]) for side in (*OURS, *PEERS)), milliseconds(products),
        f"{seconds['edges'] / own:.1f}", f"{seconds[strongest] / own:.1f} ({strongest})",
        f"{own / products.seconds:.2f}" if "products" in took else "",
    ]  # fmt: skip


def milliseconds(timing: Timing) -> str:
    """Three digits of a time, with a star if the halves of its rounds do not agree; empty for one that is not there."""
    if math.isinf(timing.seconds):
        return ""
    return f"{1000 * timing.seconds:.3g}" + ("" if timing.agrees else "*")


def remarks(name: str, took: Mapping[str, Timing]) -> list[str]:
    """What the row does not say: sides that cannot run, and rounds that do not agree."""
    missing = [f"{name}, {side}: {one.unavailable}" for side, one in took.items() if one.unavailable]
    apart = [
        f"{name}, {side}: after {one.rounds} rounds the halves still differ, by a factor of {one.spread:.2f}"
        for side, one in took.items()
        if not one.agrees
    ]
    return missing + apart


def line(cells: Iterable[str]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def head(columns: Sequence[str]) -> str:
    """The first two rows of a table in Markdown."""
    return f"\n{line(columns)}\n{line(['---'] * len(columns))}"


def time_steps(names: Sequence[str], most: int, compile_up_to: int) -> None:
    """Time the steps and print a row for each network; deep ones have fewer rounds."""
    print(head(STEP_COLUMNS))
    notes = []
    for name in names:
        kind, depth, hidden = STEPS[name]
        made = sides(kind, depth, hidden, compile_up_to)
        took = alternate_processes(made, min(most, max(FEWEST, most * 64 // depth)))
        print(line(step_cells(f"{kind}, {depth} layers of {hidden}", took)), flush=True)
        notes += remarks(name, took)
    print("\n".join(["", *(f"- {note}" for note in notes)]))


def time_epochs(names: Sequence[str]) -> None:
    """Time whole epochs, with Lightning and MLflow, and print a row for each."""
    print(head(EPOCH_COLUMNS))
    for name in names:
        depth, count = EPOCHS[name]
        epoch, step, evaluation = (1000 * seconds for seconds in epoch_overhead(depth, count))
        beyond = epoch - step - evaluation
        cells = [f"{epoch:.2f}", f"{step:.2f}", f"{evaluation:.2f}", f"{beyond:.2f} ms", f"{epoch / step:.2f}"]
        print(line([f"{depth} layers", *cells]), flush=True)


def make_parser() -> argparse.ArgumentParser:
    """The options of the bench."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="timed repetitions of each step, at most")
    parser.add_argument("--rows", nargs="+", choices=[*STEPS, *EPOCHS], default=[*STEPS, *EPOCHS], metavar="ROW",
                        help=f"what is timed, all by default: {', '.join([*STEPS, *EPOCHS])}")  # fmt: skip
    parser.add_argument("--compile-up-to", type=int, default=COMPILED_LAYERS, metavar="LAYERS",
                        help="compile PyG's layers with edges up to this depth; 64 take minutes")  # fmt: skip
    return parser


def main() -> None:
    options = make_parser().parse_args()
    quiet_libraries()
    load(compose_settings([]).dataset)  # where there are no data it says so, before processes are started
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, Cora, the least of at most {options.rounds}"
        f" alternating rounds; * marks times whose halves of the rounds differ by more than 10 %"
    )
    if steps := [row for row in options.rows if row in STEPS]:
        time_steps(steps, options.rounds, options.compile_up_to)
    if epochs := [row for row in options.rows if row in EPOCHS]:
        time_epochs(epochs)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
