"""Mean, spread and interval against SciPy's own tests."""

import math

import numpy as np
import pytest
from scipy import stats

from depthlab.statistics import Summary, format_mean, holm, n_of_m, over_runs, paired, paired_p, summarize
from depthlab.tasks.metrics import METRICS

ACCURACY = METRICS["acc"]

VALUES = [0.812, 0.797, 0.821, 0.805, 0.779, 0.83]


NAN = math.nan


def numbers(summary: Summary) -> tuple[int, float, float, float]:
    """What a summary says of its values, but not of the runs that are missing."""
    return summary.n, summary.mean, summary.std, summary.half


@pytest.mark.parametrize("n", [3, 6])
def test_summary_against_scipy(n: int) -> None:
    values = VALUES[:n]
    found = summarize(values)
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.n == n
    assert found.mean == pytest.approx(sum(values) / n)
    assert found.std == pytest.approx(stats.tstd(values))
    assert [found.low, found.high] == pytest.approx([interval.low, interval.high])


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.7], [0.5, NAN, 0.7], []])
def test_fewer_than_three_values_have_no_interval(values: list[float]) -> None:
    found = summarize(values)
    assert not found.has_interval
    assert math.isnan(found.half)
    assert math.isnan(found.std) == (found.n < 2)
    assert "±" not in format_mean(found, ACCURACY)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.8, 0.82, 0.84], "82.0 ± 5.0"),
        ([0.8, 0.82, 0.84, NAN], "82.0 ± 5.0 (3 of 4)"),
        ([0.8, NAN, NAN], "80.0 (1 of 3)"),
        ([NAN, NAN], "- (0 of 2)"),
        ([], "-"),
    ],
)
def test_missing_runs_are_counted_beside_the_mean(values: list[float], text: str) -> None:
    assert format_mean(summarize(values), ACCURACY) == text
    assert format_mean(over_runs({(seed, "public"): value for seed, value in enumerate(values)}), ACCURACY) == text


def test_a_unit_and_a_sign() -> None:
    values = summarize([0.1, 0.1, 0.1, NAN])  # equal values have an interval of width 0
    assert format_mean(values, ACCURACY, sign=True, unit=True) == "+10.0 ± 0.0 % (3 of 4)"
    assert format_mean(summarize([0.1, 0.2, 0.3]), METRICS["mae"], unit=True) == "0.2 ± 0.2484"


def test_nothing_is_said_where_nothing_is_missing() -> None:
    assert (n_of_m(3, 3), n_of_m(2, 3), n_of_m(0, 0)) == ("", "2 of 3", "")


def test_a_split_counts_with_the_runs_that_it_has() -> None:
    values = {(0, "0"): 0.5, (1, "0"): NAN, (0, "1"): 0.8, (1, "1"): 0.8, (0, "2"): NAN, (1, "2"): NAN, (0, "3"): 0.2}
    found = over_runs(values)
    assert numbers(found) == pytest.approx(numbers(summarize([0.5, 0.8, 0.2])))
    assert (found.runs, found.asked, found.missing) == (4, 7, "4 of 7")


def test_the_interval_covers_as_often_as_it_says() -> None:
    samples = np.random.default_rng(0).normal(3.0, 2.0, (4000, 4))
    covered = [found.low <= 3.0 <= found.high for found in map(summarize, samples.tolist())]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)


def test_runs_of_one_split_count_by_seed() -> None:
    assert over_runs({(seed, "public"): value for seed, value in enumerate(VALUES)}) == summarize(VALUES)


def test_paired_differences_of_several_splits() -> None:
    first = {(seed, str(split)): 0.1 * split for seed in range(2) for split in range(3)}
    second = {(seed, split): value + 0.01 * (seed + int(split)) for (seed, split), value in first.items()}
    found, expected = paired(first, second), summarize([0.005, 0.015, 0.025])
    assert [found.n, found.mean, found.half] == pytest.approx([expected.n, expected.mean, expected.half])


def test_paired_differences() -> None:
    first = {(seed, "public"): value for seed, value in enumerate(VALUES)}
    second = {(seed, "public"): value + 0.01 * seed for seed, value in enumerate(VALUES)}
    found = paired(first, second)
    after, before = [second[key] for key in first], list(first.values())
    interval = stats.stats.ttest_rel(after, before).confidence_interval(0.95)
    assert found.mean == pytest.approx(0.025)
    assert [found.low, found.high] == pytest.approx([interval.low, interval.high])


def test_pairs_are_made_by_seed_and_split_not_by_position() -> None:
    first = {(0, "0"): 0.1, (0, "1"): 0.2, (1, "0"): 0.3}
    second = dict(reversed([(key, value + 0.5) for key, value in first.items()]))
    found = paired(first | {(5, "0"): 9.0}, second | {(6, "0"): -9.0})  # only shared pairs count
    assert [found.mean, found.std] == pytest.approx([0.5, 0], abs=1e-12)
    assert (found.runs, found.asked) == (3, 3)


def test_a_pair_that_lacks_one_of_its_runs_is_missing() -> None:
    first = {(0, "0"): 0.1, (1, "0"): NAN, (2, "0"): 0.3, (3, "0"): 0.4}
    second = {(0, "0"): 0.2, (1, "0"): 0.3, (2, "0"): NAN, (3, "0"): 0.5, (4, "0"): 0.6}
    assert format_mean(paired(first, second), ACCURACY, sign=True) == "+10.0 (2 of 4)"


@pytest.mark.parametrize("second", [{}, {(1, "0"): 0.1}, {(0, "1"): 0.1}, {(0, "0"): NAN}])
def test_none_shared(second: dict[tuple[int, str], float]) -> None:
    assert paired({(0, "0"): 0.1}, second).n == 0


def test_a_paired_t_test_is_that_of_scipy() -> None:
    first, second = [0.1, 0.4, 0.2, 0.5, 0.3], [0.2, 0.45, 0.4, 0.5, 0.42]
    named = [{(seed, "public"): value for seed, value in enumerate(values)} for values in (first, second)]
    assert paired_p(*named) == pytest.approx(stats.ttest_rel(second, first).pvalue)


def test_a_paired_t_test_of_few_or_of_equal_differences() -> None:
    def runs(*values: float) -> dict[tuple[int, str], float]:
        return {(seed, "public"): value for seed, value in enumerate(values)}

    assert paired_p(runs(0.0, 0.0), runs(1.0, 1.0)) == 1
    assert paired_p(runs(0.0, 0.0, 0.0), runs(1.0, 1.0, 1.0)) == 0
    assert paired_p(runs(0.5, 0.25, 0.75), runs(0.5, 0.25, 0.75)) == 1


def test_holms_correction() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([]) == []
