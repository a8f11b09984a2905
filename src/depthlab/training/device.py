"""Where a run computes: on a GPU if it was asked for and there is one."""

import sys
from dataclasses import replace

import torch

from depthlab.config.errors import UserError
from depthlab.config.schema import Settings
from depthlab.graph.batches import Batches, OneGraph


def on_what_is_here(settings: Settings) -> Settings:
    """The settings, with the processor instead of a GPU where there is none: a sentence says so.

    Raises:
        UserError: there are GPUs, but fewer than processes of this machine.
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
    """The same, kept on the device if it is one graph; batches that are made anew travel one by one."""
    return OneGraph(batches.probe.to(device)) if isinstance(batches, OneGraph) else batches
