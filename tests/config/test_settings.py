"""From a composed config to the settings, and their hashes."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from depthlab.config.compose import compose_config, compose_settings
from depthlab.config.schema import OPTION_GROUPS
from depthlab.config.settings import config_hash, from_dict, make_option, option_dict, parse, resume_hash, to_dict


@pytest.mark.parametrize(("dataset", "monitor"), [("minesweeper", "val_roc_auc"), ("texas", "val_loss")])
def test_the_tested_state_is_selected_by_the_metric_of_the_dataset(dataset: str, monitor: str) -> None:
    assert compose_settings([f"dataset={dataset}", "recipe=none"]).monitor == monitor


def test_config_hash() -> None:
    settings = compose_settings([])
    base = config_hash(settings)
    depth = f"depth={settings.depth}"  # typed or not, it is the same
    for same in ("progress=false", "ckpt=last", "checkpoint_every=7", "tracking.uri=http://here", depth):
        assert config_hash(compose_settings([same])) == base, same
    others = ["lr=0.5", "seed=1", "split=random", "model.star=true", "model=gcn", "dataset=texas", "p_drop=0.1"]
    for other in (*others, "rewiring=random", "rewiring=fosr", "loader=cluster", "loader=cluster loader.parts=20"):
        assert config_hash(compose_settings(other.split())) != base, other
    assert config_hash(compose_settings(["lr=1"])) == config_hash(compose_settings(["lr=1.0"]))


def test_a_hash_without_a_setting_changes_no_settings() -> None:
    typed = ["model=module", "model.target=torch_geometric.nn.models.GCN"]
    two, three = (compose_settings([*typed, f"+model.args.num_layers={number}"]) for number in (2, 3))
    before, without = resume_hash(two), ["model.args.num_layers"]
    assert resume_hash(two, without) == resume_hash(three, without) != before
    assert resume_hash(two) == before != resume_hash(three)


def test_results_of_another_device_are_another_experiment_that_the_same_checkpoint_can_go_on_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu, gpu = (compose_settings([f"trainer={name}"]) for name in ("cpu", "gpu"))
    assert config_hash(cpu) != config_hash(gpu) and resume_hash(cpu) == resume_hash(gpu)
    before = config_hash(cpu)
    monkeypatch.setattr("depthlab.config.settings.RANDOM_NUMBERS", 2)
    assert config_hash(cpu) != before


def test_compiled_layers_are_another_experiment_for_networks_that_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for model, counts in (("gcnii", True), ("gat", False)):
        for device in ("cpu", "gpu"):
            found = set()
            for library in (None, object()):
                monkeypatch.setattr("depthlab.compiler.kernel", lambda library=library: library)
                found.add(config_hash(compose_settings([f"model={model}", f"trainer={device}"])))
            assert (len(found) == 2) == (counts and device == "cpu"), (model, device)


def test_hashes_know_of_a_trainer_what_changes_a_result() -> None:
    parts = ["dataset=sbm_large", "loader=cluster"]

    def of(*typed: str) -> tuple[str, str]:
        settings = compose_settings([*parts, *typed])
        return config_hash(settings), resume_hash(settings)

    assert of() == of("trainer.threads=1") == of("trainer=ddp", "trainer.devices=1")
    assert of("trainer=ddp") == of("trainer=ddp", "trainer.devices=1", "trainer.num_nodes=2")
    kinds = [of(), of("trainer=ddp"), of("trainer=ddp", "trainer.devices=4"), of("trainer.precision=bf16")]
    assert [len(set(hashes)) for hashes in zip(*kinds, strict=True)] == [4, 4]


def test_parse_makes_options_without_limits_and_a_split_that_is_a_word() -> None:
    settings = parse(*compose_config(["dataset=texas", "split=3", "rewiring=random", "rewiring.seed=4"]))
    assert (settings.model.name, settings.rewiring.name, settings.loader.name) == ("gcnii", "random", "full")
    assert settings.split == "3" and "limits" not in settings.model.arguments
    assert settings.rewiring.arguments == {"num_edges": 50} and settings.rewiring.seed == 4


@pytest.mark.parametrize("typed", ["dataset=cora", "dataset=csbm rewiring=fosr", "dataset=sbm_large loader=cluster",
                                   "dataset=npz dataset.path=a.npz", "dataset=folder dataset.path=a"])  # fmt: skip
def test_to_dict_gives_back_what_was_composed(typed: str) -> None:
    config, choices = compose_config(typed.split())
    composed: Any = OmegaConf.to_container(config, resolve=True)
    for group in OPTION_GROUPS:
        composed[group].pop("limits", None)
    composed["split"] = str(composed["split"])
    if composed["dataset"]["name"] is None:  # that of the file
        composed["dataset"]["name"] = "a"
    assert to_dict(parse(config, choices)) == composed


def test_an_argument_called_name_is_not_the_name_of_the_option() -> None:
    content = {"_target_": "networks.Sage", "name": "mean", "target": 1, "arguments": {"seed": None}}
    option = make_option("model", "sage", content)
    assert (option.name, option.target) == ("sage", "networks.Sage")
    assert option.arguments == {"name": "mean", "target": 1, "arguments": {"seed": None}}
    assert option_dict("model", option) == content


def test_home_is_expanded_in_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    typed = ["dataset=npz", "dataset.path='~/g.npz'", "ckpt='~/last.ckpt'"]
    settings = compose_settings(typed)
    assert (settings.dataset.path, settings.ckpt) == ("/home/me/g.npz", "/home/me/last.ckpt")
    assert config_hash(settings) == config_hash(compose_settings(["dataset=npz", "dataset.path=/home/me/g.npz"]))
    assert compose_settings(["dataset=npz", "dataset.path='~nobody-here/g'"]).dataset.path == "~nobody-here/g"


@pytest.mark.parametrize(
    ("options", "key", "whole"),
    [("dataset=csbm", "dataset.degree", 7), ("dataset=sbm_large", "dataset.degree", 20),
     ("dataset=csbm", "dataset.homophily", 1), ("rewiring=sdrf", "rewiring.tau", 5),
     ("model=gcnii", "model.theta", 1), ("model=acmp", "model.repulsion", 2)],
)  # fmt: skip
def test_a_whole_number_is_a_float_where_the_default_is(options: str, key: str, whole: int) -> None:
    one, other = (compose_settings([options, f"{key}={typed}"]) for typed in (whole, float(whole)))
    group, name = key.split(".")
    assert type(getattr(one, group).arguments[name]) is type(getattr(other, group).arguments[name]) is float
    assert config_hash(one) == config_hash(other)


def test_a_float_without_a_fraction_is_an_integer_where_the_default_is() -> None:
    config, choices = compose_config(["dataset=csbm"])
    for nodes in (300, 300.0):
        config.dataset.nodes = nodes
        assert type(parse(config, choices).dataset.arguments["nodes"]) is int


def test_settings_from_their_plain_types() -> None:
    made = compose_settings(["model=gcnii", "dataset=csbm", "rewiring=random", "loader=full", "p_drop=0.2"])
    names = {group: getattr(made, group).name for group in OPTION_GROUPS}
    usual = compose_settings(["recipe=none"])
    assert from_dict(to_dict(made), names, usual) == made
    older = {key: value for key, value in to_dict(made).items() if key != "norm"}
    older["tracking"] = {"uri": None, "experiment": "mine", "gone": 1}
    found = from_dict(older | {"gone": 1}, {}, usual)
    assert (found.norm, found.tracking.experiment) == ("none", "mine")
    assert found.tracking.artifacts == usual.tracking.artifacts
    assert (found.model.name, found.rewiring.target) == ("gcnii", made.rewiring.target)
