"""Amounts that an epoch is made of, their fit, and the file that measurements are kept in."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.cost import Measurement, append, grid, memory_terms, read, time_terms
from benchmarks.fits import error, fit, left_out, shares

MEASUREMENT = Measurement(
    "gcnii", 1000, 4, 8, 64, entries=5000, features=50, classes=10, seconds=0.5, megabytes=3.25, estimate=2.0,
    cache=1 << 20,
)  # fmt: skip


def test_a_fit_finds_what_the_measurements_were_made_of_whatever_their_size() -> None:
    generator = np.random.default_rng(0)
    terms = generator.uniform(1, 2, (20, 3)) * [1, 1e6, 1e9]
    measured = terms @ np.array([2.0, 0.0, 3e-9])
    assert fit(terms, measured) == pytest.approx([2.0, 0.0, 3e-9], abs=1e-12)
    assert left_out(terms, measured) == pytest.approx(measured)
    assert error(left_out(terms, measured), measured) == "median 1.00, nine of ten within 1.00, worst 1.00"
    assert sum(mean for mean, _ in shares(terms, fit(terms, measured))) == pytest.approx(1)


def test_an_error_counts_too_much_and_too_little_alike() -> None:
    predicted, measured = np.array([2.0, 1.0, 1.0]), np.array([1.0, 1.0, 4.0])
    assert error(predicted, measured) == "median 2.00, nine of ten within 3.60, worst 4.00"


def test_amounts_of_an_epoch() -> None:
    terms = time_terms(MEASUREMENT)
    assert terms["sparse product, entry x channel"] == 4 * 5000 * 8 * 64
    assert terms["the same, beyond the cache"] == 0
    large = time_terms(Measurement(**MEASUREMENT.__dict__ | {"nodes": 8192}))
    assert large["the same, beyond the cache"] == terms["sparse product, entry x channel"] / 2
    assert terms["dense product, node x in x out"] == 4 * 1000 * (50 * 64 + 8 * 64 * 64 + 64 * 10)
    assert terms["a layer"] == 8
    assert memory_terms(MEASUREMENT)["states, kept for every layer"] == pytest.approx(4e-6 * 1000 * 8 * 64)
    plain = time_terms(Measurement(**MEASUREMENT.__dict__ | {"model": "gcn"}))
    assert plain["sparse product, entry x channel"] == 3 * 5000 * (7 * 64 + 10)  # the last one has the logits' width
    assert plain["dense product, node x in x out"] == 4 * 1000 * (50 * 64 + 6 * 64 * 64 + 64 * 10)


def test_measurements_are_kept_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "new" / "measurements.csv"
    assert read(file) == []
    append(file, [MEASUREMENT])
    append(file, [MEASUREMENT])
    assert read(file) == [MEASUREMENT, MEASUREMENT]
    assert len({m.asked for m in grid()}) == len(grid())
