"""Many runs to one comparison: means with their uncertainty, and differences in pairs. Pure; stdlib alone.

For one seed all strategies train on the same rows, are measured on the same V and draw the same initial weights, so
the difference of two strategies is taken within each seed: what makes a seed easy or hard for everybody cancels out.
Intervals are Student's 95 % intervals of a mean over n seeds, `mean +- t(n - 1) * sd / sqrt(n)`; they take the seeds as
independent draws and say nothing about other data. With fewer than two seeds there is no spread: `None`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from core.errors import SpecError
from core.student import two_sided_quantile

CONFIDENCE = 0.95
DEFAULT_METRIC = "accuracy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is known of one job of an experiment."""

    strategy: str
    seed: int
    job_id: str
    result: Mapping[str, Any] | None
    """`core.events.RunCompleted` as JSON; `None` until the job has succeeded."""
    weights: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Super-epoch -> head -> weight, where weights are estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A number over n seeds."""

    n: int
    mean: float | None
    sd: float | None
    """Standard deviation over the seeds, with n - 1."""
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedScore:
    """The test metric of what one job's model answers with."""

    seed: int
    job_id: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanCost:
    """What a run of the strategy cost, on average over the seeds that are done."""

    seconds: float
    """In all phases together."""
    samples: float
    """Forward-and-backward passes of one sample through one head's network: unlike seconds the same on any machine."""
    seconds_by_phase: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanWeights:
    """The weights of one super-epoch, on average over the seeds that have come so far."""

    super_epoch: int
    n: int
    weights: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySummary:
    """One row of the comparison."""

    strategy: str
    planned: int
    """How many seeds it has."""
    done: int
    """How many of them succeeded so far."""
    test: Spread
    """The test metric of what the model answers with."""
    scores: tuple[SeedScore, ...]
    heads: dict[str, Spread]
    """The test metric of each head, whether it answers or not."""
    answers: dict[str, int]
    """How often each head was chosen to answer."""
    weights: dict[str, float]
    """Head -> weight of the last super-epoch, on average."""
    super_epochs: tuple[MeanWeights, ...]
    """The estimated weights over time; empty for a strategy that estimates nothing."""
    cost: MeanCost | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A strategy minus another one, over the seeds that both have."""

    strategy: str
    minus: str
    pairs: int
    mean: float | None
    se: float | None
    """Standard error of the mean difference."""
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that an experiment can say so far."""

    metric: str
    """What is compared, measured on the test part; higher is better."""
    reference: str
    best: str | None
    """The strategy with the highest mean, in hindsight: chosen on the test part, so its own number flatters it."""
    strategies: tuple[StrategySummary, ...]
    to_reference: tuple[Difference, ...]
    """Every other strategy minus the reference."""
    to_best: tuple[Difference, ...]
    """Every other strategy minus the best; empty until one is done."""


def compare(strategies: Sequence[str], outcomes: Iterable[Outcome], *, reference: str | None = None) -> Comparison:
    """The comparison of what is done so far, strategies in the order given; `reference` defaults to the first of them.

    Raises `SpecError` (`reference.unknown`) where there is no such strategy.
    """
    chosen = strategies[0] if reference is None else reference
    if chosen not in strategies:
        raise SpecError(
            f"the experiment has no strategy {chosen!r} to compare with",
            code="reference.unknown",
            hint=f"one of {', '.join(strategies)}",
        )
    by_strategy: dict[str, list[Outcome]] = {strategy: [] for strategy in strategies}
    for outcome in outcomes:
        by_strategy[outcome.strategy].append(outcome)
    rows = [_summary(strategy, found) for strategy, found in by_strategy.items()]
    measured = [row for row in rows if row.test.mean is not None]
    best = max(measured, key=lambda row: row.test.mean or 0.0) if measured else None
    metrics = [metric_of(o.result) for found in by_strategy.values() for o in found if o.result is not None]
    return Comparison(
        metric=metrics[0] if metrics else DEFAULT_METRIC,
        reference=chosen,
        best=None if best is None else best.strategy,
        strategies=tuple(rows),
        to_reference=_differences(rows, chosen),
        to_best=() if best is None else _differences(rows, best.strategy),
    )


