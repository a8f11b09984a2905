"""What a process of a run trains, and on what: data, network and checkpoint."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import torch
from torch import distributed

from depthlab.data.prepare import load
from depthlab.data.rewire import Rewired, rewire
from depthlab.graph.batches import Batches
from depthlab.graph.cluster import ClusterBatches
from depthlab.tasks.task import make_task
from depthlab.training.build import build_model
from depthlab.training.checkpoint import read_checkpoint
from depthlab.training.identity import identity_of, resumable
from depthlab.training.memory import decide_memory
from depthlab.training.module import TrainingModule
from depthlab.training.ranks import check_same


def use_threads(trainer: dict[str, Any]) -> None:
    """Use as many threads as are typed; else the ranks of a machine share its cores, and one process has its own."""
    given = _given()
    shared = max(1, joblib.cpu_count() // trainer["devices"]) if trainer["devices"] > 1 else None
    torch.set_num_threads(trainer["threads"] or shared or given)


@functools.cache
def _given() -> int:
    """Threads that this process had before its first run: a multirun goes on with them after one that had others."""
    return torch.get_num_threads()


@dataclass(frozen=True)
class Prepared:
    """What a process trains, on what.

    Attributes:
        model: initialised.
        batches: with the share of this process, if there are several.
        rewired: what a rewiring did, and the data's hash.
        identity: what a checkpoint has to agree with.
        checkpoint, content: what is gone on with, else None.
    """

    model: TrainingModule
    batches: Batches
    rewired: Rewired
    identity: dict[str, str]
    checkpoint: Path | None
    content: dict[str, Any] | None


def prepare(settings: dict[str, Any], folder: Path) -> Prepared:
    """Data, model and checkpoint; every rank of a `trainer=ddp` run makes its own.

    Raises:
        UserError: data cannot be used, there is nothing to resume (`ResumeError`: there is, but it does not belong
            here), or another rank has other data, settings or code.
    """
    dataset, data_hash = load(settings["dataset"])
    task = make_task(settings, dataset)
    rewired = rewire(dataset, data_hash, settings)
    batches, rank, ddp = rewired.batches, 0, settings["trainer"]["strategy"] == "ddp"
    if ddp:
        assert isinstance(batches, ClusterBatches), "validation asks for loader=cluster"
        rank = distributed.get_rank()
        batches = batches.share(rank, distributed.get_world_size())
    model = build_model(decide_memory(settings, batches, task), rewired.graph, task)
    model.network.masks.stream = rank
    identity = identity_of(settings, rewired.data_hash)
    checkpoint = resumable(settings["ckpt"], folder)
    content = read_checkpoint(checkpoint, identity) if checkpoint else None
    if ddp:
        check_same(identity)
    return Prepared(model, batches, rewired, identity, checkpoint, content)
