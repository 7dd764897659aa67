"""Per-sample losses by hand; measuring disturbs nothing."""

import math

import numpy as np
import pytest
import torch

from core.spec.base import AVERAGE
from core.training.batches import Batch, InOrder
from core.training.measure import Scores, measure
from core.training.objective import Multiclass
from core.training.scoring import BinaryMetrics, MulticlassMetrics, RegressionMetrics


class Given(torch.nn.Module):
    """Heads whose logits are the inputs themselves."""

    def __init__(self):
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, inputs, heads):
        return {name: self.drop(inputs[name]) for name in heads}


def batch(a, b, targets):
    return Batch({"a": torch.tensor(a), "b": torch.tensor(b)}, torch.tensor(targets))


LOG3 = math.log(3.0)


def test_losses_are_per_sample_and_in_order_over_batches_of_any_size():
    scores = measure(
        Given(),
        InOrder([batch([[LOG3, 0.0], [LOG3, 0.0]], [[0.0, 0.0]] * 2, [0, 1]), batch([[0.0, LOG3]], [[0.0, 0.0]], [1])]),
        ["a"],
        objective=Multiclass(),
    )["a"]
    assert scores.losses == pytest.approx([math.log(4 / 3), math.log(4), math.log(4 / 3)])
    assert scores.losses.dtype == np.float64
    assert scores.metrics.hits(scores.evidence).tolist() == [True, False, True]


def test_the_average_mixes_probabilities_with_the_weights():
    # a says 3/4, b says 1/2: 0.8 * 3/4 + 0.2 * 1/2 = 0.7.
    scores = measure(
        Given(),
        InOrder([batch([[LOG3, 0.0]], [[0.0, 0.0]], [0])]),
        ["a", "b"],
        objective=Multiclass(),
        average={"a": 0.8, "b": 0.2},
    )
    assert scores[AVERAGE].losses == pytest.approx([-math.log(0.7)])


def test_the_mode_of_every_part_is_restored_and_no_number_is_drawn():
    module = Given()
    module.train()
    module.drop.eval()
    state = torch.get_rng_state()
    measure(module, InOrder([batch([[LOG3, 0.0]], [[0.0, 0.0]], [0])]), ["a"], objective=Multiclass())
    assert module.training
    assert not module.drop.training
    assert torch.equal(torch.get_rng_state(), state)


def test_means_and_standard_errors():
    evidence = np.array([[0, 0], [1, 1], [0, 1], [0, 0]])
    found = Scores(np.array([1.0, 2.0, 3.0, 2.0]), evidence, MulticlassMetrics()).measurement("a", "test")
    assert (found.loss, found.accuracy, found.samples) == (2.0, 0.75, 4)
    assert found.loss_se == pytest.approx(math.sqrt(2 / 3) / 2)
    assert found.accuracy_se == pytest.approx(0.25)
    assert (found.score, found.score_se) == (found.accuracy, found.accuracy_se)
    assert found.metrics == {"accuracy": 0.75, "balanced_accuracy": 0.75}
    assert found.flags == ()


def test_a_score_without_a_formula_has_an_error_only_where_it_is_asked_for():
    rng = np.random.default_rng(0)
    actual = rng.normal(size=50)
    scores = Scores(np.ones(50), np.stack([actual + 0.1 * rng.normal(size=50), actual], axis=1), RegressionMetrics())
    plain, full = scores.measurement("a", "test"), scores.measurement("a", "test", bootstrap=3)
    assert (plain.accuracy, plain.accuracy_se, plain.score_se) == (None, None, None)
    assert plain.score == full.score == plain.metrics["r2"]
    assert 0.0 < full.score_se < 0.01
    assert full == scores.measurement("a", "test", bootstrap=3)


def test_a_metric_that_a_part_leaves_undefined_is_null_and_flagged():
    evidence = np.array([[1.0, 1.0, 1.0], [-2.0, 0.0, 1.0]])  # both samples are of the second class
    found = Scores(np.ones(2), evidence, BinaryMetrics()).measurement("a", "validation")
    assert (found.score, found.metrics["auc"], found.metrics["average_precision"]) == (0.5, None, 1.0)
    assert found.flags == ("metric_undefined",)
    constant = Scores(np.ones(2), np.array([[1.0, 2.0], [3.0, 2.0]]), RegressionMetrics())
    found = constant.measurement("a", "validation", bootstrap=1)
    assert (found.score, found.score_se, found.metrics["mae"]) == (None, None, 1.0)


def test_outputs_that_are_no_numbers_have_no_metrics():
    found = Scores(np.array([math.inf]), np.array([[math.inf, 2.0]]), RegressionMetrics()).measurement("a", "train")
    assert (found.loss, found.score) == (None, None)
    assert found.metrics == {"r2": None, "rmse": None, "mae": None}
    assert found.flags == ("not_finite",)


def test_a_loss_that_is_no_number_is_null_and_flagged():
    found = Scores(np.array([math.nan]), np.array([[0, 1]]), MulticlassMetrics()).measurement("a", "train")
    assert found.loss is None
    assert found.flags == ("not_finite",)
