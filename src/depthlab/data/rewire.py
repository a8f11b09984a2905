"""Build the graphs of a run: one split of a dataset, with its edges rewired as the setting `rewiring` says.

depthlab rewire dataset=cora rewiring=fosr       what the `rewire` stage of dvc.yaml runs
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_method
from omegaconf import DictConfig
from torch import Tensor
from torch.nn import functional as F

from depthlab.cli import main
from depthlab.config.closure import code_hash, digest
from depthlab.config.errors import UserError
from depthlab.config.option_types import RewiringSettings
from depthlab.config.schema import Settings
from depthlab.config.validation import validate
from depthlab.data.cluster import cluster_batches
from depthlab.data.dataset import Dataset
from depthlab.data.graph_collection import GraphCollection
from depthlab.data.graph_set import GraphSet
from depthlab.data.hashes import rewired_hash
from depthlab.data.prepare import Data, load
from depthlab.data.raw import prepared_file
from depthlab.data.rewired_edges import RewiredEdges
from depthlab.files import cached
from depthlab.folders import relative
from depthlab.graph.batches import Batches, OneGraph
from depthlab.graph.collection_batches import BlockEdges
from depthlab.graph.graph import Graph
from depthlab.graph.rewiring_statistics import rewiring_statistics
from depthlab.text import file_name

ENTRIES, BYTES = 50_000_000, 100  # limit on the entries of a rewired batch, and bytes per entry during normalisation


@dataclass(frozen=True, eq=False)
class Rewired:
    """The graphs of a run.

    Attributes:
        batches: of one split, with the edges to propagate over.
        data_hash: hash of the data and the settings of the rewiring.
        statistics: rewiring statistics by names such as `rewiring/edges_added`; empty without a rewiring.
    """

    batches: Batches
    data_hash: str
    statistics: dict[str, float]

    @property
    def graph(self) -> Graph:
        """The graph that a network is built for and measured on."""
        return self.batches.probe


def rewire(dataset: Data, data_hash: str, settings: Settings, folder: Path | None = None) -> Rewired:
    """The graphs of a run, with rewired edges from the cache if they are up to date.

    New nodes have zero features and class -1, and are in no part of the split. If only the last layer is rewired, the
    other layers propagate over the original edges.

    Args:
        dataset, data_hash: as returned by `depthlab.data.prepare.load`.
        settings: as for `depthlab.training.run.run`.
        folder: folder of prepared files.

    Raises:
        UserError: the split does not exist, the graph cannot be rewired this way, or a cached file is corrupt.
    """
    if settings.loader.name == "cluster":
        assert isinstance(dataset, Dataset), "validation refuses it for many graphs"
        return Rewired(cluster_batches(dataset, data_hash, settings, folder), data_hash, {})
    if settings.rewiring.name == "none":
        return Rewired(make_batches(settings, dataset), data_hash, {})
    check_rewirable(dataset, settings.rewiring.name)
    rewired = cached_edges(dataset, data_hash, settings, folder)
    statistics = {f"rewiring/{name}": value for name, value in rewired.statistics.items()}
    return Rewired(make_batches(settings, dataset, rewired), rewired_hash(data_hash, settings), statistics)


def make_batches(settings: Settings, dataset: Data, rewired: RewiredEdges | None = None) -> Batches:
    """The batches for training and evaluation, with one split of the dataset.

    Args:
        rewired: the edges to propagate over; None for the original edges.

    Raises:
        UserError: there is no such split, a part of it is empty, or a batch of rewired graphs would take gigabytes.
    """
    last = settings.depth if rewired and settings.rewiring.layers == "last" else None
    if isinstance(dataset, GraphSet):
        size, seed = settings.dataset.batch_size or len(dataset.y), settings.seed
        if rewired:
            _refuse_batches(min(size, len(dataset.y)), dataset.num_nodes, rewired.edge_index.shape[1])
        return dataset.batches(settings.split, size, seed, rewired.edge_index if rewired else None, last)
    if isinstance(dataset, GraphCollection):
        return _collection_batches(settings, dataset, rewired, last)
    graph = dataset.graph(settings.split, settings.split_seed)
    if rewired:
        x = graph.x
        if rewired.num_nodes > dataset.num_nodes:
            x = replace(dataset, x=F.pad(dataset.x, (0, 0, 0, rewired.num_nodes - dataset.num_nodes))).features()
        graph = graph.rewired(x, rewired.edge_index, last)
    return OneGraph(graph)


def _collection_batches(
    settings: Settings, dataset: GraphCollection, rewired: RewiredEdges | None, last: int | None
) -> Batches:
    data, edges = settings.dataset, rewired.edge_index if rewired else None
    assert data.pooling is not None and data.batch_size is not None, "the yaml of a collection sets both"
    batches = dataset.batches(
        settings.split, settings.split_seed, data.pooling, data.batch_size, settings.seed, edges, last
    )
    if settings.norm == "batch" and batches.may_have_single_node:
        raise UserError(
            f"norm=batch needs two nodes or more in every batch, and with dataset.batch_size={data.batch_size} one may"
            " have a single node: choose another batch size or norm"
        )
    return batches


def _refuse_batches(graphs: int, nodes: int, entries: int) -> None:
    """Raise UserError for a batch too large to normalise: a batch of graphs is one graph."""
    if graphs * entries > ENTRIES:
        raise UserError(
            f"{graphs:,} rewired graphs of {nodes:,} nodes have {graphs * entries:.1e} entries, some"
            f" {graphs * entries * BYTES / 1e9:,.0f} GB: use dataset.batch_size={max(1, ENTRIES // entries)} or less"
        )


def check_rewirable(dataset: Data, rewiring: str) -> None:
    """Raise UserError for a weighted or directed graph, which no rewiring method supports."""
    if isinstance(dataset, GraphSet):
        return
    if dataset.directed:
        raise UserError(f"rewiring={rewiring} is for undirected graphs: use dataset.directed=false, or rewiring=none")
    if dataset.edge_weight is not None:
        raise UserError(
            f"rewiring={rewiring} has no weights for the edges that it adds: use dataset.edge_weight=none to leave the"
            " weights out, or rewiring=none"
        )


def cached_edges(dataset: Data, data_hash: str, settings: Settings, folder: Path | None = None) -> RewiredEdges:
    """The rewired edges, from the cache if they are up to date. Only one process at a time computes them."""
    name = rewired_hash(data_hash, settings)
    fingerprint = digest([name, code_hash(*settings.dataset.targets, *settings.rewiring.targets, __name__)])
    path = statistics_file(settings, folder).with_name(f"{_pair(settings)}-{name[:8]}.pt")

    def make() -> RewiredEdges:
        rewired = make_edges(dataset, settings.rewiring)
        rewired.save(path, fingerprint)
        return rewired

    return cached(lambda: RewiredEdges.load(path, fingerprint), make, path)


def make_edges(dataset: Data, rewiring: RewiringSettings) -> RewiredEdges:
    """Apply a rewiring to the undirected edges of a dataset, with random numbers from the setting `seed`.

    Args:
        rewiring: the settings of a rewiring other than `none`.
    """
    assert rewiring.target is not None and rewiring.seed is not None, "the yaml of every rewiring sets both"
    generator = torch.Generator().manual_seed(rewiring.seed)
    function: Callable[..., Tensor] = get_method(rewiring.target)

    def change(edges: Tensor, nodes: int) -> Tensor:
        return function(edges, nodes, generator, **rewiring.arguments)

    before, y = dataset.edge_index, dataset.y
    if isinstance(dataset, GraphSet):
        from torch_geometric.utils import to_undirected

        before = to_undirected(before, num_nodes=dataset.num_nodes)
    if not isinstance(dataset, Dataset) or y.is_floating_point():  # the nodes have no classes
        y = torch.full((dataset.num_nodes,), -1)
    if isinstance(dataset, GraphCollection):
        edge_index = rewired_blocks(before, dataset.ptr, change)
    else:
        edge_index = change(before, dataset.num_nodes)
    highest = int(edge_index.max()) if edge_index.numel() else -1
    num_nodes = max(dataset.num_nodes, highest + 1)
    return RewiredEdges(edge_index, num_nodes, rewiring_statistics(before, edge_index, y, num_nodes))


def rewired_blocks(edge_index: Tensor, ptr: Tensor, change: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Rewire each of several disjoint graphs separately; new nodes come after all others.

    Args:
        edge_index: (2, m), both directions of every undirected edge.
        ptr: graph i has the nodes ptr[i] to ptr[i + 1] - 1.
        change: the rewiring method: edges and number of nodes of one graph -> its new edges.

    Raises:
        UserError: a graph cannot be rewired.
    """
    edges, pieces, highest = BlockEdges(edge_index, ptr), [], int(ptr[-1])
    for number, (first, last) in enumerate(pairwise(ptr.tolist())):
        nodes = last - first
        try:
            rewired = change(edges.edges[number], nodes)
        except UserError as error:
            raise UserError(f"graph {number} of the set: {error}") from None
        pieces.append(rewired + torch.where(rewired < nodes, first, highest - nodes))
        highest = max(highest, int(pieces[-1].max()) + 1) if rewired.numel() else highest
    rewired = torch.cat(pieces, 1)
    return rewired[:, (rewired[0] * highest + rewired[1]).argsort()]


def statistics_file(settings: Settings, folder: Path | None = None) -> Path:
    """The file that the command writes: `prepared/rewired/cora-fosr.json`."""
    return prepared_file(settings.dataset, folder).parent / "rewired" / f"{_pair(settings)}.json"


def _pair(settings: Settings) -> str:
    return f"{file_name(settings.dataset.label)}-{settings.rewiring.name}"


def _task(config: DictConfig) -> None:
    settings = validate(config, dict(HydraConfig.get().runtime.choices))
    if settings.rewiring.name == "none":
        raise UserError("rewiring=none changes nothing: choose another, such as rewiring=random")
    dataset, data_hash = load(settings.dataset)
    check_rewirable(dataset, settings.rewiring.name)
    rewired = cached_edges(dataset, data_hash, settings)
    path = statistics_file(settings)
    rewired.write_statistics(path)
    changes = f"{rewired.statistics['edges_added']} edges added, {rewired.statistics['edges_removed']} removed"
    print(f"rewired {settings.dataset.label}, {changes}: {relative(path)}")


def command() -> None:
    """Compose the config and run; ends the process."""
    main(_task)
