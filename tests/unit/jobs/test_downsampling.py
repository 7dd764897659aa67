"""Thinning out curves."""

from __future__ import annotations

import pytest

from core.jobs.downsampling import thin, turning_points
from core.jobs.views import MetricPoint


def _curve(values: list[float | None]) -> list[MetricPoint]:
    return [
        MetricPoint(scope="epoch", epoch=n, head="fused", split="train", metric="loss", value=value, se=None, seq=n)
        for n, value in enumerate(values, start=1)
    ]


def test_the_shape_of_a_curve_survives() -> None:
    points = _curve([1.0, 1.0, 9.0, 1.0, 0.1, 1.0, 2.0, 2.0, 2.0, 8.0, 2.0, 0.2, 2.0, 2.0])
    assert [point.epoch for point in thin(points, 8)] == [1, 3, 5, 7, 8, 10, 12, 14]
    assert [point.epoch for point in thin(points, 4)] == [1, 3, 5, 14]


def test_values_that_were_not_finite_are_neither_lowest_nor_highest() -> None:
    points = _curve([None, 3.0, 1.0, None, None])
    assert [point.epoch for point in thin(points, 4)] == [1, 2, 3, 5]
    assert [point.epoch for point in thin(_curve([None] * 6), 4)] == [1, 6]


def test_below_four_points_the_last_of_each_bucket_is_kept() -> None:
    points = _curve([5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    assert [point.epoch for point in thin(points, 2)] == [3, 6]
    assert [point.epoch for point in thin(points, 1)] == [6]
    assert thin(points, 6) == tuple(points)


def _weights(*of_a: float) -> list[dict[str, float]]:
    return [{"a": value, "b": 1 - value} for value in of_a]


def test_a_turn_of_the_weights_survives_between_its_buckets_ends() -> None:
    history = _weights(0.5, 0.5, 0.9, 0.5, 0.5, 0.5, 0.4, 0.4, 0.1, 0.1, 0.1, 0.1)
    assert turning_points(history, 12) == tuple(range(12))
    assert turning_points(history, 6) == (0, 2, 5, 6, 8, 11)
    assert turning_points(history, 3) == (0, 2, 11)


def test_below_three_points_the_last_super_epochs_of_each_bucket_are_kept() -> None:
    assert turning_points(_weights(0.1, 0.9, 0.1, 0.9), 2) == (1, 3)
    assert turning_points(_weights(0.1, 0.9, 0.1, 0.9), 1) == (3,)
    assert turning_points([], 3) == ()


def test_a_head_that_comes_or_goes_is_a_turn() -> None:
    history = [{"a": 1.0}, {"a": 1.0}, {"a": 1.0, "b": 0.3}, {"a": 1.0, "b": 0.3}, {"a": 1.0, "b": 0.3}]
    assert turning_points(history, 3) == (0, 2, 4)


def test_no_points_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        turning_points([{"a": 1.0}], 0)
