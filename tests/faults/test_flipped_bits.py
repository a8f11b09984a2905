"""A flipped bit in a prepared file is noticed, and the file made again as it was; in a checkpoint it is noticed."""

import random
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import torch

from depthlab.config.errors import ResumeError
from depthlab.config.settings import compose_settings
from depthlab.data.cluster import kept_partition
from depthlab.data.prepare import load, prepare
from depthlab.data.rewire import cached_edges
from depthlab.files import save_torch
from depthlab.graph.neighbours import Neighbours
from depthlab.training.checkpoint import AGREEING, read_checkpoint

Tally = Callable[[str, bool], None]
TRIES = 40
MAPPED = ["dataset=sbm_large", "dataset.nodes=300", "dataset.degree=6", "dataset.block_size=20", "dataset.features=8"]


def flipped(path: Path, generator: random.Random) -> bytes:
    """Flip one bit of a file, as a disk might; returns what it held before."""
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


def settings(*typed: str) -> dict[str, Any]:
    return compose_settings([*typed, "recipe=none"])


@pytest.mark.parametrize("name", ["texas", "cora", "csbm", "ring_transfer"])
def test_prepared_graph(project: Path, tally: Tally, name: str) -> None:
    config = settings(f"dataset={name}")["dataset"]
    path = prepare(config)
    whole, generator = load(config)[0], random.Random(name)
    written = path.read_bytes()
    for _ in range(TRIES):
        flipped(path, generator)
        found = load(config)[0]
        tally(f"a flipped bit in {name}.pt", same(found, whole) and path.read_bytes() == written)


@pytest.mark.parametrize("name", ["contents.json", *(f"{field}.npy" for field in ("x", "edge_index", "y", "train"))])
def test_graph_that_stays_on_disk(project: Path, tally: Tally, name: str) -> None:
    config = settings(*MAPPED)["dataset"]
    dataset, fingerprint = load(config)
    whole = type(dataset)(**{field.name: getattr(dataset, field.name).clone() for field in fields(dataset)})
    folder, generator = project / "prepared" / "sbm_large" / fingerprint[:8], random.Random(name)
    for _ in range(TRIES):
        before = flipped(folder / name, generator)
        tally(f"a flipped bit in {name}", same(load(config)[0], whole) and (folder / name).read_bytes() == before)


def test_rewired_edges(project: Path, tally: Tally) -> None:
    typed = settings("dataset=csbm", "dataset.nodes=60", "rewiring=random")
    dataset, data_hash = load(typed["dataset"])
    whole, generator = cached_edges(dataset, data_hash, typed), random.Random("rewired")
    (path,) = (project / "prepared" / "rewired").glob("*.pt")
    written = path.read_bytes()
    for _ in range(TRIES):
        flipped(path, generator)
        found = cached_edges(dataset, data_hash, typed)
        tally("a flipped bit in rewired edges", same(found, whole) and path.read_bytes() == written)


def test_partition(project: Path, tally: Tally) -> None:
    typed = settings(*MAPPED, "loader=cluster", "loader.parts=6")
    dataset, data_hash = load(typed["dataset"])

    def cut() -> torch.Tensor:
        return kept_partition(Neighbours.of(dataset.edge_index, 300), data_hash, typed["dataset"], 6)

    whole, generator = cut(), random.Random("partition")
    (path,) = (project / "prepared" / "partitions").glob("*.pt")
    written = path.read_bytes()
    for _ in range(TRIES):
        flipped(path, generator)
        tally("a flipped bit in a partition", torch.equal(cut(), whole) and path.read_bytes() == written)


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
