"""The next command after a run."""

import shlex

import pytest

from depthlab.config.compose import compose_settings
from depthlab.measures.diagnosis import VERDICTS
from depthlab.training.next_command import NEXT, next_command


def command(verdict: str, *overrides: str, epochs: int = 1) -> list[str]:
    words, _, typed = next_command(verdict, compose_settings(list(overrides)), overrides, epochs).rpartition(": ")
    return shlex.split(typed)[2:] if words else []


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_has_a_command_whose_settings_are_valid(verdict: str) -> None:
    typed = command(verdict, "dataset=csbm", "model=gcn", "depth=8", "lr=0.01")
    assert set(NEXT) == set(VERDICTS)
    assert "dataset=csbm" in typed
    assert typed != ["dataset=csbm", "model=gcn", "depth=8", "lr=0.01"]
    compose_settings(typed)


def test_the_change_replaces_what_was_typed() -> None:
    assert command("healthy", "dataset=csbm", "depth=8") == ["dataset=csbm", "depth=16"]
    assert command("diverged", "dataset=csbm", "lr=10") == ["dataset=csbm", "lr=1"]
    typed = command("over-smoothed", "dataset=csbm", "model=appnp", "model.alpha=0.2", "depth=8")
    assert typed == ["dataset=csbm", "model=gcnii", "depth=8"]


def test_there_is_none_where_it_was_tried_already() -> None:
    assert command("over-smoothed", "dataset=csbm", "model=gcnii") == []
    assert command("over-squashed", "dataset=csbm", "rewiring=fosr") == []


def test_a_run_that_early_stopping_did_not_end_gets_more_epochs() -> None:
    typed = ["dataset=csbm", "model=gcn", "epochs=20"]
    assert command("under-fitted", *typed, epochs=20) == ["dataset=csbm", "model=gcn", "epochs=200"]
    assert command("under-fitted", *typed, epochs=19) == ["dataset=csbm", "model=mlp", "epochs=20"]
    assert command("over-smoothed", *typed, epochs=20) == ["dataset=csbm", "model=gcnii", "epochs=20"]
