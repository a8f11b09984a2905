"""A real graph without a download: scikit-learn's handwritten digits, joined to their nearest neighbours."""

from pathlib import Path

import torch
from sklearn.datasets import load_digits

from depthlab.data.dataset import Dataset
from depthlab.data.splits import fraction_masks


def make_digits(files: list[Path], neighbors: int = 10, seed: int = 0) -> Dataset:
    """1,797 images of 8 x 8 pixels, ten classes, as a symmetric k-nearest-neighbour graph (Franceschi et al. 2019).

    i and j are joined if either is among the k nearest (Euclidean) of the other. Ten stratified splits: about 50
    training nodes, 100 for validation, the rest test, the sizes of that paper.

    Args:
        files: none; the images come with scikit-learn.
        neighbors: k >= 1.
        seed: seed of the splits.
    """
    images = load_digits()
    x = torch.from_numpy(images.data).float() / 16  # pixels are integers 0..16
    pixels = torch.from_numpy(images.data)
    squares = pixels.square().sum(1)
    distance = squares[:, None] + squares - 2 * pixels @ pixels.T  # integers, so exact: ties are broken by node number
    nearest = distance.fill_diagonal_(torch.inf).argsort(dim=1, stable=True)[:, :neighbors]
    edge_index = torch.stack([torch.arange(len(pixels)).repeat_interleave(neighbors), nearest.flatten()])
    y = torch.from_numpy(images.target).long()
    masks = fraction_masks(y, count=10, train=50 / 1797, val=100 / 1797, seed=seed)
    return Dataset(x, edge_index, y, *masks)
