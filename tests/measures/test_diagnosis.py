"""Every rule on curves made by hand, each threshold from both sides, and two real trainings."""

import math
from typing import Any

import pytest
import torch

from depthlab.config.compose import compose_settings
from depthlab.measures.diagnosis import VERDICTS, Diagnosis, diagnose
from depthlab.training.run import run

NAN, INF = float("nan"), float("inf")
LOGITS = 1e-9  # of any measure after layer L, which may be bounded by the number of classes: it decides nothing
ALIVE = {
    "dirichlet_energy": [2.0, 1.0, 0.8, LOGITS],
    "effective_rank": [30.0, 20.0, 15.0, LOGITS],
    "rayleigh_quotient": [0.5, 0.4, 0.3, LOGITS],
    "gradient_norm_first_epoch": [1.0, 1.0, 1.0, 1.0],
}
COLLAPSED = ALIVE | {"effective_rank": [30.0, 20.0, 1.2, 9.0], "rayleigh_quotient": [0.5, 0.4, 0.001, 0.3]}


def verdict(train: float | None, val: float | None, chance: float = 0.5, **curves: list[float]) -> str:
    found = diagnose(train, val, chance, ALIVE | curves)
    assert found.verdict in VERDICTS
    return found.verdict


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [
        (1.0, 0.9, "healthy"),
        (0.875, 0.8, "healthy"),  # skill (0.875 - 0.5) / 0.5 = 0.75
        (0.874, 0.8, "under-fitted"),
        (0.9, 0.57, "healthy"),  # 33 points between them
        (0.9, 0.56, "over-fitted"),
    ],
)
def test_skill_and_gap(train: float, val: float, expected: str) -> None:
    assert verdict(train, val) == expected


def test_skill_is_measured_against_chance() -> None:
    assert verdict(0.8, 0.8, chance=0.1) == "healthy"
    assert verdict(0.8, 0.8, chance=0.5) == "under-fitted"
    assert verdict(1.0, 1.0, chance=1.0) == "healthy"


@pytest.mark.parametrize(
    ("rank", "rayleigh", "expected"),  # of layers 1 and L - 1
    [
        ((20.0, 9.99), (0.4, 0.001), "over-smoothed"),
        ((20.0, 10.0), (0.4, 0.001), "under-fitted"),  # the rank is still half of layer 1's
        ((20.0, 1.0), (0.4, 0.199), "over-smoothed"),
        ((20.0, 1.0), (0.4, 0.2), "under-fitted"),  # what is left is not smooth: the quotient is still half
        ((24.0, 8.0), (0.4, 0.099), "over-smoothed"),  # a third, and a little less than a quarter
        ((24.0, 8.0), (0.4, 0.101), "under-fitted"),
        ((NAN, NAN), (NAN, NAN), "under-fitted"),  # states of zero tell nothing
        ((20.0, NAN), (0.4, NAN), "under-fitted"),
    ],
)
def test_rank_and_quotient_have_to_fall_each_and_together(
    rank: tuple[float, float], rayleigh: tuple[float, float], expected: str
) -> None:
    ranks, quotients = [300.0, *rank, LOGITS], [9.0, *rayleigh, LOGITS]
    assert verdict(0.5, 0.5, effective_rank=ranks, rayleigh_quotient=quotients) == expected


@pytest.mark.parametrize(("first", "expected"), [(0.0, "untrainable"), (0.0099, "untrainable"), (0.01, "under-fitted")])
def test_gradient_has_to_arrive(first: float, expected: str) -> None:
    assert verdict(0.5, 0.5, gradient_norm_first_epoch=[0.0, first, 0.5, 1.0]) == expected
    assert verdict(0.5, 0.5, gradient_norm_first_epoch=[first, 0.0, 0.5, 1.0]) == expected  # around layer 1


def test_a_deep_mlp_is_untrainable_not_over_smoothed() -> None:
    curves = {
        "dirichlet_energy": [1.0, 1e-6, 1e-30, 1e-32],
        "effective_rank": [30.0, 20.0, 1.0, 1.0],
        "rayleigh_quotient": [0.8, 0.81, 0.79, 0.8],
        "gradient_norm_first_epoch": [1e-16, 1e-15, 1e-5, 1.0],
    }
    assert diagnose(0.5, 0.5, 0.5, curves).verdict == "untrainable"


