"""Student's t: the quantile behind an interval from few samples, without scipy."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

_EXACT = 200
"""Up to so many degrees of freedom the series is summed; beyond, the expansion is exact to eight digits."""


def central_probability(t: float, dof: int) -> float:
    """P(|T| <= t) with `dof` degrees of freedom: the finite series of Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan2(t, math.sqrt(dof))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = dof % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(1 + odd, dof, 2):
        total += term
        term *= cosine * cosine * k / (k + 1)
    return 2.0 / math.pi * (angle + sine * total) if odd else sine * total


@cache
def two_sided_quantile(probability: float, dof: int) -> float:
    """The t with P(|T| <= t) = `probability`: 12.706 for 0.95 and one degree of freedom, 1.96 for many.

    Beyond 200 degrees of freedom by the expansion about the normal quantile (Abramowitz and Stegun, 26.7.5).
    Raises `ValueError` unless 0 < `probability` < 1 and `dof` >= 1.
    """
    if not 0.0 < probability < 1.0 or dof < 1:
        raise ValueError("a probability between 0 and 1 and at least one degree of freedom are needed")
    if dof > _EXACT:
        return _expanded(NormalDist().inv_cdf(0.5 + probability / 2.0), dof)
    low, high = 0.0, 1.0
    while central_probability(high, dof) < probability:
        high *= 2.0
    while True:
        middle = (low + high) / 2.0
        if not low < middle < high:  # no number is left between them
            return middle
        if central_probability(middle, dof) < probability:
            low = middle
        else:
            high = middle


def _expanded(z: float, dof: int) -> float:
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return math.fsum(term / dof**power for power, term in enumerate(terms))
