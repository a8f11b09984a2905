"""Convert raw files to one prepared file, which is safe to load, and a JSON file of graph statistics.

depthlab prepare dataset=cora       what the `prepare` stage of dvc.yaml runs
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_method
from omegaconf import DictConfig
from torch import Tensor

from depthlab.cli import main
from depthlab.config.closure import code_hash, digest
from depthlab.config.errors import DamagedError, UserError
from depthlab.config.option_types import DatasetSettings
from depthlab.config.validation import validate
from depthlab.data.dataset import Dataset
from depthlab.data.edges import with_edges
from depthlab.data.graph_collection import GraphCollection
from depthlab.data.graph_set import GraphSet
from depthlab.data.hashes import arguments, data_hash
from depthlab.data.hashing import tensor_hash
from depthlab.data.mapped import cached_mapped, save_mapped
from depthlab.data.own import reading
from depthlab.data.raw import mapped_folder, prepared_file, raw_files
from depthlab.data.sizes import in_words
from depthlab.files import atomic_write, cached, lock_of, write_json
from depthlab.folders import relative
from depthlab.graph.bottleneck import bottleneck_statistics
from depthlab.graph.statistics import DIGITS, graph_statistics, topology

PINNED = 8  # minimum number of digits of dataset.data_hash
Data = Dataset | GraphSet | GraphCollection


def load(settings: DatasetSettings, folder: Path | None = None) -> tuple[Data, str]:
    """The dataset of a config, from its prepared file if that is up to date, else from the raw files.

    Args:
        settings: of the dataset, as in `conf/dataset/*.yaml`.
        folder: folder of prepared files.

    Returns:
        The dataset and its data hash, which covers every file that is read and the settings that shape the graph.

    Raises:
        UserError: a raw file is missing, unverified or corrupt.
    """
    dataset, data = _load(settings, folder)
    if isinstance(dataset, GraphSet) or settings.random_split is None:
        return dataset, data
    notes = dataset.notes
    if not len(dataset.train):
        notes = [*notes, f"split=K is drawn at random with seed K: {in_words(settings.random_split)}"]
    return replace(dataset, sizes=settings.random_split, notes=notes), data


def _load(settings: DatasetSettings, folder: Path | None) -> tuple[Data, str]:
    if settings.hash_tensors:
        return _hashed(settings)
    data = data_hash(settings)
    fingerprint = prepared_hash(settings, data)
    if settings.mapped:
        return cached_mapped(
            lambda: _unchanged(settings, data), mapped_folder(settings, data, folder), fingerprint
        ), data
    path = prepared_file(settings, folder)
    kind = _kind(settings)
    if not (settings.files or settings.path_files):  # making a graph is cheaper than a file for each of its settings
        with suppress(DamagedError):  # such a file is replaced below
            return kind.load(path, fingerprint) or _unchanged(settings, data), data

    def make() -> Data:
        dataset = _unchanged(settings, data)
        dataset.save(path, fingerprint)
        return dataset

    return cached(lambda: kind.load(path, fingerprint), make, path), data


def prepare(settings: DatasetSettings, folder: Path | None = None) -> Path:
    """Write `<name>.pt` and `<name>.json`; returns the path of the first.

    For a dataset that stays on disk, write a folder of arrays and a JSON file beside it, named by the data hash.
    """
    from torch_geometric.utils import to_undirected

    if settings.hash_tensors:
        dataset, data = _hashed(settings)
    else:
        data = data_hash(settings)
        dataset = _unchanged(settings, data)
    fingerprint = prepared_hash(settings, data)
    path = mapped_folder(settings, data, folder) if settings.mapped else prepared_file(settings, folder)
    if isinstance(dataset, GraphSet):
        statistics: dict[str, Any] = {"graphs": len(dataset.y), "features": dataset.width}
        statistics |= {} if dataset.y.is_floating_point() else {"classes": int(dataset.y.max()) + 1}
        statistics |= {"task_range": dataset.task_range}
        statistics |= topology(dataset.edge_index, dataset.num_nodes)
        edge_index = to_undirected(dataset.edge_index, num_nodes=dataset.num_nodes)
    elif isinstance(dataset, GraphCollection):
        sizes, edge_index = dataset.ptr.diff(), dataset.edge_index
        statistics = {"graphs": dataset.num_graphs, "features": dataset.x.shape[1]}
        statistics |= {} if dataset.y.is_floating_point() else {"classes": int(dataset.y.max()) + 1}
        statistics |= {
            "nodes_per_graph": {"min": int(sizes.min()), "mean": float(sizes.float().mean()), "max": int(sizes.max())}
        }
        statistics |= topology(edge_index, dataset.num_nodes)
    else:
        edge_index = to_undirected(dataset.edge_index) if dataset.directed else dataset.edge_index
        statistics = dict(graph_statistics(dataset.x, edge_index, dataset.y))
        statistics |= {"directed_edges": dataset.edge_index.shape[1]} if dataset.directed else {}
    statistics |= bottleneck_statistics(edge_index, dataset.num_nodes)
    with lock_of(path), atomic_write(path.with_suffix(".json")) as part:  # a run that starts now waits
        write_json(part, statistics, DIGITS)  # first, so that both files are unchanged if the disk is full
        if settings.mapped:
            save_mapped(dataset, path, fingerprint)
        else:
            dataset.save(path, fingerprint)
    return path


def _kind(settings: DatasetSettings) -> type[Dataset] | type[GraphSet] | type[GraphCollection]:
    if not settings.has_many_graphs:
        return Dataset
    return GraphSet if settings.pooling is None else GraphCollection


def read(settings: DatasetSettings) -> Data:
    """Read or generate the graph: undirected, sorted, without self-loops, features row-normalised if set.

    The graphs of a `GraphSet` are not changed: the edges of a tree have one direction.

    Raises:
        UserError: as the reader; or `dataset.batch_size` is set for one graph, or not set for many.
    """
    with reading(settings, raw_files(settings)) as files:
        raw: Data = get_method(settings.target)(files, **arguments(settings))
    if isinstance(raw, Dataset) == settings.has_many_graphs:
        source = settings.path or settings.name
        if isinstance(raw, Dataset):
            raise UserError(f"{source} holds one graph: leave out dataset.batch_size, which is for many graphs")
        raise UserError(
            f"{source} holds {raw.num_graphs:,} graphs: add dataset.batch_size=64, the number of graphs per training"
            " step"
        )
    if isinstance(raw, GraphSet):
        return raw
    x = row_normalized(raw.x, settings.name) if settings.normalize_features else raw.x
    return with_edges(replace(raw, x=x), bool(settings.directed))


def _unchanged(settings: DatasetSettings, data: str) -> Data:
    """As `read`, but raises UserError if the user's files change while they are read."""
    dataset = read(settings)
    if settings.is_own and data_hash(settings) != data:
        raise UserError(f"{settings.path} was changed while it was read: start again")
    return dataset


