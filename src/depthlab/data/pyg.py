"""Read a PyG dataset by its class in `torch_geometric.datasets`."""

import difflib
import inspect
import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch_geometric.datasets
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.data import Dataset as PygDataset

from depthlab.config.errors import UserError
from depthlab.data.collect import collect_raw
from depthlab.data.convert import data_arrays, from_arrays
from depthlab.data.dataset import Dataset
from depthlab.data.graph_collection import GraphCollection
from depthlab.data.pt import allowed_classes
from depthlab.files import lock_of
from depthlab.folders import data as data_folder

# classes that generate their graph and download nothing
GENERATED = ("FakeDataset", "KarateClub", "RandomPartitionGraphDataset", "StochasticBlockModelDataset")


def read_pyg(
    files: list[Path],
    name: str,
    args: Mapping[str, Any] | None = None,
    seed: int = 0,
    trust_downloads: bool = False,
    edge_weight: str = "auto",
    task: str = "classification",
) -> Dataset | GraphCollection:
    """Read the graph or graphs of a dataset class in `torch_geometric.datasets`.

    A class that is not in `GENERATED` may download files with PyG's code, which unpickles some of them. The files are
    stored in `pyg/NAME` in the data folder.

    Args:
        files: none.
        name: name of the class.
        args: arguments of its constructor, without `root`.
        seed: seed of torch, NumPy and Python for what the class draws at random.
        trust_downloads: whether PyG may download and unpickle files.
        edge_weight, task: as for `depthlab.data.pt.read_pt`.

    Raises:
        UserError: there is no such class, its arguments are wrong, downloads are not trusted or fail, or it has no
            suitable graph.
    """
    kind = _class(name)
    if name not in GENERATED and not trust_downloads:
        raise UserError(
            f"{name} may download files, and PyG unpickles some of them, which can run code of their publisher:"
            " add dataset.trust_downloads=true if you trust them"
        )
    graphs = _make(kind, dict(args or {}), seed)
    if len(graphs) == 0:
        raise UserError(f"{name} has no graph: correct dataset.args")
    graph = graphs[0]
    if not isinstance(graph, Data):
        raise UserError(f"{name} has several kinds of nodes or edges: choose a dataset with one kind")
    if len(graphs) > 1:
        return collect_raw(list(graphs), edge_weight=edge_weight, task=task, setting="dataset.edge_weight")
    return from_arrays(data_arrays(graph, {"edge_weight": edge_weight}, "dataset.edge_weight"), task)


def _class(name: str) -> type[PygDataset]:
    kind = getattr(torch_geometric.datasets, name, None)
    if not (inspect.isclass(kind) and issubclass(kind, PygDataset | InMemoryDataset)):
        near = difflib.get_close_matches(name, torch_geometric.datasets.__all__, 3, 0.5) or GENERATED
        raise UserError(
            f"torch_geometric.datasets has no class {name}: use dataset.name={near[0]}, or another such as"
            f" {', '.join(GENERATED)}"
        )
    found: type[PygDataset] = kind
    return found


def _make(kind: type[PygDataset], args: dict[str, Any], seed: int) -> PygDataset:
    parameters = inspect.signature(kind).parameters
    takes_root, name = "root" in parameters, kind.__name__
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    known = [key for key in parameters if key not in ("root", "transform", "pre_transform", "pre_filter", "kwargs")]
    for key in args:
        if key not in known and not takes_any:
            raise UserError(f"{name} has no argument {key}: dataset.args must be among {', '.join(known) or 'none'}")
    for key, parameter in parameters.items():
        if key in known and parameter.default is parameter.empty and key not in args:
            raise UserError(f"{name} needs {key}: add dataset.args.{key}=VALUE")
    with ExitStack() as stack:
        root = stack.enter_context(_root(name, args))
        stack.enter_context(_seeded(seed))
        if name in GENERATED:
            stack.enter_context(redirect_stderr(StringIO()))  # Processing... Done!
            # PyG reads back the file that it wrote; without these classes it would unpickle it
            stack.enter_context(allowed_classes())
        if issubclass(kind, torch_geometric.datasets.StochasticBlockModelDataset):
            stack.enter_context(_array_weights())
        try:
            return kind(**args, **({"root": str(root)} if takes_root else {}))
        except Exception as error:  # network errors, invalid arguments, packages that are not installed, ...
            reason = ": ".join(filter(None, [type(error).__name__, str(error).partition("\n")[0]]))
            copy = "" if name in GENERATED else ", or copy its files into the folder of the data"
            raise UserError(f"{name} cannot be created ({reason}): correct dataset.args{copy}") from error


@contextmanager
def _array_weights() -> Iterator[None]:
    """Pass an array to scikit-learn: PyG 2.8 passes a tensor, which scikit-learn 1.9 rejects."""
    from sklearn import datasets

    make = datasets.make_classification

    def make_classification(*args: Any, weights: Any = None, **others: Any) -> Any:
        return make(*args, weights=None if weights is None else np.asarray(weights), **others)

    with patch.object(datasets, "make_classification", make_classification):
        yield


@contextmanager
def _root(name: str, args: Mapping[str, Any]) -> Iterator[Path]:
    """The folder for the files of a class; an empty one for a class that generates its data."""
    if name in GENERATED:
        with TemporaryDirectory(prefix="depthlab-") as folder:
            yield Path(folder)
        return
    root = data_folder() / "pyg" / "-".join([name, *(str(value) for value in args.values() if isinstance(value, str))])
    with lock_of(root):
        yield root


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global random generators that PyG uses, and restore them at the end."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
