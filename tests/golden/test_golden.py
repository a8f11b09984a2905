"""The first epochs of every kind of run are those that were recorded, to 1e-3: processors sum in different orders."""

import json
from pathlib import Path
from typing import Any

import pytest

from depthlab.compiler import kernel
from tests.golden.runs import GOLDEN, INTERRUPTED, RUNS, differences, record

EPOCHS = 5
RECORDED: dict[str, list[dict[str, Any]]] = json.loads(GOLDEN.read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For all runs: a new store takes longer than a run."""
    return tmp_path_factory.mktemp("golden")


def test_every_run_is_recorded() -> None:
    assert RECORDED.keys() == RUNS.keys()


@pytest.fixture(autouse=True)
def compiler_for(request: pytest.FixtureRequest) -> None:
    """Compiled layers draw other masks than torch's."""
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name", "")
    if name and name.startswith("compiled_") and kernel() is None:
        pytest.skip("layers cannot be compiled here")


@pytest.mark.parametrize("name", [name for name in RUNS if name not in INTERRUPTED])
def test_first_epochs(name: str, folder: Path) -> None:
    runs = record(name, folder, f"epochs={EPOCHS}", "measures=[]")
    assert len(runs) == len(RECORDED[name])
    for found, expected in zip(runs, RECORDED[name], strict=True):
        for metric, values in expected["epochs"].items():
            assert found["epochs"][metric] == pytest.approx(values[:EPOCHS], rel=1e-3), metric


@pytest.mark.parametrize("name", INTERRUPTED)
def test_a_resumed_run_is_as_recorded(name: str, folder: Path) -> None:
    (found,), (expected,) = record(name, folder), RECORDED[name]
    first = {name: values[:EPOCHS] for name, values in expected["epochs"].items()}
    assert {name: values[:EPOCHS] for name, values in found["epochs"].items()} == {
        name: pytest.approx(values, rel=1e-3) for name, values in first.items()
    }
    for loss in ("train_loss", "val_loss"):  # to the end, which comes after the interruption
        assert found["epochs"][loss] == pytest.approx(expected["epochs"][loss], rel=1e-2), loss


def test_differences_notice_a_number_and_a_missing_curve() -> None:
    one = {"epochs": {"loss": [1.0, 2.0]}, "outcome": "finished"}
    assert max(differences(one, one)) == 0
    assert max(differences(one, {"epochs": {"loss": [1.0, 2.002]}, "outcome": "finished"})) == pytest.approx(
        1e-3, rel=1e-2
    )
    assert max(differences(one, {"epochs": {}, "outcome": "finished"})) == float("inf")
    assert max(differences(one, {"epochs": {"loss": [1.0]}, "outcome": "finished"})) == float("inf")
