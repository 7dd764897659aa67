"""Comparisons against numbers from scipy and from hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SpecError
from core.jobs.comparison import Outcome, compare, head_score_of, metric_of, score_of, spread
from core.jobs.experiment_views import status_of
from core.jobs.state import JobStatus

NAIVE = {0: 0.70, 1: 0.64, 2: 0.68, 3: 0.71, 4: 0.66}
ONLINE = {0: 0.74, 1: 0.70, 2: 0.69, 3: 0.78, 4: 0.71}


def result(score: float | None, answer: str = "fused", **more: Any) -> dict[str, Any]:
    return {
        "answer": answer,
        "test_accuracy": score,
        "test": [{"head": "audio", "accuracy": 0.5}, {"head": "fused", "accuracy": score}],
        "weights": {"audio": 0.25, "fused": 0.75},
        "cost": {"training": {"seconds": 3.0, "samples": 100}, "estimating": {"seconds": 1.0, "samples": 50}},
        **more,
    }


def outcome(strategy: str, seed: int, score: float | None = None, **more: Any) -> Outcome:
    found = None if score is None else result(score, **more)
    return Outcome(strategy=strategy, seed=seed, job_id=f"{strategy}{seed}", result=found)


def both() -> list[Outcome]:
    return [
        outcome(strategy, seed, score)
        for strategy, scores in (("naive", NAIVE), ("online", ONLINE))
        for seed, score in scores.items()
    ]


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=20))
def test_a_spread_is_numpys_and_scipys(values: list[float]) -> None:
    found = spread(values)
    sd = float(np.std(values, ddof=1))
    assert found.mean == pytest.approx(float(np.mean(values)))
    assert found.sd == pytest.approx(sd, abs=1e-12)
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * sd / math.sqrt(len(values))
    assert found.ci_low == pytest.approx(float(np.mean(values)) - half, abs=1e-9)
    assert found.ci_high == pytest.approx(float(np.mean(values)) + half, abs=1e-9)


def test_one_seed_has_no_spread_and_none_has_no_mean() -> None:
    assert (spread([0.5]).mean, spread([0.5]).sd, spread([0.5]).ci_low) == (0.5, None, None)
    assert (spread([]).n, spread([]).mean) == (0, None)


def test_differences_are_taken_in_pairs() -> None:
    found = compare(["naive", "online"], both())
    (difference,) = found.to_reference
    wanted = scipy.stats.ttest_rel(list(ONLINE.values()), list(NAIVE.values()))
    interval = wanted.confidence_interval(0.95)
    assert (difference.strategy, difference.minus, difference.pairs) == ("online", "naive", 5)
    assert difference.mean == pytest.approx(0.046)  # by hand: 0.04, 0.06, 0.01, 0.07, 0.05
    assert difference.se == pytest.approx(0.046 / wanted.statistic)
    assert (difference.ci_low, difference.ci_high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    unpaired = scipy.stats.ttest_ind(list(ONLINE.values()), list(NAIVE.values())).confidence_interval(0.95)
    assert difference.ci_high - difference.ci_low < unpaired.high - unpaired.low
    assert (found.reference, found.best) == ("naive", "online")
    (back,) = found.to_best
    assert (back.strategy, back.minus, back.mean) == ("naive", "online", pytest.approx(-0.046))


def test_only_seeds_that_both_have_are_pairs() -> None:
    outcomes = [outcome("a", 0, 0.5), outcome("a", 1, 0.5), outcome("a", 2), outcome("b", 0), outcome("b", 1, 0.75)]
    found = compare(["a", "b"], outcomes)
    (difference,) = found.to_reference
    assert (difference.pairs, difference.mean, difference.se, difference.ci_low) == (1, 0.25, None, None)
    a, b = found.strategies
    assert (a.done, a.planned, b.done, b.planned) == (2, 3, 1, 2)


def test_a_strategy_is_summed_up_over_its_seeds() -> None:
    outcomes = [
        outcome("s", 0, 0.5, cost={"training": {"seconds": 5.0, "samples": 200}}),
        outcome("s", 1, 0.75, answer="audio", weights={"audio": 0.75, "fused": 0.25}),
        outcome("s", 2, 0.25),
    ]
    (row,) = compare(["s"], outcomes).strategies
    assert row.answers == {"fused": 2, "audio": 1}
    assert row.weights == {"audio": pytest.approx(1.25 / 3), "fused": pytest.approx(1.75 / 3)}
    assert row.heads["audio"].sd == 0.0
    assert row.heads["fused"].mean == pytest.approx(0.5)
    assert row.cost is not None
    assert row.cost.seconds == pytest.approx(13 / 3)
    assert row.cost.samples == pytest.approx(500 / 3)
    assert row.cost.seconds_by_phase == {"training": pytest.approx(11 / 3), "estimating": pytest.approx(2 / 3)}


def test_weights_over_time_are_those_that_have_come() -> None:
    outcomes = [
        Outcome(strategy="s", seed=0, job_id="a", result=None, weights={0: {"x": 0.5}, 1: {"x": 0.25}}),
        Outcome(strategy="s", seed=1, job_id="b", result=None, weights={0: {"x": 1.0}}),
    ]
    (row,) = compare(["s"], outcomes).strategies
    assert [(each.super_epoch, each.n, each.weights) for each in row.super_epochs] == [
        (0, 2, {"x": 0.75}),
        (1, 1, {"x": 0.25}),
    ]


def test_nothing_done_yet() -> None:
    found = compare(["a", "b"], [outcome("a", 0), outcome("b", 0)])
    assert (found.best, found.to_best, found.metric) == (None, (), "accuracy")
    assert found.strategies[0].cost is None
    assert found.to_reference[0].pairs == 0


def test_a_score_that_is_not_finite_is_left_out_but_the_seed_is_done() -> None:
    outcomes = [Outcome(strategy="a", seed=0, job_id="x", result=result(None)), outcome("a", 1, 0.5)]
    (row,) = compare(["a"], outcomes).strategies
    assert (row.done, row.test.n, row.heads["fused"].n, row.heads["audio"].n) == (2, 1, 1, 2)


def test_the_reference_must_be_there() -> None:
    with pytest.raises(SpecError, match=r"reference\.unknown"):
        compare(["a"], [], reference="b")


def test_negative_scores_have_a_best_too() -> None:
    scores = [outcome("a", 0, None), outcome("b", 0, None)]
    found = [
        Outcome(strategy=o.strategy, seed=0, job_id="x", result=result(None, metric="mse", test_score=score))
        for o, score in zip(scores, (-0.5, -0.25), strict=True)
    ]
    compared = compare(["a", "b"], found)
    assert (compared.metric, compared.best) == ("mse", "b")


def test_the_metric_of_a_result() -> None:
    assert (metric_of({}), score_of({"test_accuracy": 0.5})) == ("accuracy", 0.5)
    general = {"metric": "auc", "test_score": 0.0, "test_accuracy": 0.5}
    assert (metric_of(general), score_of(general)) == ("auc", 0.0)
    assert score_of({"test_score": None, "test_accuracy": None}) is None
    assert (head_score_of({"accuracy": 0.5}), head_score_of({"accuracy": None, "score": -1.0})) == (0.5, -1.0)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["queued", "queued"], "queued"),
        (["queued", "succeeded"], "running"),
        (["starting"], "running"),
        (["cancelling", "failed"], "running"),
        (["succeeded", "succeeded"], "succeeded"),
        (["succeeded", "cancelled"], "cancelled"),
        (["failed", "cancelled", "succeeded"], "failed"),
        ([], "succeeded"),
    ],
)
def test_the_status_of_an_experiment(statuses: list[str], expected: str) -> None:
    counts = {status: statuses.count(status.value) for status in JobStatus}
    assert status_of(counts).value == expected
