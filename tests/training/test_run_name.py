"""What a run is called."""

from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from depthlab.config.compose import compose_settings
from depthlab.config.option_types import ModelSettings
from depthlab.training.run_name import LENGTH, _defaults, run_name


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "cora-gcnii-d64-s0"),
        (["model=gcn", "depth=8", "seed=3"], "cora-gcn-d8-s3"),
        (["dataset=texas", "depth=2", "split=4"], "texas-gcnii-d2-s0-split4"),
        (["split=random", "split_seed=7"], "cora-gcnii-d64-s0-random7"),
        (["dataset=texas", "depth=2", "rewiring=random"], "texas-gcnii-d2-s0-split0-random"),
        (["dataset=texas", "depth=2", "loader=cluster"], "texas-gcnii-d2-s0-split0-cluster"),
        (["model=gcn", "depth=8", "p_drop=0.2"], "cora-gcn-d8-s0-pdrop0.2"),
        (["recipe=none", "depth=8"], "cora-gcnii-d8-s0-dropout0.5-weightdecay0.0005"),
        (["weight_decay=1e-4", "depth=8", "model.alpha=0.3"], "cora-gcnii-d8-s0-alpha0.3-weightdecay0.0001"),
        (["rewiring=fosr", "rewiring.num_edges=7"], "cora-gcnii-d64-s0-fosr-numedges7"),
        (["optimizer=adamw", "lr_scheduler=step", "lr_scheduler.gamma=0.1"], "cora-gcnii-d64-s0-adamw-step-gamma0.1"),
        (["callbacks=device_stats"], "cora-gcnii-d64-s0-device_stats"),
        (
            ["callbacks=device_stats", "callbacks.device_stats.cpu_stats=false"],
            "cora-gcnii-d64-s0-device_stats-cpustatsfalse",
        ),
        (["trainer.precision=bf16", "drop_edge.per_layer=true"], "cora-gcnii-d64-s0-perlayertrue-precisionbf16"),
        (["loader=cluster", "trainer=ddp", "trainer.devices=3"], "cora-gcnii-d64-s0-cluster-devices3-strategyddp"),
        (["progress=false", "trainer.threads=2", "measures=[]", "memory=full", "epochs=1500"], "cora-gcnii-d64-s0"),
    ],
)
def test_a_name_contains_what_differs_from_the_defaults(overrides: list[str], name: str) -> None:
    assert run_name(compose_settings(overrides)) == name


def test_long_names_are_cut_and_stay_distinct() -> None:
    many = ["epochs=9", "patience=7", "hidden=48", "dropout=0.1", "norm=layer", "p_drop=0.1", "weight_decay=0.3"]
    names = [run_name(compose_settings([*many, f"weight_decay_linear={value}"])) for value in (0.1, 0.2)]
    assert names[0] != names[1]
    for name in names:
        assert name.startswith("cora-gcnii-d64-s0-dropout0.1-epochs9-hidden48-normlayer-")
        assert len(name) <= len("cora-gcnii-d64-s0") + LENGTH


def test_the_settings_of_a_network_without_a_yaml_of_that_name_are_left_out() -> None:
    settings = compose_settings(["epochs=9"])
    settings = replace(
        settings, model=ModelSettings(name="networks", target="mine.networks.Net", arguments={"width": 3})
    )
    assert run_name(settings).startswith("cora-networks-d64-s0-")
    assert "width" not in run_name(settings) and "epochs9" in run_name(settings)


def test_a_name_needs_no_resolver_of_hydra() -> None:
    settings = compose_settings(["epochs=9"])
    _defaults.cache_clear()
    for resolver in ("now", "hydra"):  # as in the processes of a study, which Hydra has not started
        OmegaConf.clear_resolver(resolver)
    assert run_name(settings) == "cora-gcnii-d64-s0-epochs9"
