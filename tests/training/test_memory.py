import gc
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import run
from types import SimpleNamespace

import pytest
import torch

from depthlab.config.compose import compose_settings
from depthlab.config.errors import ReplicasError, UserError
from depthlab.config.schema import Settings
from depthlab.config.settings import config_hash
from depthlab.folders import CHECKOUT
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.batches import OneGraph
from depthlab.graph.graph import Graph
from depthlab.tasks.task import Classification
from depthlab.training import memory
from depthlab.training.build import build_model, make_network
from depthlab.training.memory import (
    check_memory,
    decide_memory,
    estimate_memory,
    free_memory,
    least_memory,
    weight_bytes,
)
from tests.settings import ARCHITECTURES

TASK = Classification("acc", ("acc",), 3)
STEPS = """
import sys, torch
from dataclasses import replace
from pathlib import Path
from tests.training.test_memory import TASK, make_graph, settings_of
from depthlab.training.build import build_model
from depthlab.training.allocator import BLOCK_SIZE, tune_allocator, unmap_freed_blocks
from depthlab.training.memory import estimate_memory

def held(what):
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(lines[what].split()[0])

def steps(settings):
    model = build_model(settings, graph, TASK)
    tune_allocator(model, graph.num_nodes, settings.memory)
    optimizer = model.configure_optimizers()
    best = [p.detach().clone() for p in model.parameters()]
    before = held("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    for _ in range(3):
        optimizer.zero_grad()
        model.training_step(graph).backward()
        optimizer.step()
    return held("VmHWM") - before

torch.set_num_threads(1)
unmap_freed_blocks(BLOCK_SIZE)  # a heap that is left alone has holes, which `auto` allows for
graph, (memory, *typed) = make_graph(20_000), sys.argv[1:]
settings = replace(settings_of(*typed), memory=memory)
steps(replace(settings, depth=2))  # libraries and buffers that come with the first step
print(estimate_memory(settings, graph, TASK)[memory], steps(settings))
"""


