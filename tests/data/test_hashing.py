"""The hash of tensors."""

from dataclasses import replace

import torch

from depthlab.data.dataset import Dataset
from depthlab.data.hashing import tensor_hash

MASK = torch.ones(1, 3, dtype=torch.bool)
SMALL = Dataset(torch.ones(3, 2), torch.tensor([[0, 1], [1, 0]]), torch.arange(3), MASK, MASK, MASK)


def test_every_tensor_counts_and_nothing_else() -> None:
    hashes = {tensor_hash(SMALL)}
    changed = {"x": torch.zeros(3, 2), "edge_index": torch.tensor([[0, 2], [2, 0]]), "y": torch.zeros(3).long(),
               "train": ~MASK, "val": ~MASK, "edge_weight": torch.ones(2)}  # fmt: skip
    for name, tensor in changed.items():
        hashes.add(tensor_hash(replace(SMALL, **{name: tensor})))  # type: ignore[arg-type]
    assert len(hashes) == 1 + len(changed)
    assert tensor_hash(replace(SMALL, class_names=["a", "b", "c"])) == tensor_hash(SMALL)
    assert tensor_hash(replace(SMALL, x=SMALL.x.T.contiguous().T)) == tensor_hash(SMALL)
