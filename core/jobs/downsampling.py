"""Fewer points per curve, each of them really measured."""

from __future__ import annotations

from collections.abc import Sequence

from core.jobs.views import MetricPoint

_PER_BUCKET = 4
"""First, lowest, highest, last: a curve drawn through them looks like the whole curve (Jugel et al. 2014, "M4")."""


def thin(points: Sequence[MetricPoint], max_points: int) -> tuple[MetricPoint, ...]:
    """At most `max_points` of each series (scope, head, split, metric), in the order given.

    A series that is too long is cut into buckets of equally many points; of each, the first, the lowest, the highest
    and the last are kept, or only the last where `max_points` is below 4. The newest point is always among them.
    Raises `ValueError` for `max_points` below 1.
    """
    if max_points < 1:
        raise ValueError("max_points must be at least 1")
    series: dict[tuple[str, str, str, str], list[int]] = {}
    for index, point in enumerate(points):
        series.setdefault(series_of(point), []).append(index)
    kept: set[int] = set()
    for indices in series.values():
        kept.update(_kept(points, indices, max_points))
    return tuple(point for index, point in enumerate(points) if index in kept)


def series_of(point: MetricPoint) -> tuple[str, str, str, str]:
    """Which curve a point belongs to."""
    return point.scope, point.head, point.split, point.metric


def _kept(points: Sequence[MetricPoint], indices: Sequence[int], max_points: int) -> set[int]:
    if len(indices) <= max_points:
        return set(indices)
    shaped = max_points >= _PER_BUCKET
    buckets = max_points // _PER_BUCKET if shaped else max_points
    kept: set[int] = set()
    for bucket in range(buckets):
        inside = indices[bucket * len(indices) // buckets : (bucket + 1) * len(indices) // buckets]
        kept.add(inside[-1])
        if shaped:
            kept.add(inside[0])
            finite = [(value, index) for index in inside if (value := points[index].value) is not None]
            kept.update(index for _, index in sorted(finite)[:1] + sorted(finite)[-1:])
    return kept