def _hashed(settings: DatasetSettings) -> tuple[Data, str]:
    """A dataset without files, and the hash of its tensors; raises UserError if dataset.data_hash differs."""
    dataset = read(settings)
    assert not isinstance(dataset, GraphSet), "graphs of one topology are hashed by the settings that generate them"
    found, wanted = digest([tensor_hash(dataset)]), settings.data_hash
    if wanted is not None and not (len(str(wanted)) >= PINNED and found.startswith(str(wanted))):
        raise UserError(
            f"{settings.label} has the hash {found}, but dataset.data_hash={wanted} requires another: its tensors have"
            " changed; leave out dataset.data_hash to accept them"
        )
    return dataset, found


def prepared_hash(settings: DatasetSettings, data: str) -> str:
    """Fingerprint of a prepared file, which is written again if the data or the code that reads it has changed."""
    return digest([data, code_hash(*settings.targets, __name__)])


def row_normalized(x: Tensor, name: str) -> Tensor:
    """Each row divided by its sum, rows of zeros left as they are.

    Raises:
        UserError: a number is negative, so that a sum may be near zero or negative, or a sum is not finite.
    """
    total = x.sum(1, keepdim=True)
    for wrong, what in (((x < 0).any(1), "has negative features"), (~total.view(-1).isfinite(), "has no finite sum")):
        if wrong.any():
            node = int(wrong.nonzero()[0])
            raise UserError(
                f"dataset.normalize_features=true divides the features of each node by their sum, but node {node} of"
                f" {name} {what}: use dataset.normalize_features=false, and scale the features yourself"
            )
    return x / torch.where(total == 0, 1.0, total)


def _task(config: DictConfig) -> None:
    path = prepare(validate(config, dict(HydraConfig.get().runtime.choices)).dataset)
    print(f"prepared {relative(path)} and {path.with_suffix('.json').name}")


def command() -> None:
    """Compose the config and run; ends the process."""
    main(_task)