def make_graph(nodes: int) -> Graph:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, nodes, (2, 2 * nodes), generator=generator)
    x = torch.rand(nodes, 16, generator=generator)
    y = torch.randint(0, 3, (nodes,), generator=generator)
    return Graph(
        x, gcn_adjacency(torch.cat([edges, edges.flip(0)], 1), nodes), y, *torch.arange(nodes).split(nodes // 3 + 1)
    )


def settings_of(*typed: str) -> Settings:
    return compose_settings(["dataset=csbm", "recipe=none", *typed])


@pytest.mark.slow
@pytest.mark.parametrize(
    "typed",
    ["full model=gcnii depth=16", "full model=gcnii depth=64", "checkpoint model=gcnii depth=16",
     "checkpoint model=gcnii depth=64", "full model=revgcn norm=layer depth=32", "full model=gcn norm=batch depth=24"],
)  # fmt: skip
def test_the_estimate_is_near_the_measured_peak(typed: str, environment: dict[str, str]) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system does not tell the peak of a process")
    command = [sys.executable, "-c", STEPS, *typed.split()]
    done = run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    estimated, measured = map(int, done.stdout.split())
    assert estimated == pytest.approx(measured, rel=0.25), (estimated, measured)


def test_estimates_grow_as_they_should() -> None:
    graph = make_graph(300)

    def of(memory: str, *typed: str) -> int:
        return estimate_memory(settings_of("model=gcnii", *typed), graph, TASK)[memory]

    layer = 300 * 64 * 4  # the new state; what was propagated is made once more
    assert of("full", "depth=200") - of("full", "depth=100") > 100 * layer
    assert of("checkpoint", "depth=400") < of("full", "depth=400") / 2
    assert of("full", "depth=50", "hidden=128") > 1.8 * of("full", "depth=50")
    drops = ["depth=50", "p_drop=0.5"]
    assert of("checkpoint", *drops, "drop_edge.per_layer=true") > of("checkpoint", *drops)
    reversible = estimate_memory(settings_of("model=revgcn", "depth=50"), graph, TASK)
    assert reversible["full"] < reversible["checkpoint"] < of("checkpoint", "depth=50")
    assert of("full", "depth=3") < of("full", "depth=7")


@pytest.mark.parametrize("model", ["gcnii", "gcn"])
def test_an_estimate_leaves_nothing_behind(model: str) -> None:
    def states() -> int:
        gc.collect()
        tensors = [thing for thing in gc.get_objects() if type(thing) is torch.Tensor]
        return sum(tensor.shape == (307, 64) for tensor in tensors)

    graph = make_graph(307)  # as many nodes as in no other test
    estimate_memory(settings_of(f"model={model}", "depth=50"), graph, TASK)
    assert states() == 0


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    return lambda size: monkeypatch.setattr(memory, "free_memory", lambda: size)


def test_auto_takes_what_fits(free: Callable[[float], None]) -> None:
    batches, settings = OneGraph(make_graph(300)), settings_of("model=gcnii", "depth=100")
    needs = estimate_memory(settings, batches.probe, TASK)
    free(2 * memory.HOLES * needs["full"])
    assert decide_memory(settings, batches, TASK) == replace(settings, memory="full")
    free(needs["full"])
    assert decide_memory(settings, batches, TASK) == replace(settings, memory="checkpoint")
    need = needs["checkpoint"] + 2 * 4 * 300 * 16
    free(need)
    sentence = r"^a training step needs about 0\.0 GB of memory, 0\.0 GB are free: use a smaller depth or hidden, or "
    with pytest.raises(UserError, match=sentence + "model=revgcn, or memory=checkpoint to try it all the same$"):
        decide_memory(settings, batches, TASK)
    free(need - 1)
    with pytest.raises(UserError, match=sentence + "model=revgcn$"):
        decide_memory(settings, batches, TASK)
    for typed in ("full", "checkpoint"):
        assert decide_memory(replace(settings, memory=typed), batches, TASK).memory == typed


@pytest.mark.parametrize("model", ARCHITECTURES)
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_weights_are_counted_without_making_them(model: str, norm: str) -> None:
    graph, chosen = make_graph(50), settings_of(f"model={model}", "dropout=0")
    for depth in (1, 4, 6, 11):
        settings = replace(chosen, depth=depth)
        if norm != "none" and hasattr(make_network(settings, 16, 3), "norms"):
            settings = replace(settings, norm=norm)
        made = build_model(settings, graph, TASK)
        assert weight_bytes(settings, graph, TASK) == sum(parameter.nbytes for parameter in made.parameters())


@pytest.mark.parametrize("typed", ["depth=64 hidden=1000000", "depth=100000 hidden=512"])
@pytest.mark.parametrize("model", ["gcnii", "gcn", "revgcn"])
def test_what_can_never_fit_is_refused_before_anything_of_it_is_made(
    typed: str, model: str, free: Callable[[float], None]
) -> None:
    free(10e9)
    graph, settings = make_graph(300), settings_of(f"model={model}", *typed.split())
    least = r"at least [\d,]+\.\d GB of memory, 10\.0 GB are free: use "
    with pytest.raises(UserError, match=f"^a training step needs {least}a smaller depth or hidden$"):
        decide_memory(settings, OneGraph(graph), TASK)
    with pytest.raises(ReplicasError, match=f"^4 replicas need {least}fewer"):
        check_memory(settings, graph, TASK, 4)
    small = settings_of(f"model={model}", "depth=8")
    free(8 * least_memory(small, graph, TASK))
    with pytest.raises(ReplicasError, match=r"^4 replicas need about 0\.0 GB of memory, 0\.0 GB are free: use fewer"):
        check_memory(small, graph, TASK, 4)


def test_a_network_without_wide_states_is_not_refused_for_its_width(free: Callable[[float], None]) -> None:
    graph, batches = make_graph(300), OneGraph(make_graph(300))
    for typed in ("model=gcn depth=1 hidden=1000000", "model=appnp depth=8 hidden=1000"):
        settings = settings_of(*typed.split())
        states = 0 if "depth=1 " in typed else memory.AT_WORK * 4 * 300 * 3  # as many channels as classes
        assert least_memory(settings, graph, TASK) == memory.PER_WEIGHT * weight_bytes(settings, graph, TASK) + states
    free(1e9)
    assert decide_memory(settings_of("model=gcn", "depth=1", "hidden=1000000"), batches, TASK).memory == "full"


def test_deciding_changes_no_experiment() -> None:
    hashes = {config_hash(settings_of("model=gcn", f"memory={memory}")) for memory in ("auto", "full", "checkpoint")}
    assert len(hashes) == 1


def test_free_memory_is_that_of_this_machine() -> None:
    assert 1e6 < free_memory() < 1e15


def test_without_control_groups_it_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, which has no /proc."""

    def absent(path: Path, *_: object, **__: object) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", absent)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=123))
    assert free_memory() == 123


def test_a_step_on_a_gpu_may_take_what_that_gpu_has(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {0: (3e9, 8e9), 1: (5e9, 8e9)}
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: sizes[device])
    monkeypatch.setattr(memory, "free_memory", lambda: 8.0)
    monkeypatch.setattr(memory, "local_rank", lambda: 1)
    trainer = replace(settings_of().trainer, devices=2)
    assert memory.free_for(replace(trainer, accelerator="gpu")) == 5e9
    assert memory.free_for(trainer) == 4


def test_the_least_limit_of_a_control_group_counts_without_pages_of_files(tmp_path: Path) -> None:
    inner = tmp_path / "job" / "step"
    inner.mkdir(parents=True)
    for folder, limit, used, files in ((inner, "max", 10, 0), (inner.parent, "9000", 8000, 6000)):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 5\ninactive_file {files}\nactive_file 7\n")
    assert memory._free_in(inner) == 7000
    assert memory._free_in(tmp_path / "nowhere") == math.inf
