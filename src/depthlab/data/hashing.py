"""Hash of a dataset that has no files."""

import hashlib

import numpy as np

from depthlab.data.dataset import Dataset
from depthlab.data.graph_collection import GraphCollection


def tensor_hash(dataset: Dataset | GraphCollection) -> str:
    """Hash of all tensors of a dataset, with their names, types and shapes."""
    total = hashlib.sha256()
    for name, tensor in sorted(dataset.tensors.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        total.update(np.ascontiguousarray(tensor.numpy()).data)
    return total.hexdigest()