def metric_of(result: Mapping[str, Any]) -> str:
    """What `score_of` measures."""
    return str(result.get("metric") or DEFAULT_METRIC)


def score_of(result: Mapping[str, Any]) -> float | None:
    """The test metric of what the model answers with, higher is better; `None` where it was not finite."""
    score: float | None = result.get("test_score")
    return result.get("test_accuracy") if score is None else score


def head_score_of(measurement: Mapping[str, Any]) -> float | None:
    """The same metric of one head."""
    score: float | None = measurement.get("score")
    return measurement.get("accuracy") if score is None else score


def spread(values: Sequence[float]) -> Spread:
    """Mean, standard deviation and 95 % interval of the mean."""
    n = len(values)
    if n < 2:
        return Spread(n=n, mean=values[0] if n else None, sd=None, ci_low=None, ci_high=None)
    mean, sd = fmean(values), stdev(values)
    half = two_sided_quantile(CONFIDENCE, n - 1) * sd / math.sqrt(n)
    return Spread(n=n, mean=mean, sd=sd, ci_low=mean - half, ci_high=mean + half)


def _summary(strategy: str, outcomes: Sequence[Outcome]) -> StrategySummary:
    done = [outcome for outcome in outcomes if outcome.result is not None]
    results = [outcome.result for outcome in done if outcome.result is not None]
    scores = tuple(
        SeedScore(seed=outcome.seed, job_id=outcome.job_id, score=score)
        for outcome, result in zip(done, results, strict=True)
        if (score := score_of(result)) is not None
    )
    return StrategySummary(
        strategy=strategy,
        planned=len(outcomes),
        done=len(done),
        test=spread([each.score for each in scores]),
        scores=scores,
        heads={head: spread(values) for head, values in _head_scores(results).items()},
        answers=dict(Counter(str(result["answer"]) for result in results).most_common()),
        weights=_means(result.get("weights") or {} for result in results),
        super_epochs=_weights_over_time(outcomes),
        cost=_mean_cost(results),
    )


def _head_scores(results: Iterable[Mapping[str, Any]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for result in results:
        for measurement in result.get("test") or ():
            score = head_score_of(measurement)
            if score is not None:
                found.setdefault(str(measurement["head"]), []).append(score)
    return found


def _weights_over_time(outcomes: Sequence[Outcome]) -> tuple[MeanWeights, ...]:
    numbers = sorted({number for outcome in outcomes for number in outcome.weights})
    found = []
    for number in numbers:
        there = [outcome.weights[number] for outcome in outcomes if number in outcome.weights]
        found.append(MeanWeights(super_epoch=number, n=len(there), weights=_means(there)))
    return tuple(found)


def _mean_cost(results: Sequence[Mapping[str, Any]]) -> MeanCost | None:
    costs = [result["cost"] for result in results if result.get("cost")]
    if not costs:
        return None
    by_phase = _means({phase: part["seconds"] for phase, part in cost.items()} for cost in costs)
    return MeanCost(
        seconds=math.fsum(by_phase.values()),
        samples=fmean(sum(part["samples"] for part in cost.values()) for cost in costs),
        seconds_by_phase=by_phase,
    )


def _means(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each key over all rows; a row that lacks a key counts as 0 there."""
    all_rows = list(rows)
    keys = dict.fromkeys(key for row in all_rows for key in row)
    return {key: fmean(row.get(key, 0.0) for row in all_rows) for key in keys}


def _differences(rows: Sequence[StrategySummary], other: str) -> tuple[Difference, ...]:
    (base,) = (row for row in rows if row.strategy == other)
    return tuple(_difference(row, base) for row in rows if row is not base)


def _difference(row: StrategySummary, base: StrategySummary) -> Difference:
    theirs = {each.seed: each.score for each in base.scores}
    found = spread([each.score - theirs[each.seed] for each in row.scores if each.seed in theirs])
    return Difference(
        strategy=row.strategy,
        minus=base.strategy,
        pairs=found.n,
        mean=found.mean,
        se=None if found.sd is None else found.sd / math.sqrt(found.n),
        ci_low=found.ci_low,
        ci_high=found.ci_high,
    )
