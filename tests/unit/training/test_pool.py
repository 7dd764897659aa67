"""The logarithmic pool: by hand, and against an optimiser that shares no line with it."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp

from core.data.dataset import TargetScale
from core.training.objective import Multiclass, Multilabel, Regression
from core.training.pool import PRIOR_SPREAD, fit_pool


def pooled(outputs, weights):
    return Multiclass().pool(
        outputs, {name: torch.tensor(value, dtype=torch.float64) for name, value in weights.items()}
    )


def test_two_heads_multiply_their_odds():
    # Odds 3:1 and 2:1 with weights 1 and 1: odds 6:1. With weights 1 and 0: 3:1. With 0.5 and 0: sqrt(3):1.
    outputs = {
        "a": torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64),
        "b": torch.tensor([[math.log(2.0), 0.0]], dtype=torch.float64),
    }
    for weights, odds in (((1.0, 1.0), 6.0), ((1.0, 0.0), 3.0), ((0.5, 0.0), math.sqrt(3.0))):
        found = pooled(outputs, dict(zip("ab", weights, strict=True)))
        assert torch.softmax(found, dim=1)[0, 0].item() == pytest.approx(odds / (1 + odds), abs=1e-12)


def voices(rows, seed, **strengths):
    """Heads over 5 classes: noise, and `strength` nats more on the right class."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 5, (rows,), generator=generator)
    outputs = {}
    for name, strength in strengths.items():
        outputs[name] = 2.0 * torch.randn(rows, 5, generator=generator)
        outputs[name][torch.arange(rows), targets] += strength
    return outputs, targets


