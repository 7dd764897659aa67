"""Series of numbers, thinned out so that a page can draw them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 200
MOST_CHANNELS = 12
MOST_VALUES = 12
"""Of a vector."""


def thinned(values: NDArray[Any], most: int = MOST_POINTS) -> tuple[list[int], list[float | None]]:
    """At most `most` of the values `[steps]`, and where they stand: of each of equal spans the least and the largest,
    in their order. What is not finite is None; a span of nothing else keeps its first value."""
    if len(values) <= most:
        kept = np.arange(len(values))
    else:
        edges = np.linspace(0, len(values), most // 2 + 1).astype(np.int64)
        pairs = [_extremes(values[start:end], start) for start, end in pairwise(edges.tolist())]
        kept = np.array(sorted({place for pair in pairs for place in pair}), dtype=np.int64)
    return kept.tolist(), [number(value) for value in values[kept]]


def number(value: Any) -> float | None:
    """A number as JSON can have it."""
    plain = float(value)
    return plain if np.isfinite(plain) else None


def _extremes(values: NDArray[Any], start: int) -> tuple[int, int]:
    finite = np.flatnonzero(np.isfinite(values))
    if not len(finite):
        return start, start
    some = values[finite]
    return start + int(finite[some.argmin()]), start + int(finite[some.argmax()])


def told_series(value: Any) -> dict[str, Any]:
    """One sample of a time series `[steps, channels]` (or `[steps]`)."""
    series = np.asarray(value, dtype=np.float64)
    shape = list(series.shape)
    if series.ndim == 1:
        series = series[:, None]
    if series.ndim != 2:
        return {"shape": shape, "series": []}
    lines = []
    for channel in range(min(MOST_CHANNELS, series.shape[1])):
        steps, values = thinned(series[:, channel])
        lines.append({"steps": steps, "values": values})
    return {"shape": shape, "series": lines}


def told_vector(value: Any) -> dict[str, Any]:
    """One embedding."""
    vector = np.asarray(value, dtype=np.float64).reshape(-1)
    finite = vector[np.isfinite(vector)]
    return {
        "length": len(vector),
        "values": [number(each) for each in vector[:MOST_VALUES]],
        "min": number(finite.min()) if len(finite) else None,
        "max": number(finite.max()) if len(finite) else None,
        "norm": number(np.sqrt(np.square(finite).sum())) if len(finite) else None,
    }
