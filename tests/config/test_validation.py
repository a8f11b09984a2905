"""What may not be set ends in one sentence."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.settings import flatten, to_dict
from depthlab.config.validation import validate


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 1, "seed": 0, "p_drop": 0.0, "dropout": 0.0, "weight_decay": 0.0, "model.alpha": 0,
         "model.theta": 1e-9, "measures": [], "trainer.threads": 1},
        {"seed": 4294967295, "p_drop": 0.998, "dropout": 0.002, "model.alpha": 1,
         "trainer.threads": None, "split": "random"},
    ],
    ids=["lower", "upper"],
)  # fmt: skip
def test_limits_that_belong_to_the_range(settings: dict[str, Any]) -> None:
    typed = [f"{key}={'null' if value is None else value}" for key, value in settings.items()]
    assert flatten(to_dict(compose_settings(typed))).items() >= settings.items()


def test_settings_of_settings_cannot_be_replaced_by_a_number() -> None:
    settings = to_dict(compose_settings([]))
    choices = {"trainer": "cpu", "recipe": "published"}
    choices |= {"model": "gcnii", "dataset": "cora", "rewiring": "none", "loader": "full"}
    choices |= {"optimizer": "adam", "lr_scheduler": "none"}
    validate(OmegaConf.create(settings), choices)
    settings["dataset"] |= {"more": 3}
    with pytest.raises(UserError, match=r"^there is no setting dataset"):
        validate(OmegaConf.create(settings), choices)
