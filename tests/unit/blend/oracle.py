"""Gradient-Blending once more, from the paper's equations alone: what `core.blend` is held against.

Nothing here imports or follows `core`. Sums are written out row by row; the correlated weights come from
`scipy.optimize.nnls` on a Cholesky factor, and once more from trying every set of heads.

Source: W. Wang, D. Tran, M. Feiszli, CVPR 2020 (arXiv 1905.12681): section 2.2 (G, O, OGR), Proposition 1 and
Algorithm 1 (weights). Standard errors are textbook: of a mean of paired differences; of a mean of clustered rows; of a
mean of stratified rows (Cochran, "Sampling techniques", 3rd edition, theorem 5.3, without its correction).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import LinearConstraint, minimize, nnls

Rows = Sequence[float]


def mean(values: Rows) -> float:
    """The mean."""
    return math.fsum(values) / len(values)


def gain(before: Rows, after: Rows) -> list[float]:
    """By how much each row's loss fell."""
    return [b - a for b, a in zip(before, after, strict=True)]


def covariance_of_means(
    x: Rows, y: Rows, groups: Sequence[int] | None = None, strata: Sequence[int] | None = None
) -> float:
    """Cov(mean x, mean y) of paired rows: independent ones, those of independent groups, or those drawn by strata.

    Each row is a group of its own where none are given, or where there is only one: the estimator
    `g/(g-1) * sum_c (sum of c's deviations in x)(... in y) / N^2` is then `cov(x, y) / N`.
    """
    N = len(x)
    if N < 2:
        return 0.0
    if groups is None or len(set(groups)) < 2:
        if strata is not None:
            return stratified_covariance(x, y, collapsed(strata))
        groups = range(N)
    deviations: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for a, b, group in zip(x, y, groups, strict=True):
        deviations[group].append((a - mean(x), b - mean(y)))
    total = math.fsum(math.fsum(a for a, _ in rows) * math.fsum(b for _, b in rows) for rows in deviations.values())
    g = len(deviations)
    return g / (g - 1) * total / N**2


def stratified_covariance(x: Rows, y: Rows, strata: Sequence[int]) -> float:
    """`sum_h W_h^2 cov_h(x, y) / n_h`, with `W_h = n_h / N`: strata as large in the population as in the sample."""
    total = 0.0
    for stratum in set(strata):
        rows = [i for i, code in enumerate(strata) if code == stratum]
        within = np.cov([x[i] for i in rows], [y[i] for i in rows])[0, 1]
        total += (len(rows) / len(x)) ** 2 * within / len(rows)
    return total


def collapsed(strata: Sequence[int]) -> list[int]:
    """Strata of one row become one; if that still has one row, it joins the smallest other (the lowest of equals)."""
    sizes = Counter(strata)
    alone = {stratum for stratum, size in sizes.items() if size == 1}
    others = [(size, stratum) for stratum, size in sizes.items() if size > 1]
    joined = min(others)[1] if len(alone) == 1 and others else -1
    return [joined if stratum in alone else stratum for stratum in strata]


def g_and_o(head: dict[str, Rows]) -> tuple[float, float]:
    """`G = L_V(N) - L_V(N+n)` and `O = (L_V - L_T)(N+n) - (L_V - L_T)(N)`, from mean losses."""
    loss = {name: mean(rows) for name, rows in head.items()}
    G = loss["holdout_before"] - loss["holdout_after"]
    O = (loss["holdout_after"] - loss["train_after"]) - (loss["holdout_before"] - loss["train_before"])
    return G, O


