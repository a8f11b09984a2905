"""Context managers that restore the state of the user's process and network."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

from depthlab.cli import explain
from depthlab.config.errors import UserError

SMALLEST = 1e-40  # a denormal number in float32
LOGGERS = ("alembic", "mlflow", "pytorch_lightning")  # whose level a run raises


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

    This covers the warning filters, the number of threads, the treatment of denormal numbers, torch's random numbers
    and the levels of loggers. The run restores its signal handlers itself.
    """
    threads, flushed = torch.get_num_threads(), _flushes_denormals()
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    try:
        with warnings.catch_warnings(), preserve_random_numbers(), user_errors():
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)


def preserve_random_numbers() -> AbstractContextManager[None]:
    """Restore torch's random numbers, on every device that is in use."""
    return torch.random.fork_rng(range(torch.cuda.device_count()) if torch.cuda.is_initialized() else [])


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
