"""Reader of the Planetoid files ind.NAME.{x,tx,allx,y,ty,ally,graph,test.index} (Yang et al. 2016)."""

import warnings
from pathlib import Path

import numpy as np
import torch

from depthlab.config.errors import UserError
from depthlab.data.dataset import Dataset
from depthlab.data.raw_files import listed

PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")  # PyG reads all of them, so all must be verified


def read_planetoid(files: list[Path]) -> Dataset:
    """Cora, Citeseer or Pubmed with the public split, by PyG's own reader of the format.

    15 nodes of Citeseer have neither features nor a class in the raw files; they stay in the graph with zero features,
    class -1 and their 16 edges. 124 nodes of Citeseer have a self-loop in the raw files. The official loaders
    keep these edges, so that such a node counts itself twice in A + I; PyG's reader drops them.

    Args:
        files: the eight files. Seven are pickles, which can run code: each must match `raw_files.tsv`.

    Raises:
        UserError: a file does not match `raw_files.tsv`, or its content is not in the format.
    """
    from torch_geometric.io import read_planetoid_data

    name = files[0].name.split(".")[1]
    if {file.name for file in files} != {f"ind.{name}.{part}" for part in PARTS} or len({f.parent for f in files}) != 1:
        raise UserError(f"a Planetoid dataset needs ind.{name}.{{{','.join(PARTS)}}} in one folder")
    for known, path in zip(listed(f"planetoid/{file.name}" for file in files), files, strict=True):
        if not known.matches(path):
            raise UserError(f"{path.name} is a pickle whose hash is not in raw_files.tsv, so it is not read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the pickles name modules of old NumPy and SciPy
            data = read_planetoid_data(str(files[0].parent), name)
        test = np.loadtxt(next(f for f in files if f.name.endswith("test.index")), dtype=np.int64)
    except Exception as error:
        raise UserError(f"the Planetoid files of {name} cannot be read ({type(error).__name__}: {error})") from None
    y = data.y.clone()
    absent = np.setdiff1d(np.arange(test.min(), test.max() + 1), test)
    y[torch.from_numpy(absent)] = -1
    masks = (data.train_mask[None], data.val_mask[None], data.test_mask[None])
    return Dataset(data.x.float(), data.edge_index, y, *masks)
