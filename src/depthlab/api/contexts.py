"""Work in somebody else's process, such as a notebook, and leave it as it was."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from depthlab.cli import explain
from depthlab.config.errors import UserError

SMALLEST = 1e-40  # a denormal number in float32


@contextmanager
def user_errors() -> Iterator[None]:
    """Context in which every error that has a sentence is a UserError, and torch does not warn of sparse tensors."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*(Sparse CSR|[Ss]parse invariant).*")
            yield
    except UserError:
        raise
    except Exception as error:
        if (sentence := explain(error)) is None:
            raise
        raise UserError(sentence) from error


@contextmanager
def preserve_process_state() -> Iterator[None]:
    """Context of a run: errors as in `sentences`, and what a run sets for its process is set back at the end.

    These are the filters of warnings, the number of threads, the treatment of denormal numbers and the level of
    Lightning's logger. A run restores its signal handlers itself.
    """
    logger, threads, flushed = logging.getLogger("pytorch_lightning"), torch.get_num_threads(), _flushes_denormals()
    level = logger.level
    try:
        with warnings.catch_warnings(), user_errors():
            yield
    finally:
        logger.setLevel(level)
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)


def _flushes_denormals() -> bool:
    return not float(torch.tensor([SMALLEST]) * 1.0)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Context in which a network is in evaluation mode; its own modes and torch's random numbers are set back.

    Each module gets its own mode again, since some may be frozen in evaluation mode during training.
    """
    modes = [(module, module.training) for module in network.modules()]
    devices = sorted({p.device.index or 0 for p in network.parameters() if p.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices):
            network.eval()
            yield
    finally:
        for module, mode in modes:
            module.training = mode
