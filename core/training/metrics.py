"""Metrics of predictions, each for many resamplings at once. NumPy alone.

Every function takes `counts` [D, N], how often each of the N samples counts in each of D draws, and gives [D] values,
NaN where a draw leaves the metric undefined (a single class, a constant target). The metric itself is the one draw in
which every sample counts once, so an estimate and its bootstrap error come from the same lines. Ties are exact: equal
scores are one threshold, and a tied pair is worth one half.

Shape letters: N = samples, D = draws, K = classes or labels, U = distinct scores.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

CHUNK = 2**22
"""Numbers of a [D, N] block that are worked on at once."""


def once(samples: int) -> Array:
    """The one draw [1, N] in which every sample counts once."""
    return np.ones((1, samples))


def draws(samples: int, number: int, seed: int) -> Array:
    """`number` bootstrap draws [D, N]: N samples with replacement, as counts."""
    rng = np.random.default_rng(seed)
    chosen = (rng.integers(0, samples, size=samples) for _ in range(number))
    return np.stack([np.bincount(rows, minlength=samples) for rows in chosen]).astype(np.float64)


def mean(values: Array, counts: Array) -> Array:
    """[N] -> [D]"""
    return _ratio(counts @ values, counts.sum(axis=1))


def balanced_accuracy(predicted: NDArray[np.int64], actual: NDArray[np.int64], counts: Array) -> Array:
    """The mean over classes of the share of their samples that were told right; classes without a sample are left out.

    Brodersen et al. 2010; for two classes the mean of sensitivity and specificity.
    """
    hits = (predicted == actual).astype(np.float64)
    recalls = [_ratio(counts @ (hits * own), counts @ own) for own in _indicators(actual)]
    return _mean_of_defined(np.stack(recalls))


def auc(scores: Array, positive: Mask, counts: Array) -> Array:
    """Area under the ROC curve: how often a positive sample scores above a negative one, ties one half."""
    order, begins = _thresholds(scores, ascending=True)
    hit = positive[order].astype(np.float64)

    def of(weights: Array) -> Array:
        weights = weights[:, order]
        positives = np.add.reduceat(weights * hit, begins, axis=1)
        negatives = np.add.reduceat(weights * (1.0 - hit), begins, axis=1)
        below = np.cumsum(negatives, axis=1) - negatives
        wins = (positives * (below + 0.5 * negatives)).sum(axis=1)
        return _ratio(wins, positives.sum(axis=1) * negatives.sum(axis=1))

    return _chunked(of, counts)


def average_precision(scores: Array, positive: Mask, counts: Array) -> Array:
    """`sum_n (R_n - R_{n-1}) P_n` over the thresholds, from the highest; not interpolated.

    Undefined without a positive. The definition of scikit-learn's `average_precision_score`.
    """
    order, begins = _thresholds(scores, ascending=False)
    hit = positive[order].astype(np.float64)

    def of(weights: Array) -> Array:
        weights = weights[:, order]
        found = np.add.reduceat(weights * hit, begins, axis=1)
        precision = _ratio(np.cumsum(found, axis=1), np.cumsum(np.add.reduceat(weights, begins, axis=1), axis=1))
        # A threshold above every drawn sample has no precision, and nothing is found there.
        return _ratio(np.where(found > 0.0, found * precision, 0.0).sum(axis=1), found.sum(axis=1))

    return _chunked(of, counts)


def macro(values: list[Array]) -> Array:
    """The mean over labels of [D] values each, those of a draw that are undefined left out; NaN where all are."""
    return _mean_of_defined(np.stack(values))


def r2(predicted: Array, actual: Array, counts: Array) -> Array:
    """`1 - sum (y - p)^2 / sum (y - mean y)^2` with the mean of the drawn samples; undefined where y is constant."""
    # Centred first: the sums of squares of a target far from 0 would cancel.
    centred = actual - actual.mean()
    total = counts.sum(axis=1)
    residual = counts @ (actual - predicted) ** 2
    spread = counts @ centred**2 - _ratio((counts @ centred) ** 2, total)
    constant = np.array([_is_constant(actual[row > 0]) for row in counts])
    return 1.0 - _ratio(residual, np.where(constant, 0.0, spread))


def rmse(predicted: Array, actual: Array, counts: Array) -> Array:
    """Root of the mean squared error, in the target's unit."""
    return np.sqrt(mean((actual - predicted) ** 2, counts))


def mae(predicted: Array, actual: Array, counts: Array) -> Array:
    """Mean absolute error, in the target's unit."""
    return mean(np.abs(actual - predicted), counts)


def _thresholds(scores: Array, *, ascending: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order [N] that sorts the scores, and where each of the U distinct ones begins in it."""
    order = np.argsort(scores if ascending else -scores, kind="stable")
    begins = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0.0)
    return order.astype(np.int64), begins.astype(np.int64)


def _indicators(actual: NDArray[np.int64]) -> list[Array]:
    return [(actual == code).astype(np.float64) for code in np.unique(actual)]


def _is_constant(values: Array) -> bool:
    return bool(values.size == 0 or values.max() == values.min())


def _mean_of_defined(values: Array) -> Array:
    """The mean over the first axis of [K, D], NaN left out."""
    defined = np.isfinite(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0).astype(np.float64))


def _ratio(above: Array, below: Array) -> Array:
    """Elementwise, NaN where `below` is 0."""
    out = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    np.divide(above, below, out=out, where=below != 0.0)
    return out


def _chunked(of: Callable[[Array], Array], counts: Array) -> Array:
    """`of` on blocks of draws, so that sorted copies of [D, N] counts stay small."""
    rows = max(1, CHUNK // max(1, counts.shape[1]))
    return np.concatenate([of(counts[start : start + rows]) for start in range(0, len(counts), rows)])
