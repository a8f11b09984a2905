"""Which runs `replicas` stands for, and what is refused in one sentence."""

import re

import pytest

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.settings import config_hash
from depthlab.training.replica_settings import replica_provenance, replica_settings


@pytest.mark.parametrize(("typed", "key", "values"), [
    (["dataset=texas", "replicas=3", "split=2"], "split", ["2", "3", "4"]),
    (["dataset=texas", "replicas=2", "replicate=seed", "seed=5"], "seed", [5, 6]),
    (["replicas=3"], "seed", [0, 1, 2]),
    (["replicas=2", "replicate=split", "split=random", "split_seed=7"], "split_seed", [7, 8]),
])  # fmt: skip
def test_each_replica_has_the_settings_of_a_single_run(typed: list[str], key: str, values: list[object]) -> None:
    settings = compose_settings(typed)
    several = replica_settings(settings)
    assert [getattr(one, key) for one in several] == values
    alone = [word for word in typed if word.split("=")[0] not in ("replicas", "replicate", key)]
    for one, value in zip(several, values, strict=True):
        single = compose_settings([*alone, f"{key}={value}"])
        assert one == single and config_hash(one) == config_hash(single)
    provenance = replica_provenance({key: "default", "replicas": "command line"}, settings)
    assert provenance == {key: "command line", "replicas": "default", "replicate": "default"}


@pytest.mark.parametrize(("typed", "sentence"), [
    (
        ["replicas=2", "lr_scheduler=step"],
        "replicas share one constant learning rate: use lr_scheduler=none, or leave replicas out",
    ),
    (["replicas=0"], "replicas must be a whole number in [1, inf), got 0"),
    (["replicas=2", "replicate=split"], "replicate=split needs several splits, cora has public: use replicate=seed"),
    (
        ["dataset=texas", "replicas=11"],
        "replicas=11 from split=0 on needs split=10, the last is 9: use fewer, or replicate=seed",
    ),
    (
        ["replicas=2", "seed=4294967295"],
        "replicas=2 from seed=4294967295 on needs seed=4294967296, the last is 4294967295: use fewer",
    ),
    (["replicas=2", "norm=batch"], "norm=batch would mix replicas: use norm=none, or leave replicas out"),
    (
        ["replicas=2", "memory=checkpoint"],
        "replicas do not support memory=checkpoint: use memory=full, or leave replicas out",
    ),
    (
        ["replicas=2", "loader=cluster"],
        "replicas need the full graph at every step: use loader=full, or leave replicas out",
    ),
    (
        ["replicas=2", "dataset=ring_transfer"],
        "replicas need one graph, but ring_transfer has many: leave replicas out",
    ),
])  # fmt: skip
def test_unsupported_settings_are_refused(typed: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
        compose_settings(typed)
