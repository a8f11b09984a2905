"""A flipped bit in a prepared file is detected and the file written again; in a checkpoint it is detected."""

import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from depthlab.config.compose import compose_settings
from depthlab.config.errors import ResumeError
from depthlab.config.schema import Settings
from depthlab.data.cluster import cached_partition
from depthlab.data.prepare import load, prepare
from depthlab.data.rewire import cached_edges
from depthlab.files import save_torch
from depthlab.graph.neighbours import Neighbours
from depthlab.training.checkpoint import AGREEING, read_checkpoint

Tally = Callable[[str, bool], None]
TRIES = 40
MAPPED = ["dataset=sbm_large", "dataset.nodes=300", "dataset.degree=6", "dataset.block_size=20", "dataset.features=8"]


def flipped(path: Path, generator: random.Random) -> bytes:
    """Flip one bit of a file, as a disk might; returns its former content."""
    before = path.read_bytes()
    content = bytearray(before)
    content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)
    return before


def same(one: Any, other: Any) -> bool:
    """Whether two datasets, sets of graphs or rewirings are equal."""
    first, second = asdict(one), asdict(other)
    return all(
        torch.equal(value, second[key]) if isinstance(value, torch.Tensor) else value == second[key]
        for key, value in first.items()
    )


def settings(*typed: str) -> Settings:
    return compose_settings([*typed, "recipe=none"])


def check_repairs(tally: Tally, path: Path, read: Callable[[], Any], original: Any) -> None:
    """Flip bits of a file; each time `read` gives the original content, and the file is written as before."""
    written, generator = path.read_bytes(), random.Random(path.name)
    for _ in range(TRIES):
        flipped(path, generator)
        content = read()
        equal = torch.equal(content, original) if isinstance(original, torch.Tensor) else same(content, original)
        tally(f"a flipped bit in {path.name}", equal and path.read_bytes() == written)


@pytest.mark.parametrize("name", ["texas", "cora", "csbm", "ring_transfer"])
def test_prepared_graph(project: Path, tally: Tally, name: str) -> None:
    config = settings(f"dataset={name}").dataset
    path = prepare(config)
    check_repairs(tally, path, lambda: load(config)[0], load(config)[0])


@pytest.mark.parametrize("name", ["contents.json", *(f"{field}.npy" for field in ("x", "edge_index", "y", "train"))])
def test_graph_that_stays_on_disk(project: Path, tally: Tally, name: str) -> None:
    config = settings(*MAPPED).dataset
    dataset, fingerprint = load(config)
    original = deepcopy(dataset)
    path = project / "prepared" / "sbm_large" / fingerprint[:8] / name
    check_repairs(tally, path, lambda: load(config)[0], original)


def test_rewired_edges(project: Path, tally: Tally) -> None:
    config = settings("dataset=csbm", "dataset.nodes=60", "rewiring=random")
    dataset, data_hash = load(config.dataset)
    original = cached_edges(dataset, data_hash, config)
    (path,) = (project / "prepared" / "rewired").glob("*.pt")
    check_repairs(tally, path, lambda: cached_edges(dataset, data_hash, config), original)


def test_partition(project: Path, tally: Tally) -> None:
    config = settings(*MAPPED, "loader=cluster", "loader.parts=6")
    dataset, data_hash = load(config.dataset)

    def cut() -> torch.Tensor:
        return cached_partition(Neighbours.of(dataset.edge_index, 300), data_hash, config.dataset, 6)

    original = cut()
    (path,) = (project / "prepared" / "partitions").glob("*.pt")
    check_repairs(tally, path, cut, original)


def test_checkpoint(tmp_path: Path, tally: Tally) -> None:
    path, identity, generator = tmp_path / "last.ckpt", dict.fromkeys(AGREEING, "a"), random.Random("checkpoint")
    save_torch({"callbacks": {"Recorder": identity}, "state_dict": {"weight": torch.arange(1000.0)}}, path)
    assert torch.equal(read_checkpoint(path, identity)["state_dict"]["weight"], torch.arange(1000.0))
    for _ in range(TRIES):
        before = flipped(path, generator)
        try:
            read_checkpoint(path, identity)
            tally("a flipped bit in a checkpoint", False)
        except ResumeError as error:
            tally("a flipped bit in a checkpoint", "is damaged (its checksum does not match)" in str(error))
        path.write_bytes(before)