def test_weights_that_decayed_are_no_smoothing() -> None:
    assert verdict(0.5, 0.5, dirichlet_energy=[2.0, 1.0, 1e-12, 1e-13]) == "under-fitted"


@pytest.mark.parametrize(
    ("sensitivity", "task_range", "expected"),  # by hop
    [
        ([1.0, 2.0, 1.0, 0.0199], 3, "over-squashed"),  # less than 1 % of the larger of the first two
        ([1.0, 2.0, 1.0, 0.02], 3, "under-fitted"),
        ([2.0, 1.0, 1.0, 0.0199], 3, "over-squashed"),
        ([1.0, 1.0, 0.001, 1.0], 3, "under-fitted"),  # gone on the way, but not where the answer stands
        ([1.0, 1.0, 0.001, 0.001], None, "under-fitted"),  # no task with a distance
        ([1.0, 1.0, 0.001], 3, "under-fitted"),  # not measured as far
        ([], 3, "under-fitted"),
        ([0.0, 0.0, 0.0, 0.0], 3, "under-fitted"),  # it reacts to nothing: not a matter of distance
        ([INF, 1.0, 1.0, 0.001], 3, "under-fitted"),
    ],
)
def test_sensitivity_at_the_range_of_the_task_decides(
    sensitivity: list[float], task_range: int | None, expected: str
) -> None:
    curves = ALIVE | {"sensitivity": sensitivity}
    assert diagnose(0.5, 0.5, 0.5, curves, task_range).verdict == expected
    assert diagnose(1.0, 1.0, 0.5, curves, task_range).verdict == "healthy"  # it has learnt


def test_over_squashed_comes_after_over_smoothed_and_untrainable() -> None:
    squashed = {"sensitivity": [1.0, 1.0, 0.001]}
    assert diagnose(0.5, 0.5, 0.5, COLLAPSED | squashed, 2).verdict == "over-smoothed"
    untrainable = {"gradient_norm_first_epoch": [0.0, 1e-9, 1.0, 1.0]}
    assert diagnose(0.5, 0.5, 0.5, ALIVE | squashed | untrainable, 2).verdict == "untrainable"
    found = diagnose(0.5, 0.5, 0.5, ALIVE | squashed, 2)
    assert found.verdict == "over-squashed"
    assert found.evidence.endswith("; sensitivity to a node 2 hops away, which has the answer, 1.0e-03 of a near one")


@pytest.mark.parametrize(("hops", "expected"), [(5, "under-fitted"), (7, "over-squashed")])
def test_walks_on_a_ring_as_the_docstring_counts_them(hops: int, expected: str) -> None:
    """Entries of P to the power of the number of hops, between a node of a ring and those at each distance."""
    size = 2 * hops
    step = torch.eye(size) + torch.eye(size).roll(1, 0) + torch.eye(size).roll(-1, 0)
    walks = torch.linalg.matrix_power(step.double() / 3, hops)[0, : hops + 1].tolist()
    curves = ALIVE | {"sensitivity": walks}
    assert diagnose(0.2, 0.2, 0.2, curves, hops).verdict == expected
    assert walks[hops] / walks[0] == pytest.approx({5: 2 / 51, 7: 2 / 393}[hops])


def test_the_order_of_the_rules() -> None:
    dead = COLLAPSED | {"gradient_norm_first_epoch": [0.0, 1e-9, 1.0, 1.0]}
    assert diagnose(0.5, 0.5, 0.5, dead).verdict == "over-smoothed"
    assert diagnose(1.0, 0.9, 0.5, dead).verdict == "healthy"  # it has learnt
    assert diagnose(1.0, 0.9, 0.5, dead | {"dirichlet_energy": [1.0, NAN, 1.0]}).verdict == "diverged"


@pytest.mark.parametrize(("train", "val"), [(None, 0.5), (None, None), (NAN, 0.5), (0.5, NAN)])
def test_a_loss_that_stopped_being_a_number(train: float | None, val: float | None) -> None:
    assert verdict(train, val) == "diverged"


@pytest.mark.parametrize("value", [NAN, INF])
def test_a_state_that_is_not_finite(value: float) -> None:
    found = diagnose(1.0, 1.0, 0.5, ALIVE | {"dirichlet_energy": [1.0, value, value]})
    assert found == Diagnosis("diverged", "the state after layer 1 is not finite")


