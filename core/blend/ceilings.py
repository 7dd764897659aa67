"""The most that a head may get which shows nothing but noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def with_ceiling(weights: Floats, noisy: NDArray[np.bool_]) -> Floats:
    """`w_k = min(1/K, c * w_k)` for the heads k in `noisy` [..., K], `c * w_k` for others, with sum 1: [..., K].

    Water-filling: what is cut off goes to the others in proportion to what they have. Where nobody else has anything,
    no weight rests on evidence, and all become equal. Weights are >= 0 and sum to 1 over the last axis; a row of zeros
    stays one. Where no noisy head has more than the equal share the weights come back as they are.
    """
    K = weights.shape[-1]
    held = np.zeros(weights.shape, dtype=np.bool_)
    found = weights
    for _ in range(K):  # Every round but the last holds one head more, in some row.
        over = noisy & ~held & (found > 1.0 / K)
        if not over.any():
            break
        held |= over
        free = np.where(held, 0.0, weights)
        rest = free.sum(axis=-1, keepdims=True)
        left = 1.0 - held.sum(axis=-1, keepdims=True) / K
        # Divided before it is multiplied: a rest that is all but nothing must not make the factor infinite.
        shares = np.divide(free, rest, out=np.full_like(free, 1.0 / K), where=rest > 0.0)
        found = np.where(held.any(axis=-1, keepdims=True), np.where(rest > 0.0, left * shares, shares), weights)
        found = np.where(held, 1.0 / K, found)
    return found
