"""From a dataset to batches of parts that are found once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.data import cluster as module
from depthlab.data.cluster import cached_partition, cluster_batches
from depthlab.data.dataset import Dataset
from depthlab.data.prepare import load
from depthlab.data.rewire import rewire
from depthlab.graph.cluster import ClusterBatches
from depthlab.graph.graph import Graph
from depthlab.graph.large import LargeGraph
from depthlab.graph.neighbours import Neighbours
from depthlab.nn.execution import by_blocks
from depthlab.nn.gcn import GCN
from tests.settings import dataset_settings

SMALL = ["dataset.nodes=300", "dataset.degree=6", "loader=cluster", "loader.parts=6", "loader.batch_parts=2"]
LARGE = [*SMALL, "dataset=sbm_large", "dataset.block_size=20", "dataset.features=8"]


def no_cutting(*_: object) -> None:
    raise AssertionError("the graph was cut again")


@pytest.fixture
def make(project: Path) -> Callable[..., tuple[ClusterBatches, Dataset]]:
    def call(*typed: str) -> tuple[ClusterBatches, Dataset]:
        settings = compose_settings(list(typed))
        dataset, fingerprint = load(settings.dataset)
        assert isinstance(dataset, Dataset)
        return cluster_batches(dataset, fingerprint, settings), dataset

    return call


def test_what_stays_on_disk_is_evaluated_there(make: Any) -> None:
    batches, _ = make(*LARGE)
    assert len(batches) == 3 and isinstance(batches.all_parts[0], LargeGraph)
    assert batches.all_parts[0].scratch.is_dir()
    evaluated, _ = make(*SMALL, "dataset=csbm")
    assert isinstance(evaluated.all_parts[0], Graph)


@pytest.mark.parametrize("typed", [LARGE, [*SMALL, "dataset=csbm", "split=3"]])
def test_what_is_evaluated_is_the_whole_graph(make: Any, typed: list[str]) -> None:
    batches, dataset = make(*typed)
    whole = dataset.graph("3" if "split=3" in typed else "0")
    torch.manual_seed(0)
    model = GCN(whole.x.shape[1], 10, depth=2, hidden=8).eval().requires_grad_(False)
    evaluated = batches.all_parts[0]
    on_disk = isinstance(evaluated, LargeGraph)
    output = by_blocks(model, evaluated) if on_disk else model(evaluated.x, evaluated.layers)
    torch.testing.assert_close(output, model(whole.x, whole.adjacency), rtol=1e-4, atol=1e-5)
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(batches.all_parts[0], part), getattr(whole, part))
    assert torch.equal(batches.labels, whole.y[whole.train])


def test_a_graph_is_cut_once_and_again_where_the_file_is_damaged(
    make: Any, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = make(*LARGE)
    make(*LARGE, "loader.parts=5")  # another cut, beside it
    with monkeypatch.context() as patch:
        patch.setattr(module, "metis", no_cutting)
        again, _ = make(*LARGE, "loader.batch_parts=3", "seed=4")
        assert [part.tolist() for part in again.members] == [part.tolist() for part in first.members]
        with pytest.raises(AssertionError, match="cut again"):
            make(*LARGE, "dataset.seed=1")
    kept = list((project / "prepared" / "partitions").glob("sbm_large-6-*.pt"))
    assert len(kept) == 1
    kept[0].write_bytes(kept[0].read_bytes()[:100])
    for said in (f"{kept[0]} is damaged (its checksum does not match): it is created again\n", ""):
        again, _ = make(*LARGE)
        assert [part.tolist() for part in again.members] == [part.tolist() for part in first.members]
        assert capsys.readouterr().err == said


def test_more_parts_than_nodes(project: Path) -> None:
    pair = Neighbours.of(torch.tensor([[0, 1], [1, 0]]), 2)
    with pytest.raises(UserError, match=r"^loader\.parts must be at most the 2 nodes"):
        cached_partition(pair, "data", dataset_settings(name="pair"), 3)


def test_a_run_gets_them(project: Path) -> None:
    settings = compose_settings(LARGE)
    dataset, fingerprint = load(settings.dataset)
    found = rewire(dataset, fingerprint, settings)
    assert isinstance(found.batches, ClusterBatches) and found.data_hash == fingerprint
    assert found.graph is found.batches.probe


def isolated(nodes: int = 60) -> Dataset:
    """Nodes without edges, a third of them in each part of the split."""
    node = torch.arange(nodes)
    train, val, test = ((node % 3 == part)[None] for part in range(3))
    return Dataset(torch.randn(nodes, 5), torch.empty(2, 0, dtype=torch.long), (node // 3) % 2, train, val, test)


def test_batch_norm_where_a_batch_may_be_one_node_is_refused(tmp_path: Path) -> None:
    def cut(dataset: Dataset, parts: int, batch_parts: int, norm: str) -> ClusterBatches:
        typed = [f"loader.parts={parts}", f"loader.batch_parts={batch_parts}", f"norm={norm}", "model=gcn"]
        settings = compose_settings(["dataset=csbm", "loader=cluster", *typed])
        return cluster_batches(dataset, str(dataset.edge_index.shape), settings, tmp_path)

    with pytest.raises(UserError, match=r"norm=batch needs two nodes in every batch, but a batch may hold node \d+, a"):
        cut(isolated(), 60, 1, "batch")
    assert min(graph.x.shape[0] for graph in cut(isolated(), 60, 1, "layer")) == 1
    assert min(graph.x.shape[0] for graph in cut(isolated(), 60, 2, "batch")) > 1
    assert min(graph.x.shape[0] for graph in cut(isolated(), 10, 1, "batch")) > 1
    around = torch.stack([torch.arange(60), (torch.arange(60) + 1) % 60])
    ring = torch.cat([around, around.flip(0)], 1)
    ring = ring[:, (ring[0] * 60 + ring[1]).argsort()]
    assert min(graph.x.shape[0] for graph in cut(replace(isolated(), edge_index=ring), 60, 1, "batch")) > 1
