"""Fewer points per curve, each of them really measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

_PER_BUCKET = 4
"""First, lowest, highest, last: a curve drawn through them looks like the whole curve (Jugel et al. 2014, "M4")."""

_PER_BUCKET_OF_WEIGHTS = 3


class Point(Protocol):
    """A measured point of a curve."""

    @property
    def scope(self) -> str: ...
    @property
    def head(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def value(self) -> float | None: ...


P = TypeVar("P", bound=Point)


def thin(points: Sequence[P], max_points: int) -> tuple[P, ...]:
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
    return tuple(points[index] for index in sorted(kept))


def series_of(point: Point) -> tuple[str, str, str, str]:
    """Which curve a point belongs to."""
    return point.scope, point.head, point.split, point.metric


def _kept(points: Sequence[Point], indices: Sequence[int], max_points: int) -> set[int]:
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
            if finite:
                kept |= {min(finite)[1], max(finite)[1]}
    return kept


def turning_points(weights: Sequence[Mapping[str, float]], max_points: int) -> tuple[int, ...]:
    """Which rows to keep of a history of weights, in order: at most `max_points`, the newest among them.

    The rows are cut into buckets of equally many; of each the first is kept, the last, and the one whose weights differ
    most from the row before (in the 1-norm): a turn of the weights is not lost between two that are alike. Where
    `max_points` is below 3, the last of each bucket. Raises `ValueError` for `max_points` below 1.
    """
    if max_points < 1:
        raise ValueError("max_points must be at least 1")
    count = len(weights)
    if count <= max_points:
        return tuple(range(count))
    shaped = max_points >= _PER_BUCKET_OF_WEIGHTS
    buckets = max_points // _PER_BUCKET_OF_WEIGHTS if shaped else max_points
    kept: set[int] = set()
    for bucket in range(buckets):
        first, end = bucket * count // buckets, (bucket + 1) * count // buckets
        kept.add(end - 1)
        if shaped:
            turns = [(_distance(weights[row - 1], weights[row]), row) for row in range(max(1, first), end)]
            kept |= {first, max(turns, key=lambda turn: turn[0])[1]}
    return tuple(sorted(kept))


def _distance(old: Mapping[str, float], new: Mapping[str, float]) -> float:
    return sum(abs(new.get(head, 0.0) - old.get(head, 0.0)) for head in {*old, *new})
