"""Several commands want one cell: the first in line has it, whatever the order in which they look."""

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from depthlab.config.errors import TakenError
from depthlab.tracking.owner import OWNER
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import Records
from depthlab.training.claim import FIRST, TURN, Claim

IDENTITY = {"config_hash": "c", "data_hash": "d", "code_hash": "e"}


@pytest.fixture
def records(tmp_path: Path, empty_store: Path) -> Records:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return Records(f"sqlite:///{tmp_path / 'mlflow.db'}", "depthlab")


def recorded(records: Records, turn: str = "", **tags: str) -> TrackedRun:
    return TrackedRun(records.uri, "depthlab", "a cell", {}, IDENTITY | {"outcome": "running", TURN: turn} | tags)


def test_a_planned_run_without_a_claim_is_free(records: Records) -> None:
    claim = Claim(records, IDENTITY, same_code=False)
    recorded(records, config_hash="another")
    claim.check()
    mine = recorded(records)
    claim.confirm(mine)
    assert {run.run_id: run.tags[TURN] for run in records.runs()}[mine.run_id] == "1"


@pytest.mark.parametrize("turn", [FIRST, "1"])
def test_a_planned_run_in_training_is_not_claimed(records: Records, turn: str) -> None:
    claim = Claim(records, IDENTITY, same_code=False)
    other = recorded(records, turn)
    with pytest.raises(TakenError, match=r"^process \d+ on .* trains it$"):
        claim.check()
    mine = recorded(records)
    with pytest.raises(TakenError):
        claim.confirm(mine)
    assert [run.run_id for run in records.runs()] == [other.run_id]  # that of this command went to the bin


def test_a_resumed_run_that_loses_the_claim_is_closed_and_not_deleted(records: Records) -> None:
    mine = recorded(records, "1")
    mine.abandon("KILLED", "interrupted")
    recorded(records, "1")
    again = TrackedRun(records.uri, "depthlab", "a cell", {}, IDENTITY | {TURN: ""}, run_id=mine.run_id)
    with pytest.raises(TakenError):
        Claim(records, IDENTITY, same_code=False).confirm(again)
    assert [run.status for run in records.runs()] == ["KILLED", "RUNNING"]


def test_the_run_of_a_dead_process_blocks_no_claim(records: Records) -> None:
    other = recorded(records, "1")
    host, pid, start = records.runs()[0].tags[OWNER].split()
    records.tag(other.run_id, OWNER, f"{host} {pid} {float(start) - 3600:.0f}")
    Claim(records, IDENTITY, same_code=False).check()


def test_a_result_counts_if_its_code_does(records: Records) -> None:
    recorded(records).finish("FINISHED", "finished")
    later = IDENTITY | {"code_hash": "later"}
    for identity, same_code in ((IDENTITY, True), (IDENTITY, False), (later, False)):
        with pytest.raises(TakenError, match=r"^another command has trained it$"):
            Claim(records, identity, same_code).check()
    Claim(records, later, same_code=True).check()
    recorded(records, code_hash="later").finish("FINISHED", "finished")  # hides no older result of the same code
    recorded(records).finish("FAILED", "failed")  # no result
    with pytest.raises(TakenError):
        Claim(records, IDENTITY, same_code=True).check()


def test_a_claim_waits_for_a_command_that_chooses_its_turn(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    other, mine = recorded(records), recorded(records)
    monkeypatch.setattr("depthlab.training.claim.time.sleep", lambda _: other.tag({TURN: "5"}))
    claim = Claim(records, IDENTITY, same_code=False)
    claim.confirm(mine)  # its turn is 1
    with pytest.raises(TakenError):
        claim.confirm(other)
    never = recorded(records)
    monkeypatch.setattr("depthlab.training.claim.PATIENCE", 0.0)
    monkeypatch.setattr("depthlab.training.claim.time.sleep", lambda _: None)
    records.client.set_terminated(mine.run_id, "KILLED")
    late = recorded(records)
    with pytest.raises(TakenError):
        claim.confirm(late)
    assert [run.run_id for run in records.runs("attributes.status = 'RUNNING'")] == [never.run_id]


def test_exactly_one_of_many_simultaneous_claims_succeeds(records: Records) -> None:
    barrier, won = threading.Barrier(6), list[str]()

    def want() -> None:
        claim: Any = Claim(Records(records.uri, "depthlab"), IDENTITY, same_code=False)
        barrier.wait()
        try:
            claim.check()
            mine = recorded(records)
            claim.confirm(mine)
            won.append(mine.run_id)
        except TakenError:
            pass

    threads = [threading.Thread(target=want) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run.run_id for run in records.runs()] == won
    assert len(won) == 1
