"""Sampling errors of mean gains: of rows that are independent, that come in groups (speakers, patients), or in strata.

Shape letters: N rows of a part (T' or V), K heads, C strata. Rows of one group rise and fall together, so what is
independent is the group. The error of a mean is then the cluster-robust one (Liang and Zeger 1986, "Longitudinal data
analysis using generalized linear models") with the finite-sample factor g / (g - 1) for g groups. Groups of one row
each give the row-wise error back.

A part that was drawn by strata (classes) holds each in a fixed proportion, so what differs between strata differs in no
redraw: the error of a mean is that within strata alone (Cochran 1977, "Sampling techniques", section 5.3, with
proportional allocation). Groups win over strata: whole groups are not drawn within strata.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from core.student import two_sided_quantile

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def clusters(groups: Codes | None, rows: int) -> Codes | None:
    """Groups [N] as codes 0..g-1; None where rows are taken as independent.

    That is where there are no groups, and where there is one only: a single group shows no difference between groups.
    Raises ValueError where `groups` has another length than `rows`.
    """
    if groups is None:
        return None
    if groups.shape != (rows,):
        raise ValueError(f"groups must name the group of each of the {rows} rows; got shape {groups.shape}")
    found, codes = np.unique(groups, return_inverse=True)
    return codes.reshape(-1).astype(np.int64) if found.size > 1 else None


def layers(strata: Codes | None, rows: int) -> Codes | None:
    """Strata [N] as codes 0..C-1, each of two rows at least; None where rows are taken as drawn without strata.

    A stratum of a single row shows no spread: such strata are merged into one (Cochran's collapsed strata, on the safe
    side), and a lone one joins the smallest of the others. None where there are no strata, and where one is left.
    Raises ValueError where `strata` has another length than `rows`.
    """
    if strata is None:
        return None
    if strata.shape != (rows,):
        raise ValueError(f"strata must name the stratum of each of the {rows} rows; got shape {strata.shape}")
    _, codes, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    codes = codes.reshape(-1)
    alone = np.flatnonzero(sizes == 1)
    if alone.size:
        others = np.flatnonzero(sizes > 1)
        joins = others[np.argmin(sizes[others])] if alone.size == 1 and others.size else alone[0]
        codes = np.where(sizes[codes] == 1, joins, codes)
    found, codes = np.unique(codes, return_inverse=True)
    return codes.reshape(-1).astype(np.int64) if found.size > 1 else None


def mean_and_error(values: Floats, groups: Codes | None = None, strata: Codes | None = None) -> tuple[float, float]:
    """Mean of values [N] and its standard error; the error of a single value is 0, for nothing better is known.

    With strata it is `sqrt(sum_c (n_c / N)^2 s_c^2 / n_c)`, with n_c rows and the variance s_c^2 in stratum c.
    """
    mean = float(np.mean(values))
    codes, layer = clusters(groups, values.size), layers(strata, values.size)
    if values.size < 2 or not math.isfinite(mean):
        return mean, 0.0
    if codes is None and layer is not None:
        residuals = within_strata(values[:, None], layer)[:, 0]
        return mean, math.sqrt(float(residuals @ residuals)) / values.size
    if codes is None:
        return mean, float(np.std(values, ddof=1) / math.sqrt(values.size))
    sums = np.bincount(codes, weights=values - mean)
    return mean, math.sqrt(sums.size / (sums.size - 1) * float(sums @ sums)) / values.size


def stands_out(differences: Floats, groups: Codes | None, probability: float) -> bool:
    """Whether the mean of paired differences [N] is above 0 by more than its noise: Student's t, two-sided.

    What is independent is a row, or where there are groups a group: rows of a single one prove nothing of another. The
    error counts as at least what one more
    difference of 0 would make of it (the mean over the number of units): two or three that agree by chance show no
    noise, and prove nothing.
    """
    gain, error = mean_and_error(differences, groups)
    units = differences.size if groups is None else np.unique(groups).size
    return gain > 0.0 and units > 1 and two_sided_quantile(probability, units - 1) * max(error, gain / units) < gain


def covariance_of_means(gains: Floats, groups: Codes | None = None, strata: Codes | None = None) -> Floats:
    """Covariance [K, K] of the column means of gains [N, K]; its diagonal is `mean_and_error`'s error, squared.

    The rows and columns of a head whose gains are not all finite are NaN; zero for a single row.
    """
    N, K = gains.shape
    codes, layer = clusters(groups, N), layers(strata, N)
    if N < 2:
        return np.zeros((K, K))
    if codes is None and layer is not None:
        residuals = within_strata(gains, layer)
        stratified: Floats = residuals.T @ residuals / N**2
        return stratified
    centred = gains - np.where(np.isfinite(gains), gains, np.nan).mean(axis=0)
    if codes is None:
        rowwise: Floats = centred.T @ centred / (N * (N - 1))
        return rowwise
    sums = group_sums(centred, codes)
    clustered: Floats = sums.T @ sums * (len(sums) / (len(sums) - 1)) / N**2
    return clustered


def group_sums(values: Floats, codes: Codes) -> Floats:
    """Sums [g, K] of the rows [N, K] of each group."""
    return np.stack([np.bincount(codes, weights=column) for column in values.T], axis=1)


def within_strata(values: Floats, codes: Codes) -> Floats:
    """Deviations [N, K] of values [N, K] from their strata's means, times `sqrt(n_c / (n_c - 1))`.

    Their squares sum to `sum_c n_c s_c^2`, with the unbiased variance s_c^2 of a stratum of n_c rows. All values of a
    column are NaN in a stratum where one of them is not finite.
    """
    sizes = np.bincount(codes)
    means = group_sums(np.where(np.isfinite(values), values, np.nan), codes) / sizes[:, None]
    deviations: Floats = (values - means[codes]) * np.sqrt(sizes / (sizes - 1))[codes, None]
    return deviations
