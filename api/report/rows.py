"""The numbers of a comparison as the words of its tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.jobs.comparison import Comparison, Difference, Spread, StrategySummary

SHARES = frozenset({"accuracy", "balanced_accuracy", "macro_f1", "f1", "auc", "map", "mean_average_precision"})
"""Metrics between 0 and 1 that people read in percent."""
NOTHING = ""
"""What stands where nothing was measured yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """How scores are written."""

    metric: str
    """For people: `test accuracy, %`."""
    differences: str
    """The unit of a difference: `points`."""
    factor: float
    digits: int

    @classmethod
    def of(cls, metric: str) -> Units:
        """Those of a metric."""
        words = metric.replace("_", " ")
        if metric.lower() in SHARES:
            return cls(metric=f"test {words}, %", differences="points", factor=100.0, digits=1)
        return cls(metric=f"test {words}", differences=words, factor=1.0, digits=4)

    def score(self, value: float | None) -> str:
        """A score; nothing where there is none."""
        return NOTHING if value is None else f"{self.factor * value:.{self.digits}f}"

    def signed(self, value: float | None) -> str:
        """A difference with its sign."""
        return NOTHING if value is None else f"{self.factor * value:+.{self.digits}f}"

    def spread(self, found: Spread) -> str:
        """Mean and standard deviation."""
        return self.score(found.mean) if found.sd is None else f"{self.score(found.mean)} ± {self.score(found.sd)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRow:
    """A strategy's row in the main table."""

    strategy: str
    seeds: str
    test: str
    interval: str
    seconds: str
    phases: str
    samples: str
    answers: str
    weights: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceRow:
    """A strategy's row in a table of differences."""

    strategy: str
    mean: str
    se: str
    interval: str
    pairs: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsTable:
    """Every head's own score: a row per strategy, a column per head."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def summary_row(row: StrategySummary, units: Units) -> SummaryRow:
    """The main table's row."""
    cost = row.cost
    return SummaryRow(
        strategy=row.strategy,
        seeds=f"{row.done} of {row.planned}",
        test=units.spread(row.test),
        interval=_interval(units.score(row.test.ci_low), units.score(row.test.ci_high)),
        seconds=NOTHING if cost is None else seconds(cost.seconds),
        phases=NOTHING if cost is None else _named(cost.seconds_by_phase, seconds),
        samples=NOTHING if cost is None else f"{cost.samples:,.0f}",
        answers=", ".join(f"{head} ({count})" for head, count in row.answers.items()),
        weights=_named(row.weights, lambda weight: f"{weight:.2f}"),
    )


def difference_row(row: Difference, units: Units) -> DifferenceRow:
    """A row of differences; the verdict only says whether the interval leaves 0 out."""
    verdict = NOTHING
    if row.ci_low is not None and row.ci_high is not None:
        verdict = "above" if row.ci_low > 0 else "below" if row.ci_high < 0 else "not told apart"
    return DifferenceRow(
        strategy=row.strategy,
        mean=units.signed(row.mean),
        se=units.score(row.se),
        interval=_interval(units.signed(row.ci_low), units.signed(row.ci_high)),
        pairs=str(row.pairs),
        verdict=verdict,
    )


def heads_table(comparison: Comparison, units: Units) -> HeadsTable:
    """Mean and standard deviation of every head's own test score."""
    heads = tuple(dict.fromkeys(head for row in comparison.strategies for head in row.heads))
    return HeadsTable(
        heads=heads,
        rows=tuple(
            (row.strategy, tuple(units.spread(row.heads[head]) if head in row.heads else NOTHING for head in heads))
            for row in comparison.strategies
        ),
    )


def seconds(value: float) -> str:
    """Seconds for people: three digits that matter."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _interval(low: str, high: str) -> str:
    return f"{low} to {high}" if low and high else NOTHING


def _named(values: dict[str, float], written: Callable[[float], str]) -> str:
    return ", ".join(f"{name} {written(value)}" for name, value in values.items())