@pytest.mark.parametrize(("rows", "seed"), [(40, 0), (300, 1)])
def test_the_fit_is_the_minimum_that_scipy_finds(rows, seed):
    outputs, targets = voices(rows, seed, a=3.0, b=2.0, c=0.0, d=-1.0)
    log_p = np.stack([torch.log_softmax(outputs[name].double(), 1).numpy() for name in "abcd"], axis=2)

    def loss(weights):
        mixed = log_p @ weights
        right = (mixed - logsumexp(mixed, axis=1, keepdims=True))[np.arange(rows), targets.numpy()]
        return -right.mean() + ((weights - 0.25) ** 2).sum() / (2 * PRIOR_SPREAD**2 * rows)

    expected = minimize(loss, np.full(4, 0.25), bounds=[(0.0, None)] * 4, options={"ftol": 1e-15, "gtol": 1e-9}).x
    assert list(fit_pool(Multiclass(), outputs, targets).values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_head_that_is_wrong_gets_no_weight_and_the_best_one_most():
    outputs, targets = voices(400, 2, good=4.0, fair=1.5, wrong=-2.0)
    weights = fit_pool(Multiclass(), outputs, targets)
    assert weights["wrong"] == 0.0
    assert weights["good"] > weights["fair"] > 0.0


def test_one_row_says_next_to_nothing():
    outputs, targets = voices(1, 3, a=4.0, b=0.0)
    assert list(fit_pool(Multiclass(), outputs, targets).values()) == pytest.approx([0.5, 0.5], abs=0.15)


def test_an_over_confident_head_is_cooled_down():
    outputs, targets = voices(2000, 4, a=1.0)
    hot = {"a": 5.0 * outputs["a"], "b": torch.zeros_like(outputs["a"])}
    assert 0.0 < fit_pool(Multiclass(), hot, targets)["a"] < 0.2


def test_the_order_of_heads_and_rows_changes_nothing():
    outputs, targets = voices(60, 5, a=2.0, b=1.0)
    first = fit_pool(Multiclass(), outputs, targets)
    turned = {name: outputs[name].flip(0) for name in ("b", "a")}
    assert fit_pool(Multiclass(), turned, targets.flip(0)) == pytest.approx(first, abs=1e-9)


def test_it_pools_a_head_that_is_certain_and_wrong_without_a_number_that_is_none():
    outputs = {"a": torch.tensor([[900.0, 0.0], [900.0, 0.0]]), "b": torch.tensor([[1.0, 0.0], [0.0, 1.0]])}
    weights = fit_pool(Multiclass(), outputs, torch.tensor([0, 1]))
    assert weights["a"] < 0.01
    assert math.isfinite(weights["b"])


@pytest.mark.parametrize("size", [1e10, 3e38])
def test_numbers_beyond_all_measure_that_agree_are_no_error(size):
    # What a regression that diverged leaves: two heads that say the same, so that the curvature has no inverse.
    huge = torch.full((4, 1), size)
    outputs = {"a": huge, "b": huge.clone(), "c": torch.ones(4, 1)}
    weights = fit_pool(Regression(TargetScale(mean=0.0, scale=1.0)), outputs, torch.zeros(4, dtype=torch.float64))
    assert all(0.0 <= weight < 1.0 for weight in weights.values())


@pytest.mark.parametrize(
    ("outputs", "targets"),
    [
        ({"a": torch.zeros(0, 2), "b": torch.zeros(0, 2)}, torch.zeros(0, dtype=torch.int64)),
        ({"a": torch.zeros(5, 3), "b": torch.zeros(5, 3)}, torch.zeros(5, dtype=torch.int64)),
    ],
    ids=["no row", "heads that say nothing, one class"],
)
def test_rows_that_tell_nothing_leave_the_prior(outputs, targets):
    assert list(fit_pool(Multiclass(), outputs, targets).values()) == pytest.approx([0.5, 0.5])


def test_the_pool_of_a_model_is_computed_as_the_pool_that_was_fitted():
    # 64-bit both times, whatever the heads give.
    outputs = {"a": torch.tensor([[1.0, 0.1]]), "b": torch.tensor([[0.3, 0.7]])}
    weights = {"a": torch.tensor(0.1, dtype=torch.float64), "b": torch.tensor(0.9, dtype=torch.float64)}
    for objective in (Multiclass(), Multilabel(), Regression(TargetScale(mean=0.0, scale=1.0))):
        found = objective.pool(outputs, weights)
        assert found.dtype == torch.float64
        assert torch.equal(found, objective.pool({name: each.double() for name, each in outputs.items()}, weights))


def test_labels_weigh_as_many_as_there_are_against_the_prior():
    # One label, and the same label four times over: four times the evidence, so further from the prior of 1/2.
    generator = torch.Generator().manual_seed(8)
    targets = torch.randint(0, 2, (30, 1), generator=generator).float()
    outputs = {"good": 4.0 * targets - 2.0, "noise": torch.randn(30, 1, generator=generator)}
    one = fit_pool(Multilabel(), outputs, targets)
    four = fit_pool(Multilabel(), {name: out.repeat(1, 4) for name, out in outputs.items()}, targets.repeat(1, 4))
    everything = fit_pool(Multilabel(), {name: out.repeat(4, 1) for name, out in outputs.items()}, targets.repeat(4, 1))
    assert four == pytest.approx(everything, abs=1e-7)
    assert four["good"] > one["good"] > 0.5


def test_a_regression_weighs_its_rows_by_the_noise_of_the_best_head():
    # Normal equations with the prior: (X'X / s^2 + I / spread^2) a = X'y / s^2 + 1 / (2 spread^2), all weights above 0.
    generator = torch.Generator().manual_seed(9)
    targets = torch.randn(50, generator=generator).double()
    noise = 0.5 * torch.randn(2, 50, generator=generator).double()
    columns = targets + noise
    outputs = {"a": columns[0][:, None], "b": columns[1][:, None]}
    variance = min(float((noise[k] ** 2).mean()) for k in range(2))
    left = columns @ columns.T / variance + torch.eye(2).double() / PRIOR_SPREAD**2
    right = columns @ targets / variance + 0.5 / PRIOR_SPREAD**2
    expected = torch.linalg.solve(left, right)
    assert (expected > 0).all()
    objective = Regression(TargetScale(mean=3.0, scale=2.0))
    assert list(fit_pool(objective, outputs, targets).values()) == pytest.approx(expected.tolist(), abs=1e-8)
