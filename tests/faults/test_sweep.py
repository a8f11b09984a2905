"""A sweep that is killed several times has the trials of an uninterrupted one."""

import os
import random
import signal
import time

import optuna
import pytest

from depthlab.sweep.storage import open_storage
from tests.conftest import Start
from tests.faults.conftest import Tally
from tests.sweep.conftest import CSBM, Sweep
from tests.sweep.conftest import shop as shop
from tests.sweep.conftest import start as start

KILLS = 4
TYPED = (
    "model=gcn", *CSBM, "depth=2", "seeds=2", "split=0", "fresh=0", "study_name=small", "trainer.threads=1",
    "epochs=60", "patience=60", "trials=14", "jobs=1", "pruner=hyperband", "tracking.artifacts=[]",
)  # fmt: skip


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_sweep_killed_at_any_moment_is_the_uninterrupted_one(
    shop: Sweep, start: Start, sampler: str, tally: Tally
) -> None:
    def searched(storage: str, kills: int) -> list[object]:
        typed = (*TYPED, f"sampler={sampler}", f"storage={shop.folder / storage}")
        for _ in range(kills):
            process = start(*typed)
            assert process.stderr is not None
            process.stderr.readline()  # a trial has ended
            time.sleep(chance.random())
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process = start(*typed)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        study = optuna.load_study(study_name="small", storage=open_storage(str(shop.folder / storage)))
        return [(one.number, one.state, one.params, one.values, one.intermediate_values) for one in study.trials]

    seed = random.randrange(2**32)
    print(f"killed at moments of seed {seed}")
    chance = random.Random(seed)
    plain = searched("plain.journal", 0)
    found = searched("killed.journal", KILLS)
    for _ in range(KILLS):
        tally("sweep killed", found == plain)
    assert found == plain
