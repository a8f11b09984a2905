"""What a process trains, and on what."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import joblib
import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.config.schema import Settings, TrainerSettings
from depthlab.training.identity import checkpoint_folder
from depthlab.training.prepared import _given, prepare, use_threads

Compose = Callable[..., Settings]

TRAINER = TrainerSettings("cpu", None, "float32", "single", devices=1, num_nodes=1)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    _given.cache_clear()
    yield
    _given.cache_clear()
    torch.set_num_threads(before)


@pytest.mark.parametrize(("typed", "devices", "cores", "expected"), [(3, 1, 8, 3), (2, 4, 8, 2), (None, 4, 8, 2),
                                                                     (None, 4, 2, 1), (None, 1, 8, None)])  # fmt: skip
def test_processes_of_a_machine_share_its_cores(
    typed: int | None, devices: int, cores: int, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: cores)
    before = torch.get_num_threads()
    use_threads(replace(TRAINER, threads=typed, devices=devices))
    assert torch.get_num_threads() == (expected or before)


def test_a_run_does_not_inherit_the_threads_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    torch.set_num_threads(2)  # as a study gives them to a worker
    found = []
    for threads, devices in ((None, 1), (None, 2), (None, 1), (3, 1), (None, 1)):
        use_threads(replace(TRAINER, threads=threads, devices=devices))
        found.append(torch.get_num_threads())
    assert found == [2, 4, 2, 3, 2]


def test_the_seed_makes_the_network(settings: Compose) -> None:
    chosen = settings("depth=2", "model=gcn")
    first, again, other = (prepare(one, checkpoint_folder(one)) for one in (chosen, chosen, replace(chosen, seed=1)))
    weights = [torch.cat([p.flatten() for p in made.experiment.module.parameters()]) for made in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert first.identity == again.identity and first.identity["config_hash"] != other.identity["config_hash"]
    assert first.identity["data_hash"] == other.identity["data_hash"]
    assert first.checkpoint is None and first.content is None


def test_there_is_no_checkpoint_to_resume(settings: Compose) -> None:
    chosen = settings("depth=2", "ckpt=last")
    with pytest.raises(UserError, match="ckpt=last"):
        prepare(chosen, checkpoint_folder(chosen))
