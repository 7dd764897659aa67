"""Least weights of heads, kept exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def with_floors(weights: Floats, floors: Floats) -> Floats:
    """`w_k = max(floor_k, c * w_k)` with the c for which the sum is 1: [..., K] from weights [..., K], floors [K].

    Water-filling: only a head that is below its floor is lifted, and the others give in proportion to what they have.
    (Mixing with the floors instead would also change weights that are high enough.) Weights are >= 0 and sum to 1,
    floors are >= 0 and sum to at most 1. Without any floor above 0 the weights come back as they are.
    """
    if not floors.any():
        return weights
    # A head is lifted while c < floor / weight: sorted by that ratio, the lifted ones are the first m for some m.
    some = weights > 0.0
    with np.errstate(over="ignore"):
        ratio = np.where(some, floors / np.where(some, weights, 1.0), np.where(floors > 0.0, np.inf, 0.0))
    order = np.argsort(-ratio, axis=-1, kind="stable")
    ratio, kept, floor = (
        np.take_along_axis(values, order, axis=-1) for values in (ratio, weights, np.broadcast_to(floors, ratio.shape))
    )
    lifted = np.cumsum(floor, axis=-1) - floor
    # Summed from the small end, so that nothing is left over by cancellation where no weight remains.
    rest = np.cumsum(kept[..., ::-1], axis=-1)[..., ::-1]
    with np.errstate(over="ignore"):
        factor = np.divide(np.maximum(1.0 - lifted, 0.0), rest, out=np.full_like(rest, -1.0), where=rest > 0.0)
    fits = factor >= ratio
    first = np.argmax(fits, axis=-1)[..., None]
    c = np.where(fits.any(axis=-1, keepdims=True), np.take_along_axis(factor, first, axis=-1), 0.0)
    found: Floats = np.maximum(floors, c * weights)
    return found
