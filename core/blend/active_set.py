"""A small convex quadratic programme with non-negative unknowns, solved exactly, many at a time. NumPy alone.

Shape letters: B problems, K unknowns (at most 17: the heads of 16 modalities and the fused one).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_LEAST_EIGENVALUE = 1e-9
"""Below it a unit-diagonal R counts as singular. The inverse then still has seven correct digits."""


def least_ratio(R: Floats, g: Floats) -> Floats:
    """`argmin u'Ru  subject to  g'u = 1, u >= 0` up to a factor, for each problem: [B, K] from R [B, K, K], g [B, K].

    R is symmetric, positive semi-definite, with a unit diagonal; g >= 0; a problem whose g is 0 has the answer 0. Up
    to its factor this is `argmin 1/2 u'Ru - g'u, u >= 0`, whose conditions are `Ru - g >= 0`, `u >= 0` and
    `u'(Ru - g) = 0`: non-negative least squares in its normal equations. The method is the active-set one of Lawson and
    Hanson (1974), "Solving least squares problems", chapter 23: unknowns enter one by one where the gradient is
    steepest and leave where they would turn negative; it ends at the exact solution after finitely many steps.

    Where R is singular the minimum may be reached by many u (or the ratio may be unbounded). R then gets the ridge that
    lifts its least eigenvalue to 1e-9, which picks, of the minima, nearly the one with the least sum of squares.
    """
    B, K = g.shape
    ridge = np.maximum(0.0, _LEAST_EIGENVALUE - np.linalg.eigvalsh(R)[:, 0]) if B else np.zeros(0)
    R = R + ridge[:, None, None] * np.eye(K)
    u, passive = np.zeros((B, K)), np.zeros((B, K), dtype=np.bool_)
    open_rows = np.flatnonzero(g.any(axis=1))
    # An unknown enters at most a few times. The bound only ends what rounding could make go round in circles: every
    # step keeps u feasible and none makes it worse, so u is then as good as rounding allows.
    for _ in range(10 * K):
        gradient = g[open_rows] - (R[open_rows] @ u[open_rows, :, None])[:, :, 0]
        noise = 8 * K * np.finfo(np.float64).eps * (1.0 + u[open_rows].max(axis=1, initial=0.0))
        steepest = np.where(passive[open_rows], -np.inf, gradient)
        going = steepest.max(axis=1, initial=-np.inf) > noise
        open_rows, steepest = open_rows[going], steepest[going]
        if not open_rows.size:
            break
        passive[open_rows, np.argmax(steepest, axis=1)] = True
        _descend(R, g, u, passive, open_rows)
    return u


def _descend(R: Floats, g: Floats, u: Floats, passive: Mask, rows: NDArray[np.int64]) -> None:
    """Moves `u` of these problems to the minimum over their passive unknowns; those that would turn negative leave."""
    eye = np.eye(g.shape[1])
    while rows.size:
        free, now = passive[rows], u[rows]
        reduced = np.where(free[:, :, None] & free[:, None, :], R[rows], eye)
        target = np.linalg.solve(reduced, np.where(free, g[rows], 0.0)[:, :, None])[:, :, 0]
        blocked = free & (target <= 0.0)
        stopped = blocked.any(axis=1)
        u[rows[~stopped]] = np.where(free, target, 0.0)[~stopped]
        rows, now, target, blocked, free = rows[stopped], now[stopped], target[stopped], blocked[stopped], free[stopped]
        gap = np.where(blocked, now - target, 1.0)
        # A blocked unknown at 0 whose target is 0 (it has just entered, within rounding) leaves at once.
        way = np.where(blocked, np.divide(now, gap, out=np.zeros_like(now), where=gap > 0.0), np.inf)
        step = way.min(axis=1, keepdims=True)
        leaves = blocked & (way <= step)
        u[rows] = np.where(free & ~leaves, np.maximum(now + step * (target - now), 0.0), 0.0)
        passive[rows] = free & ~leaves
