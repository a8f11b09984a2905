"""From a dataset to the graph that a run propagates over."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_method

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.data import rewire as module
from depthlab.data.csbm import make_csbm
from depthlab.data.dataset import Dataset
from depthlab.data.prepare import load
from depthlab.data.rewire import Rewired, cached_edges, make_batches, rewire, rewired_blocks
from depthlab.data.rewired_edges import RewiredEdges
from depthlab.data.transfer import make_ring_transfer
from depthlab.folders import CONF
from depthlab.graph.batches import GraphBatches, OneGraph, disjoint_copies
from depthlab.tasks.task import make_task
from depthlab.training.build import build_model
from tests.conftest import Command

OPTIONS = sorted(path.stem for path in (CONF / "rewiring").glob("*.yaml") if path.stem != "none")
Made = Callable[..., Rewired]


def composed(*typed: str) -> Settings:
    return compose_settings(["dataset=csbm", "dataset.nodes=60", "recipe=none", "depth=3", *typed])


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Rewires the small graph; files are kept in `tmp_path`."""

    def call(*typed: str) -> Rewired:
        settings = composed(*typed)
        return rewire(*load(settings.dataset), settings, tmp_path)

    return call


def files(folder: Path, suffix: str = ".pt") -> list[Path]:
    return sorted((folder / "rewired").glob(f"*{suffix}"))


def as_set(edge_index: torch.Tensor) -> set[tuple[int, ...]]:
    return {tuple(edge) for edge in edge_index.T.tolist()}


def propagated(graph: Any, layer: int = 1) -> set[tuple[int, ...]]:
    a = graph.layers.at(layer - 1)  # layers are counted from 0
    return as_set(torch.stack([a.col, a.row])[:, ~a.loops])


def test_without_a_rewiring_the_graph_is_the_data_s_and_nothing_is_kept(made: Made, tmp_path: Path) -> None:
    dataset, fingerprint = load(composed().dataset)
    found = made()
    assert (found.data_hash, found.statistics) == (fingerprint, {})
    assert propagated(found.graph) == as_set(found.graph.edge_index) == as_set(dataset.edge_index)
    assert found.graph.layers is found.graph.adjacency
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_rewires_and_leaves_the_data_alone(name: str, tmp_path: Path) -> None:
    settings = composed("dataset.nodes=120", f"rewiring={name}", "rewiring.layers=all")
    dataset, fingerprint = load(settings.dataset)
    assert isinstance(dataset, Dataset)
    before = {key: value.clone() for key, value in dataset.tensors.items()}
    found = rewire(dataset, fingerprint, settings, tmp_path)
    assert all(torch.equal(value, getattr(dataset, key)) for key, value in before.items())
    graph, plain = found.graph, make_batches(settings, dataset).probe
    changed, old = propagated(graph), as_set(dataset.edge_index)
    assert changed != old
    assert len(changed - old) == 2 * found.statistics["rewiring/edges_added"]
    assert len(old - changed) == 2 * found.statistics["rewiring/edges_removed"]
    assert as_set(graph.edge_index) == old
    assert graph.num_nodes == plain.num_nodes
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(graph, part), getattr(plain, part))


@pytest.mark.parametrize("split", ["0", "3"])
def test_a_new_node_has_no_features_no_class_and_no_part(made: Made, split: str) -> None:
    plain = made(f"split={split}").graph
    for layers in ("all", "last"):
        graph = made("rewiring=virtual_node", f"rewiring.layers={layers}", f"split={split}").graph
        x, old = graph.x.to_dense(), plain.x.to_dense()
        assert torch.equal(x[:60], old) and not x[60:].any() and len(x) == len(graph.y) == 61
        assert torch.equal(graph.y[:60], plain.y) and graph.y[60] == -1
        assert (graph.new_nodes, graph.num_nodes) == (1, 60)
        assert int(torch.cat([graph.train, graph.val, graph.test]).max()) < 60
        assert len(propagated(graph, layer=3)) == len(propagated(plain)) + 2 * 60
        last = len(propagated(plain)) + (2 * 60 if layers == "all" else 0)
        assert len(propagated(graph, layer=1)) == last


