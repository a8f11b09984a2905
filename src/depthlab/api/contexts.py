"""Context managers that restore the state of the user's process and network."""

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
    """Raise known errors as UserError, and hide torch's warnings about sparse tensors."""
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
    """Restore the state of the process after a run, and raise errors as in `user_errors`.

    This covers the warning filters, the number of threads, the treatment of denormal numbers and the level of
    Lightning's logger. The run restores its signal handlers itself.
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
    """Put a network in evaluation mode, then restore the mode of each module and torch's random numbers.

    Modes are restored one by one, because some modules may be frozen in evaluation mode during training.
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