def sampling(
    heads: Sequence[dict[str, Rows]],
    train_groups: Sequence[int] | None = None,
    holdout_groups: Sequence[int] | None = None,
    train_strata: Sequence[int] | None = None,
    holdout_strata: Sequence[int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """SE(G) [K] and Cov(O^) [K, K] of the heads. `O = gain_T - gain_V`, and T and V share no row."""
    gains_T = [gain(head["train_before"], head["train_after"]) for head in heads]
    gains_V = [gain(head["holdout_before"], head["holdout_after"]) for head in heads]
    G_se = [math.sqrt(covariance_of_means(x, x, holdout_groups, holdout_strata)) for x in gains_V]
    O_cov = [
        [
            covariance_of_means(gains_T[i], gains_T[j], train_groups, train_strata)
            + covariance_of_means(gains_V[i], gains_V[j], holdout_groups, holdout_strata)
            for j in range(len(heads))
        ]
        for i in range(len(heads))
    ]
    return np.array(G_se), np.array(O_cov)


def ogr_error(G: float, G_se: float, O: float, O_se: float) -> float:
    """First-order error of `O / G` from the gradient `(1/G, -O/G^2)` and Cov(O, G) = -SE(G)^2."""
    slope = np.array([1 / G, -O / G**2])
    covariance = np.array([[O_se**2, -(G_se**2)], [-(G_se**2), G_se**2]])
    return math.sqrt(slope @ covariance @ slope)


def paper(G: Rows, O: Rows) -> np.ndarray:
    """Algorithm 1: `G / O^2`, normalised by the plain sum; a head that got worse has none."""
    raw = np.array([max(g, 0.0) / o**2 for g, o in zip(G, O, strict=True)])
    return raw / raw.sum()


def shrunk(G: Rows, O: Rows, O_se: Rows) -> np.ndarray:
    """`max(G, 0) / (O^2 + SE(O)^2)`, normalised."""
    raw = np.array([max(g, 0.0) / (o**2 + se**2) for g, o, se in zip(G, O, O_se, strict=True)])
    return raw / raw.sum()


def sigma(O: Rows, O_cov: np.ndarray) -> np.ndarray:
    """`O O' + Cov(O^)`."""
    return np.outer(O, O) + O_cov


def correlated(G: Rows, Sigma: np.ndarray) -> np.ndarray:
    """`argmin w'Sigma w, g'w = 1, w >= 0` among the heads with positive gain, normalised to sum 1.

    With `Sigma = L L'` it is `argmin |L'w - L^-1 g|`, `w >= 0`, up to a factor.
    """
    heads = [k for k, g in enumerate(G) if g > 0]
    g = np.array([G[k] for k in heads])
    lower = cholesky(Sigma[np.ix_(heads, heads)], lower=True)
    found, _ = nnls(lower.T, solve_triangular(lower, g, lower=True))
    weights = np.zeros(len(G))
    weights[heads] = found
    return weights / weights.sum()


def correlated_by_trying(G: Rows, Sigma: np.ndarray) -> np.ndarray:
    """The same by hand: `Sigma^-1 g` over each set of heads; the best of those that are not negative."""
    heads = [k for k, g in enumerate(G) if g > 0]
    best, least = np.zeros(len(G)), math.inf
    for size in range(1, len(heads) + 1):
        for chosen in combinations(heads, size):
            part = np.ix_(chosen, chosen)
            g = np.array([G[k] for k in chosen])
            w = np.linalg.solve(Sigma[part], g)
            if (w >= 0).all() and (ratio := float(w @ Sigma[part] @ w) / float(g @ w) ** 2) < least:
                best, least = np.zeros(len(G)), ratio
                best[list(chosen)] = w / w.sum()
    return best


def least_ogr_squared(G: Rows, Sigma: np.ndarray) -> float:
    """The least `w'Sigma w` with `g'w = 1, w >= 0`, by sequential quadratic programming (SLSQP)."""
    g = np.maximum(np.array(G), 0.0)
    scale = np.trace(Sigma)
    start = np.where(g > 0, 1.0, 0.0) / g.sum()
    found = minimize(
        lambda w: w @ Sigma @ w / scale,
        start,
        jac=lambda w: 2 * Sigma @ w / scale,
        method="SLSQP",
        bounds=[(0, None) if gk > 0 else (0, 0) for gk in g],
        constraints=LinearConstraint(g, 1, 1),
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    return float(found.fun) * scale


def blend_ogr_squared(weights: np.ndarray, G: Rows, Sigma: np.ndarray) -> float:
    """`w'Sigma w / (g'w)^2`: OGR^2 of the blended step."""
    return float(weights @ Sigma @ weights) / float(weights @ np.maximum(np.array(G), 0.0)) ** 2


def floored(weights: Rows, floors: Rows) -> np.ndarray:
    """`max(floor, c * w)` with sum 1: c by bisection, for the sum never falls as c grows."""
    low, high = 0.0, 1.0
    while sum(max(f, high * w) for f, w in zip(floors, weights, strict=True)) < 1.0:
        high *= 2.0
    for _ in range(200):
        c = (low + high) / 2
        if sum(max(f, c * w) for f, w in zip(floors, weights, strict=True)) < 1.0:
            low = c
        else:
            high = c
    return np.array([max(f, high * w) for f, w in zip(floors, weights, strict=True)])


def capped(weights: Rows, noisy: Sequence[bool]) -> np.ndarray:
    """`min(1/K, c w)` for the noisy, `c w` for the rest, by trying every set of heads that are held at 1/K."""
    K = len(weights)
    suspects = [k for k in range(K) if noisy[k]]
    for size in range(len(suspects) + 1):
        for held in combinations(suspects, size):
            rest = math.fsum(w for k, w in enumerate(weights) if k not in held)
            if rest <= 0.0:
                continue
            scaled = [(1.0 - size / K) * (w / rest) for w in weights]
            tried = [1.0 / K if k in held else w for k, w in enumerate(scaled)]
            fits = all(tried[k] <= 1.0 / K + 1e-15 for k in suspects) and all(scaled[k] >= 1.0 / K for k in held)
            if fits:
                return np.array(tried)
    return np.full(K, 1.0 / K)
