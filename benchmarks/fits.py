"""Least squares for costs: no coefficient is negative, all measurements count alike relative to their size."""

import numpy as np
from scipy.optimize import nnls

Array = np.ndarray


def fit(terms: Array, measured: Array) -> Array:
    """Coefficients >= 0 (k,) that minimise the sum of (terms @ c / measured - 1)^2.

    Args:
        terms: amounts, (measurements, k).
        measured: > 0, (measurements,).
    """
    relative = terms / measured[:, None]
    size = np.where(relative.max(0) > 0, relative.max(0), 1.0)  # amounts differ by ten powers of ten
    coefficients: Array = nnls(relative / size, np.ones(len(measured)))[0] / size
    return coefficients


def left_out(terms: Array, measured: Array) -> Array:
    """What each measurement is predicted to be by a fit to all others."""
    kept = ~np.eye(len(measured), dtype=bool)
    return np.array([terms[k] @ fit(terms[kept[k]], measured[kept[k]]) for k in range(len(measured))])


def error(predicted: Array, measured: Array) -> str:
    """`median 1.08, nine of ten within 1.3, worst 1.6 times`: how far apart, whichever is larger."""
    ratio = np.exp(np.abs(np.log(predicted / measured)))
    return f"median {np.median(ratio):.2f}, nine of ten within {np.quantile(ratio, 0.9):.2f}, worst {ratio.max():.2f}"


def shares(terms: Array, coefficients: Array) -> list[tuple[float, float]]:
    """Of each term, the mean and the largest part of a prediction that is due to it."""
    parts = terms * coefficients
    parts = parts / parts.sum(1, keepdims=True)
    return list(zip(parts.mean(0).tolist(), parts.max(0).tolist(), strict=True))
