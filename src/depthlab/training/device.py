"""The device of a run: a GPU if `trainer=gpu` and there is one, else the CPU."""

import sys
from dataclasses import replace

import torch

from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.graph.batches import Batches, OneGraph


def with_available_device(settings: Settings) -> Settings:
    """The settings, with the CPU instead of a missing GPU; prints a message about it.

    Raises:
        UserError: there are fewer GPUs than processes on this machine.
    """
    trainer = settings.trainer
    if trainer.accelerator == "cpu":
        return settings
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus == 0:
        print("there is no GPU here that PyTorch can use: training on the processor", file=sys.stderr)
        return replace(settings, trainer=replace(trainer, accelerator="cpu"))
    if trainer.devices > gpus:
        raise UserError(f"trainer.devices={trainer.devices} needs as many GPUs, this machine has {gpus}")
    return settings


def batches_on(batches: Batches, device: torch.device) -> Batches:
    """The batches, moved to the device if they are one graph; other batches are moved when they are made."""
    return OneGraph(batches.probe.to(device)) if isinstance(batches, OneGraph) else batches
