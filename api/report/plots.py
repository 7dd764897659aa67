"""Where things lie in the report's plots: coordinates in SVG user units. The template draws them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from api.report.rows import Units, seconds
from core.jobs.comparison import Comparison, StrategySummary

WIDTH = 760.0
_LEFT = 190.0
_RIGHT = WIDTH - 30.0
_TOP = 16.0
_ROW = 34.0
_LABEL_CHARACTERS = 24
_SMALL = (240.0, 150.0)
"""Width and height of one of the weight plots' drawing areas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A strategy in the plot of scores: its seeds, its mean, the interval of the mean."""

    label: str
    name: str
    y: float
    points: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorePlot:
    """Scores along x, a strategy per row."""

    height: float
    left: float
    right: float
    bottom: float
    ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A strategy in the plot of cost against score."""

    label: str
    name: str
    x: float
    y: float
    interval: tuple[float, float] | None
    on_the_left: bool
    """Whether the label stands left of the mark, where there is room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPlot:
    """Mean seconds along x, mean score along y."""

    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One head's mean weight over the super-epochs."""

    head: str
    colour: int
    """Of the heads, counted from 0: the style sheet knows which."""
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightPlot:
    """The weights of one strategy that estimates them."""

    strategy: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    curves: tuple[Curve, ...]


def score_plot(comparison: Comparison, units: Units) -> ScorePlot | None:
    """The test metric per strategy with its interval and its seeds; `None` while nothing is measured."""
    rows = [row for row in comparison.strategies if row.test.mean is not None]
    if not rows:
        return None
    low, high = _score_range(rows)
    scale = _Scale(low, high, _LEFT, _RIGHT)
    bars = tuple(
        Bar(
            label=_short(row.strategy),
            name=row.strategy,
            y=_TOP + _ROW * (place + 0.5),
            points=tuple(scale(each.score) for each in row.scores),
            mean=scale(row.test.mean),
            interval=_interval(row, scale),
        )
        for place, row in enumerate(rows)
    )
    bottom = _TOP + _ROW * len(rows)
    ticks = tuple(Tick(at=scale(value), label=units.score(value)) for value in nice(low, high))
    return ScorePlot(height=bottom + 34.0, left=_LEFT, right=_RIGHT, bottom=bottom, ticks=ticks, bars=bars)


def cost_plot(comparison: Comparison, units: Units) -> CostPlot | None:
    """What each strategy cost against what it reached; `None` while nothing is measured."""
    rows = [(row, row.cost) for row in comparison.strategies if row.test.mean is not None and row.cost is not None]
    if not rows:
        return None
    left, top, bottom = 70.0, _TOP, 300.0
    most = max(cost.seconds for _, cost in rows) * 1.05 or 1.0
    low, high = _score_range([row for row, _ in rows])
    across, up = _Scale(0.0, most, left, _RIGHT), _Scale(low, high, bottom, top)
    marks = tuple(
        Mark(
            label=_short(row.strategy),
            name=row.strategy,
            x=across(cost.seconds),
            y=up(row.test.mean),
            interval=_interval(row, up),
            on_the_left=cost.seconds > most / 2,
        )
        for row, cost in rows
    )
    return CostPlot(
        height=bottom + 40.0,
        left=left,
        right=_RIGHT,
        top=top,
        bottom=bottom,
        x_ticks=tuple(Tick(at=across(value), label=seconds(value)) for value in nice(0.0, most)),
        y_ticks=tuple(Tick(at=up(value), label=units.score(value)) for value in nice(low, high)),
        marks=marks,
    )


def weight_plots(comparison: Comparison) -> tuple[WeightPlot, ...]:
    """The mean weights over the super-epochs, a plot for each strategy that estimates them."""
    rows = [row for row in comparison.strategies if row.super_epochs]
    heads = list(dict.fromkeys(head for row in rows for each in row.super_epochs for head in each.weights))
    last = max((each.super_epoch for row in rows for each in row.super_epochs), default=0)
    left, top = 40.0, 12.0
    right, bottom = left + _SMALL[0], top + _SMALL[1]
    across = _Scale(1.0, float(last + 1), left, right)
    up = _Scale(0.0, 1.0, bottom, top)
    numbers = sorted({1, *(round(value) for value in nice(1.0, last + 1.0))}) if last else [1]
    return tuple(
        WeightPlot(
            strategy=row.strategy,
            width=right + 12.0,
            height=bottom + 26.0,
            left=left,
            right=right,
            top=top,
            bottom=bottom,
            x_ticks=tuple(Tick(at=across(number), label=str(number)) for number in numbers),
            y_ticks=tuple(Tick(at=up(value), label=f"{value:g}") for value in (0.0, 0.5, 1.0)),
            curves=tuple(
                Curve(
                    head=head,
                    colour=heads.index(head),
                    points=tuple(
                        (across(each.super_epoch + 1), up(each.weights[head]))
                        for each in row.super_epochs
                        if head in each.weights
                    ),
                )
                for head in heads
                if any(head in each.weights for each in row.super_epochs)
            ),
        )
        for row in rows
    )


def nice(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`, three to eight of them; just `low` where there is no room between."""
    if not high > low:
        return [low]
    raw = (high - low) / 5.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= raw * 0.999)
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


class _Scale:
    """A linear map of `[low, high]` to `[start, end]`; what lies outside is put on the edge."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._span = low, high - low
        self._start, self._length = start, end - start

    def __call__(self, value: float | None) -> float:
        share = 0.5 if value is None or self._span <= 0.0 else (value - self._low) / self._span
        return round(self._start + min(max(share, 0.0), 1.0) * self._length, 2)


def _score_range(rows: Sequence[StrategySummary]) -> tuple[float, float]:
    """Room for every seed and for the intervals, but not for those of two seeds that go on for ever."""
    scores = [each.score for row in rows for each in row.scores]
    low, high = min(scores), max(scores)
    room = max(high - low, 0.01 * max(abs(low), abs(high)), 1e-9)
    ends = [*_ends(rows)]
    lowest, highest = min([low - 0.08 * room, *ends]), max([high + 0.08 * room, *ends])
    return max(lowest, low - room), min(highest, high + room)


def _ends(rows: Iterable[StrategySummary]) -> Iterable[float]:
    for row in rows:
        if row.test.ci_low is not None and row.test.ci_high is not None:
            yield from (row.test.ci_low, row.test.ci_high)


def _interval(row: StrategySummary, scale: _Scale) -> tuple[float, float] | None:
    if row.test.ci_low is None or row.test.ci_high is None:
        return None
    return scale(row.test.ci_low), scale(row.test.ci_high)


def _short(name: str) -> str:
    return name if len(name) <= _LABEL_CHARACTERS else f"{name[: _LABEL_CHARACTERS - 1]}…"
