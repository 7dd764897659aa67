"""Metrics against scikit-learn to 1e-12, ties and degenerate cases among them, and their bootstrap errors."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from core.training import metrics, scoring
from core.training.scoring import BinaryMetrics, MulticlassMetrics, MultilabelMetrics, RegressionMetrics, bootstrap_se

CLOSE = {"rel": 1e-12, "abs": 1e-12}


def one(values):
    """The metric itself: the value of the one draw."""
    assert values.shape == (1,)
    return float(values[0])


def binary(samples):
    """Scores with many ties, and labels of both kinds."""
    return st.tuples(
        st.lists(st.integers(-3, 3), min_size=samples, max_size=samples),
        st.lists(st.booleans(), min_size=samples, max_size=samples).filter(lambda labels: 0 < sum(labels) < samples),
    )


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 30).flatmap(binary))
def test_auc_and_average_precision_are_scikit_learns_ties_included(drawn):
    scores, labels = np.array(drawn[0], dtype=np.float64), np.array(drawn[1])
    counts = metrics.once(len(scores))
    assert one(metrics.auc(scores, labels, counts)) == pytest.approx(
        sklearn_metrics.roc_auc_score(labels, scores), **CLOSE
    )
    assert one(metrics.average_precision(scores, labels, counts)) == pytest.approx(
        sklearn_metrics.average_precision_score(labels, scores), **CLOSE
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 20).flatmap(binary), st.integers(0, 2**31))
def test_counts_are_repetitions(drawn, seed):
    scores, labels = np.array(drawn[0], dtype=np.float64), np.array(drawn[1])
    counts = metrics.draws(len(scores), 3, seed)
    assert counts.sum(axis=1).tolist() == [len(scores)] * 3
    for name, extra in (("auc", {}), ("average_precision", {})):
        found = getattr(metrics, name)(scores, labels, counts)
        for value, row in zip(found, counts.astype(int), strict=True):
            repeated, marks = np.repeat(scores, row), np.repeat(labels, row)
            whole = getattr(metrics, name)(repeated, marks, metrics.once(len(repeated)), **extra)
            assert value == pytest.approx(one(whole), **CLOSE, nan_ok=True)


def test_ties_by_hand():
    # Pairs (positive, negative): 0.8>0.5, 0.8>0.1, 0.5=0.5 (one half), 0.5>0.1: 3.5 of 4.
    scores, labels = np.array([0.8, 0.5, 0.5, 0.1]), np.array([True, True, False, False])
    assert one(metrics.auc(scores, labels, metrics.once(4))) == 0.875
    # Thresholds 0.8: recall 1/2, precision 1; 0.5: recall 1, precision 2/3.
    assert one(metrics.average_precision(scores, labels, metrics.once(4))) == pytest.approx(0.5 + 0.5 * 2 / 3)


@pytest.mark.parametrize("labels", [[True] * 3, [False] * 3])
def test_one_class_has_no_auc(labels):
    assert math.isnan(one(metrics.auc(np.array([1.0, 2.0, 3.0]), np.array(labels), metrics.once(3))))


def test_average_precision_needs_a_positive_only():
    scores = np.array([1.0, 2.0, 3.0])
    assert math.isnan(one(metrics.average_precision(scores, np.zeros(3, dtype=bool), metrics.once(3))))
    assert one(metrics.average_precision(scores, np.ones(3, dtype=bool), metrics.once(3))) == 1.0


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 5, 50).astype(float), rng.random(50) < 0.4
    counts = metrics.draws(50, 7, 1)
    whole = [metrics.auc(scores, labels, counts), metrics.average_precision(scores, labels, counts)]
    monkeypatch.setattr(metrics, "CHUNK", 100)  # two draws at once
    assert np.array_equal(metrics.auc(scores, labels, counts), whole[0])
    assert np.array_equal(metrics.average_precision(scores, labels, counts), whole[1])


def test_balanced_accuracy_is_scikit_learns():
    rng = np.random.default_rng(1)
    actual, predicted = rng.choice(4, 60, p=[0.7, 0.1, 0.1, 0.1]), rng.integers(0, 5, 60)
    assert one(metrics.balanced_accuracy(predicted, actual, metrics.once(60))) == pytest.approx(
        np.mean(sklearn_metrics.recall_score(actual, predicted, average=None, labels=[0, 1, 2, 3])), **CLOSE
    )


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_regression_metrics_are_scikit_learns(offset):
    rng = np.random.default_rng(2)
    actual = offset + rng.normal(size=40)
    predicted = actual + 0.3 * rng.normal(size=40)
    counts = metrics.once(40)
    assert one(metrics.r2(predicted, actual, counts)) == pytest.approx(
        sklearn_metrics.r2_score(actual, predicted), rel=1e-12
    )
    assert one(metrics.rmse(predicted, actual, counts)) == pytest.approx(
        sklearn_metrics.root_mean_squared_error(actual, predicted), rel=1e-12
    )
    assert one(metrics.mae(predicted, actual, counts)) == pytest.approx(
        sklearn_metrics.mean_absolute_error(actual, predicted), rel=1e-12
    )


def test_r2_of_a_constant_target_is_undefined():
    assert math.isnan(one(metrics.r2(np.array([1.0, 2.0]), np.array([0.1, 0.1]), metrics.once(2))))


def test_macro_leaves_undefined_labels_out():
    values = [np.array([0.5, np.nan]), np.array([1.0, np.nan]), np.array([np.nan, np.nan])]
    found = metrics.macro(values)
    assert found[0] == 0.75
    assert math.isnan(found[1])


def test_multilabel_metrics_are_macro_means_over_labels_that_have_them():
    rng = np.random.default_rng(3)
    odds, has = rng.normal(size=(50, 4)), rng.random((50, 4)) < 0.3
    has[:, 3] = False
    values = MultilabelMetrics().values(np.stack([odds, has.astype(float)], axis=1), metrics.once(50))
    assert one(values["mean_average_precision"]) == pytest.approx(
        sklearn_metrics.average_precision_score(has[:, :3], odds[:, :3], average="macro"), **CLOSE
    )
    assert one(values["auc"]) == pytest.approx(
        sklearn_metrics.roc_auc_score(has[:, :3], odds[:, :3], average="macro"), **CLOSE
    )


TASKS = {
    "multiclass": (MulticlassMetrics(), lambda rng, n: rng.integers(0, 3, (n, 2))),
    "binary": (BinaryMetrics(), lambda rng, n: np.stack([rng.normal(size=n), *rng.integers(0, 2, (2, n))], axis=1)),
    "multilabel": (
        MultilabelMetrics(),
        lambda rng, n: np.stack([rng.normal(size=(n, 3)), (rng.random((n, 3)) < 0.5) * 1.0], axis=1),
    ),
    "regression": (RegressionMetrics(), lambda rng, n: rng.normal(size=(n, 2))),
}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_names_its_metrics_primary_first(task):
    kind, make = TASKS[task]
    evidence = make(np.random.default_rng(4), 30)
    counts = metrics.draws(30, 5, 0)
    values = kind.values(evidence, counts)
    assert tuple(values) == kind.names
    assert kind.names[0] == kind.primary
    assert np.array_equal(values[kind.primary], kind.score(evidence, counts))
    assert all(value.shape == (5,) for value in values.values())


def test_a_bootstrap_error_is_that_of_the_formula_where_there_is_one():
    rng = np.random.default_rng(5)
    evidence = np.stack([rng.integers(0, 2, 400), np.zeros(400, dtype=int)], axis=1)
    accuracy = float((evidence[:, 0] == 0).mean())
    expected = math.sqrt(accuracy * (1 - accuracy) / 400)
    assert bootstrap_se(MulticlassMetrics(), evidence, 7) == pytest.approx(expected, rel=0.15)
    assert bootstrap_se(MulticlassMetrics(), evidence, 7) == bootstrap_se(MulticlassMetrics(), evidence, 7)
    assert bootstrap_se(MulticlassMetrics(), evidence, 8) != bootstrap_se(MulticlassMetrics(), evidence, 7)


def test_no_error_where_most_draws_leave_the_metric_undefined():
    evidence = np.array([[0.3, 1.0], [0.2, 1.0]])
    assert bootstrap_se(RegressionMetrics(), evidence, 0) is None


def test_many_samples_are_drawn_in_blocks(monkeypatch):
    monkeypatch.setattr(metrics, "CHUNK", 1000)
    assert scoring._blocks(200, 300) == [(first, min(3, 200 - first)) for first in range(0, 200, 3)]
    evidence = np.random.default_rng(6).normal(size=(300, 2))
    assert bootstrap_se(RegressionMetrics(), evidence, 0) > 0.0


def test_much_evidence_takes_fewer_draws(monkeypatch):
    assert scoring.draws_for(np.empty((20_000, 2))) == 200
    assert scoring.draws_for(np.empty((20_000, 2, 200))) == 50
    assert scoring.draws_for(np.empty((20_000, 2, 527))) == 30
    monkeypatch.setattr(scoring, "CELLS", 0)
    assert bootstrap_se(RegressionMetrics(), np.random.default_rng(6).normal(size=(300, 2)), 0) > 0.0
