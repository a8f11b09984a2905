"""Check that a run whose training is cut off at the start of an epoch is resumed to the same weights."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from depthlab.config.schema import Settings
from depthlab.training.identity import checkpoint_folder
from depthlab.training.run import run


def check_resumed_weights(chosen: Settings, batches: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Train without an interruption, then again with an error at epoch 5 and `ckpt=last`.

    Args:
        batches: class of the batches, whose `set_epoch` fails.
    """
    final = checkpoint_folder(chosen) / "final.ckpt"
    expected = run(chosen)
    weights = torch.load(final, weights_only=True)["state_dict"]
    choose = batches.set_epoch

    def fail(self: Any, epoch: int) -> None:
        if epoch == 5:
            raise OSError("the power was cut")
        choose(self, epoch)

    with monkeypatch.context() as scope, pytest.raises(OSError, match="power"):
        scope.setattr(batches, "set_epoch", fail)
        run(chosen)
    resumed = run(replace(chosen, ckpt="last"))
    again = torch.load(final, weights_only=True)["state_dict"]
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    assert resumed.curves == expected.curves