def test_a_state_of_zero_has_no_rank_and_is_not_diverged() -> None:
    dead = {"dirichlet_energy": [1.0, 0.5, 0.0, 0.0], "effective_rank": [9.0, 4.0, NAN, NAN]}
    found = diagnose(0.5, 0.5, 0.5, ALIVE | dead | {"rayleigh_quotient": [0.5, 0.4, NAN, NAN]})
    assert found.verdict == "under-fitted"
    states = "Rayleigh quotient 0.4 to undefined, Dirichlet energy 0.5 to 0, effective rank 4 to undefined"
    assert states in found.evidence


@pytest.mark.parametrize("missing", ["effective_rank", "rayleigh_quotient", "gradient_norm_first_epoch"])
def test_without_its_measures_the_verdict_is_unknown(missing: str) -> None:
    curves = {name: curve for name, curve in ALIVE.items() if name != missing}
    assert diagnose(0.5, 0.5, 0.5, curves).verdict == "unknown"
    assert diagnose(1.0, 0.9, 0.5, curves).verdict == "healthy"


def test_untrainable_needs_no_other_measures() -> None:
    assert diagnose(0.5, 0.5, 0.5, {"gradient_norm_first_epoch": [0.0, 1e-9, 1.0, 1.0]}).verdict == "untrainable"


@pytest.mark.parametrize("start", [[1.0, 1.0, 1.0, 1.0], [0.0, 1e-9, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
def test_the_verdict_reads_the_gradient_after_the_first_epoch(start: list[float]) -> None:
    dead = [0.0, 1e-9, 1.0, 1.0]
    assert verdict(0.5, 0.5, gradient_norm_at_start=start) == "under-fitted"
    assert verdict(0.5, 0.5, gradient_norm_at_start=start, gradient_norm_first_epoch=dead) == "untrainable"


@pytest.mark.parametrize("gradient", [[0.0, 0.0, 0.0, 0.0], [NAN, NAN, NAN, NAN]])
def test_a_gradient_of_zero_everywhere_is_untrainable(gradient: list[float]) -> None:
    assert verdict(0.5, 0.5, gradient_norm_first_epoch=gradient) == "untrainable"


@pytest.mark.parametrize("depth", [1, 2])
def test_a_shallow_network_has_one_state_to_judge(depth: int) -> None:
    curves = {name: curve[: depth + 1] for name, curve in COLLAPSED.items()}
    found = diagnose(0.5, 0.5, 0.5, curves)
    assert found.verdict == "under-fitted"
    assert "layer 1 to 1: Rayleigh quotient 0.4 to 0.4" in found.evidence


def test_the_evidence_holds_the_numbers() -> None:
    after = COLLAPSED | {"gradient_norm_first_epoch": [1e-8, 2e-7, 1.0, 1.0]}
    states = (
        "training score 61.2 % (guessing 25.0 %); layer 1 to 2: Rayleigh quotient 0.4 to 0.001,"
        " Dirichlet energy 1 to 0.8, effective rank 20 to 1.2; gradient at the first layer "
    )
    share = ", as a share of the last layer's"
    both = diagnose(0.612, 0.5, 0.25, after | {"gradient_norm_at_start": [1e-6, 4e-5, 1.0, 2.0]})
    assert both.evidence == f"{states}2.0e-05 before the first step and 2.0e-07 after the first epoch{share}"
    assert (
        diagnose(0.612, 0.5, 0.25, after).evidence == f"{states}2.0e-07 after the first epoch{share}"
    )  # older records
    assert "validation 87.5 %" in diagnose(1.0, 0.875, 0.25, ALIVE).evidence
    assert "needs the measures" in diagnose(0.5, 0.5, 0.5, {}).evidence


@pytest.mark.parametrize(("depth", "expected"), [(2, "healthy"), (32, "over-smoothed")])
def test_a_real_gcn(depth: int, expected: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    typed = ["dataset=csbm", "dataset.nodes=200", "model=gcn", f"depth={depth}", "epochs=40", "progress=false"]
    settings = compose_settings([*typed, "trainer.threads=1", "tracking.artifacts=[]"])
    settings = settings.with_tracking(uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    result = run(settings)
    assert result.diagnosis.verdict == expected, result.diagnosis.evidence
    assert all(math.isfinite(value) for value in result.curves["effective_rank"])
