"""Mini-batches of a dataset that is one graph, cut into parts that are cached on disk."""

from pathlib import Path
from typing import Any

from torch import Tensor

from depthlab.config.closure import code_hash, digest
from depthlab.config.errors import UserError
from depthlab.config.option_types import DatasetSettings
from depthlab.config.schema import Settings
from depthlab.data.dataset import Dataset
from depthlab.data.raw import prepared_file
from depthlab.files import cached, read_prepared, write_prepared
from depthlab.graph.cluster import ClusterBatches
from depthlab.graph.large import LargeGraph
from depthlab.graph.neighbours import Neighbours
from depthlab.graph.partition import metis
from depthlab.text import file_name

FORMAT = 1  # increase it if the file of a partition or the way to cut changes


def cluster_batches(dataset: Dataset, data_hash: str, settings: Settings, folder: Path | None = None) -> ClusterBatches:
    """The data of a run with `loader=cluster`. A dataset that stays on disk is evaluated layer by layer from disk.

    Args:
        dataset, data_hash: as returned by `depthlab.data.prepare.load`.
        settings: as for `depthlab.training.run.run`.
        folder: folder of prepared files.

    Raises:
        UserError: there is no such split, the graph cannot be cut into so many parts, a cached partition is corrupt,
            or `norm=batch` is set and a batch may consist of one node.
    """
    loader, split = settings.loader, (settings.split, settings.split_seed)
    assert loader.parts is not None and loader.batch_parts is not None, "conf/loader/cluster.yaml sets both"
    if dataset.directed:
        raise UserError("loader=cluster cuts undirected graphs into parts: use dataset.directed=false, or loader=full")
    neighbours = Neighbours.of(dataset.edge_index, dataset.num_nodes, dataset.edge_weight)
    assignment = cached_partition(neighbours, data_hash, settings.dataset, loader.parts, folder)
    scratch = prepared_file(settings.dataset, folder).parent
    large = LargeGraph(dataset.x, neighbours, dataset.y, *dataset.parts(*split), scratch=scratch)
    evaluated = large if settings.dataset.mapped else dataset.graph(*split)
    batches = ClusterBatches(large, assignment, loader.batch_parts, settings.seed, evaluated)
    if settings.norm == "batch" and (node := batches.lonely_node) is not None:
        raise UserError(
            f"norm=batch needs two nodes in every batch, but a batch may hold node {node}, a part without neighbours,"
            " alone: use fewer loader.parts, a larger loader.batch_parts, or norm=layer"
        )
    return batches


def cached_partition(
    neighbours: Neighbours, data_hash: str, dataset: DatasetSettings, parts: int, folder: Path | None = None
) -> Tensor:
    """The part of every node, int64 (n,), from the cache if it is up to date; only one process at a time computes it.

    Raises:
        UserError: as `depthlab.graph.partition.metis`, or the file is corrupt.
    """
    name = digest([data_hash, parts])
    fingerprint = digest([name, code_hash(*dataset.targets, "depthlab.data.prepare", __name__)])
    home = prepared_file(dataset, folder).parent / "partitions"
    path = home / f"{file_name(dataset.label)}-{parts}-{name[:8]}.pt"

    def make() -> Tensor:
        assignment = metis(neighbours, parts)
        write_prepared({"assignment": assignment}, path, fingerprint, FORMAT)
        return assignment

    return cached(lambda: read_prepared(path, fingerprint, FORMAT, _assignment), make, path)


def _assignment(content: dict[str, Any]) -> Tensor:
    assignment: Tensor = content["assignment"]
    return assignment