def test_a_random_split_is_that_of_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn over one node more it would be another one."""
    nodes = torch.arange(1600)
    mask = torch.zeros(1, 1600, dtype=torch.bool)
    dataset = Dataset(torch.ones(1600, 2), torch.tensor([[0, 1], [1, 0]]), nodes % 2, mask, mask, mask)
    settings = replace(composed("rewiring=virtual_node"), split="random", split_seed=3)
    graph, plain = rewire(dataset, "x", settings, tmp_path).graph, dataset.graph("random", 3)
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(graph, part), getattr(plain, part))


def test_the_last_layer_alone(made: Made) -> None:
    plain, everywhere = made().graph, made("rewiring=random").graph
    graph = made("rewiring=random", "rewiring.layers=last").graph
    assert propagated(graph, 1) == propagated(graph, 2) == propagated(plain)
    assert propagated(graph, 3) == propagated(everywhere) != propagated(plain)


def no_rewiring(*_: object) -> None:
    raise AssertionError("the graph was rewired again")


def test_a_graph_is_rewired_once(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made("rewiring=random")
    monkeypatch.setattr(module, "make_edges", no_rewiring)
    for same in ((), ("rewiring.layers=last",), ("depth=5", "seed=3", "split=2", "model=gcn")):
        again = made("rewiring=random", *same)
        assert (again.data_hash, again.statistics) == (first.data_hash, first.statistics)
        assert propagated(again.graph, again.graph.depth or 1) == propagated(first.graph)
    (kept,) = files(tmp_path)
    assert kept.name == f"csbm-random-{first.data_hash[:8]}.pt"
    statistics = {
        f"rewiring/{key}": value for key, value in json.loads(files(tmp_path, ".json")[0].read_text()).items()
    }
    assert statistics == pytest.approx(first.statistics, rel=5e-6)


@pytest.mark.parametrize(
    "other",
    [("rewiring.seed=1",), ("rewiring.num_edges=49",), ("dataset.seed=1",), ("dataset.homophily=0.1",),
     ("rewiring=virtual_node",)],
)  # fmt: skip
def test_another_seed_budget_or_graph_is_another_rewiring(made: Made, tmp_path: Path, other: tuple[str, ...]) -> None:
    first, second = made("rewiring=random"), made("rewiring=random", *other)
    assert first.data_hash != second.data_hash
    assert propagated(first.graph) != propagated(second.graph)
    assert len(files(tmp_path)) == 2


def test_other_code_rewires_again(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made("rewiring=random")
    monkeypatch.setattr(module, "code_hash", lambda *_: "of tomorrow")
    monkeypatch.setattr(module, "make_edges", no_rewiring)
    with pytest.raises(AssertionError, match="rewired again"):
        made("rewiring=random")
    monkeypatch.undo()
    assert made("rewiring=random").data_hash == first.data_hash
    assert len(files(tmp_path)) == 1


def test_a_damaged_file_is_made_again(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = made("rewiring=random")
    (kept,) = files(tmp_path)
    kept.write_bytes(kept.read_bytes()[:500])
    for said in (f"{kept} is damaged (its checksum does not match): it is created again\n", ""):
        assert propagated(made("rewiring=random").graph) == propagated(first.graph)
        assert capsys.readouterr().err == said


def test_a_file_of_other_content_under_the_same_name_is_made_again(made: Made, tmp_path: Path) -> None:
    first = made("rewiring=random")
    (kept,) = files(tmp_path)
    RewiredEdges(first.graph.edge_index, first.graph.num_nodes, {}).save(kept, "another")
    assert made("rewiring=random").statistics == first.statistics != {}


def test_what_cannot_be_done_ends_in_one_sentence_and_keeps_nothing(made: Made, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pairs of nodes are not joined yet: use rewiring\.num_edges=\d+ or less"):
        made("rewiring=random", "rewiring.num_edges=100000")
    assert not files(tmp_path)


def test_only_one_of_concurrent_processes_makes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = composed("rewiring=random")
    dataset, fingerprint = load(settings.dataset)
    make, calls = module.make_edges, []

    def slow(*arguments: Any) -> RewiredEdges:
        calls.append(arguments)
        time.sleep(0.2)
        return make(*arguments)

    monkeypatch.setattr(module, "make_edges", slow)
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(cached_edges, dataset, fingerprint, settings, tmp_path) for _ in range(4)]
    assert len({as_key(one.result().edge_index) for one in found}) == len(calls) == len(files(tmp_path)) == 1
    assert not files(tmp_path, ".part")


def as_key(edge_index: torch.Tensor) -> str:
    return str(edge_index.tolist())


def test_the_command(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    done = command("rewire", "dataset=csbm", "dataset.nodes=60", "rewiring=random", "rewiring.num_edges=7")
    assert done == (0, "rewired csbm, 7 edges added, 0 removed: prepared/rewired/csbm-random.json\n", "")
    assert json.loads((tmp_path / "prepared/rewired/csbm-random.json").read_text())["edges_added"] == 7


def test_the_command_without_a_rewiring(command: Command) -> None:
    sentence = "error: rewiring=none changes nothing: choose another, such as rewiring=random\n"
    assert command("rewire", "dataset=csbm") == (1, "", sentence)


def test_a_graph_with_nodes_to_classify_is_one_batch() -> None:
    dataset = make_csbm([], nodes=60)
    batches = make_batches(composed("split=3"), dataset)
    assert isinstance(batches, OneGraph) and batches.task_range is None
    assert torch.equal(batches.probe.train, dataset.train[3].nonzero().view(-1))


def test_many_graphs_come_in_batches_of_the_dataset_size_in_the_order_of_the_run_seed() -> None:
    task = make_ring_transfer([], size=6, train_graphs=30, test_graphs=10)
    settings = compose_settings(["dataset=ring_transfer", "dataset.batch_size=8", "seed=5", "recipe=none"])
    batches = make_batches(settings, task)
    assert isinstance(batches, GraphBatches)
    assert (batches.batch_size, batches.seed, batches.task_range, len(batches)) == (8, 5, 3, 4)


def test_batches_of_dense_graphs_that_would_not_fit_are_refused(tmp_path: Path) -> None:
    typed = ["dataset=ring_transfer", "dataset.size=200", "recipe=none", "rewiring=fully_adjacent"]
    settings = compose_settings([*typed, "dataset.batch_size=5000"])
    task, fingerprint = load(settings.dataset)
    with pytest.raises(
        UserError, match=r"^5,000 rewired .* 2\.0e\+08 entries, some 20 GB: use dataset\.batch_size=1256 or"
    ):
        rewire(task, fingerprint, settings, tmp_path)
    fitting = compose_settings([*typed, "dataset.batch_size=1256"])
    assert len(rewire(task, fingerprint, fitting, tmp_path).batches) == 4


@pytest.mark.parametrize("layers", ["all", "last"])
@pytest.mark.parametrize("name", ["virtual_node", "fully_adjacent", "random"])
@pytest.mark.parametrize("task", ["tree_neighbors_match", "ring_transfer"])
def test_each_of_many_graphs_is_rewired_alike(task: str, name: str, layers: str, tmp_path: Path) -> None:
    """A batch is rewired as its graphs are one by one: the logits of each are those that it has alone."""
    few = ["dataset.radius=2"] if task.startswith("tree") else ["dataset.size=6", "dataset.train_graphs=20"]
    typed = [f"dataset={task}", *few, "recipe=none", "depth=2", "model=gcnii", "dropout=0", f"rewiring={name}"]
    more = ["rewiring.num_edges=2"] if name == "random" else []
    settings = compose_settings([*typed, *more, f"rewiring.layers={layers}"])
    dataset, fingerprint = load(settings.dataset)
    batches = rewire(dataset, fingerprint, settings, tmp_path).batches
    assert isinstance(batches, GraphBatches)
    numbers = batches.parts["train"][:5]
    together = batches.graph(numbers, "train")
    assert together.num_nodes == 5 * dataset.num_nodes
    assert together.new_nodes == 5 * (name == "virtual_node")
    assert as_set(together.edge_index) == as_set(disjoint_copies(dataset.edge_index, dataset.num_nodes, 5))
    net = build_model(settings, batches.probe, make_task(settings, dataset)).network.eval()
    plain = net(together.x, together.adjacency) if layers == "last" else None
    with torch.no_grad():
        found = net(together.x, together.layers)[together.train]
        for k, number in enumerate(numbers):
            alone = batches.graph(number.view(1), "train")
            assert torch.allclose(net(alone.x, alone.layers)[alone.train[0]], found[k], atol=1e-6)
            assert alone.y[alone.train[0]] == together.y[together.train[k]] == dataset.y[number]
    if plain is not None:
        assert not torch.allclose(plain[together.train], found, atol=1e-4)


@pytest.mark.parametrize("rewiring", ["virtual_node", "random", "fully_adjacent"])
def test_each_graph_of_a_collection_is_rewired_separately(rewiring: str) -> None:
    sizes, paths = (4, 6, 5), []
    for size in sizes:
        steps = torch.stack([torch.arange(size - 1), torch.arange(1, size)])
        paths.append(torch.cat([steps, steps.flip(0)], 1))
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    whole = torch.cat([path + first for path, first in zip(paths, ptr.tolist(), strict=False)], 1)
    option = composed(f"rewiring={rewiring}", *["rewiring.num_edges=2"] * (rewiring == "random")).rewiring
    assert option.target is not None
    function, arguments = get_method(option.target), option.arguments

    def change(edges: torch.Tensor, nodes: int) -> torch.Tensor:
        found: torch.Tensor = function(edges, nodes, torch.Generator().manual_seed(nodes), **arguments)
        return found

    found, expected = as_set(rewired_blocks(whole, ptr, change)), set()
    for number, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        names = [*range(int(ptr[number]), int(ptr[number]) + size), 15 + number]  # the new node is the last of all
        expected |= {(names[a], names[b]) for a, b in as_set(change(path, size))}
    assert found == expected


def test_a_graph_of_a_collection_that_cannot_be_rewired_is_named() -> None:
    def refuse(edges: torch.Tensor, nodes: int) -> torch.Tensor:
        raise UserError("too small")

    with pytest.raises(UserError, match=r"^graph 0 of the set: too small$"):
        rewired_blocks(torch.tensor([[0, 1], [1, 0]]), torch.tensor([0, 2]), refuse)
