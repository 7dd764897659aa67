"""Weights against the formula by hand, the fallbacks, and properties that hold for any losses."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.blend import HeadLosses, Steering, decide, policy_weights
from tests.unit.blend.cases import PARTS


def arrays(*rows):
    return tuple(np.array(row, dtype=np.float64) for row in rows)


def test_paper_weights_are_g_over_o_squared_normalised_by_the_plain_sum():
    # 0.5 / 1^2, 0.2 / 0.5^2, 0.3 / 1^2 = 0.5, 0.8, 0.3; sum 1.6.
    weights = policy_weights("paper", *arrays([0.5, 0.2, 0.3], [1.0, 0.5, -1.0], [9.0, 9.0, 9.0]))
    assert weights == pytest.approx([0.3125, 0.5, 0.1875])
    assert weights.sum() == pytest.approx(1.0)


def test_shrunk_weights_add_the_variance_of_o():
    # 0.5 / (1 + 0), 0.2 / (0.25 + 0.15), 0.3 / (1 + 0.5) = 0.5, 0.5, 0.2.
    weights = policy_weights("shrunk", *arrays([0.5, 0.2, 0.3], [1.0, 0.5, 1.0], [0.0, 0.15**0.5, 0.5**0.5]))
    assert weights == pytest.approx([0.5 / 1.2, 0.5 / 1.2, 0.2 / 1.2])


def test_a_head_that_got_worse_has_no_weight():
    assert policy_weights("paper", *arrays([0.5, -0.5], [1.0, 0.001], [0.0, 0.0])).tolist() == [1.0, 0.0]


def test_heads_without_any_overfitting_share_the_weight_by_their_gain():
    weights = policy_weights("paper", *arrays([0.3, 0.1, 5.0], [0.0, 0.0, 1.0], [0.0] * 3))
    assert weights == pytest.approx([0.75, 0.25, 0.0])


def test_extreme_numbers_neither_overflow_nor_vanish():
    weights = policy_weights("paper", *arrays([1e-300, 2e-300], [1e-200, 1e-200], [0.0, 0.0]))
    assert weights == pytest.approx([1 / 3, 2 / 3])


def test_numbers_that_are_not_finite_count_for_nothing():
    weights = policy_weights("shrunk", *arrays([0.5, math.nan, math.inf], [1.0, 1.0, 1.0], [0.0] * 3))
    assert weights.tolist() == [1.0, 0.0, 0.0]


def head(G, O, n=40, noise=0.0):
    """Losses with exactly this G and O, and held-out gains that spread by `noise`."""
    wobble = noise * np.where(np.arange(n) % 2, 1.0, -1.0)
    return HeadLosses(
        train_before=np.full(n, 2.0),
        train_after=np.full(n, 2.0 - O - G),
        holdout_before=np.full(n, 2.0),
        holdout_after=2.0 - G + wobble,
    )


def test_rows_that_say_nothing_of_a_head_raise_its_weight_by_what_they_take_from_its_gradient():
    """`docs/method.md`, "Missing modalities": where a quarter of the rows has a modality, G and O of its head are a
    quarter, and G / O^2 is four times what those rows say. The encoder's gradient is a quarter: w times it is the same.
    """
    present = head(0.3, 0.2, n=10, noise=0.1)
    beside = HeadLosses(**{part: np.full(10, 2.0) for part in PARTS})
    diluted = HeadLosses(
        **{part: np.concatenate([getattr(present, part), *[getattr(beside, part)] * 3]) for part in PARTS}
    )
    found = {}
    for name, losses in (("present", present), ("diluted", diluted)):
        other = head(0.4, 0.5, n=len(losses.train_before))
        decided = decide({"m": losses, "other": other}, Steering(policy="shrunk"), previous=None, seed=0)
        said = {policy: decided.alternatives[policy] for policy in ("paper", "shrunk")}
        found[name] = {policy: weights["m"] / weights["other"] for policy, weights in said.items()}
    assert found["present"]["paper"] == pytest.approx((0.3 / 0.04) / (0.4 / 0.25))
    assert found["diluted"]["paper"] == pytest.approx(4.0 * found["present"]["paper"])
    # The error of O holds how unlike the two kinds of rows are: of 10 rows in 40 that costs a good part of it.
    assert found["diluted"]["shrunk"] == pytest.approx(2.45 * found["present"]["shrunk"], rel=0.01)


def test_the_decision_carries_every_policy_and_the_interval():
    decision = decide({"a": head(0.5, 1.0), "b": head(0.2, 0.5)}, Steering(policy="paper"), previous=None, seed=1)
    assert decision.weights == pytest.approx({"a": 0.5 / 1.3, "b": 0.8 / 1.3})
    assert decision.alternatives["paper"] == decision.weights
    assert set(decision.alternatives) == {"paper", "shrunk", "correlated"}
    assert not decision.degenerate
    # No spread in the losses: nothing to be unsure about.
    assert decision.heads["a"].low == pytest.approx(decision.heads["a"].weight)
    assert decision.heads["a"].high == pytest.approx(decision.heads["a"].weight)


def test_noise_widens_the_interval_around_the_weight():
    decision = decide(
        {"a": head(0.5, 1.0, noise=0.4), "b": head(0.2, 0.5)}, Steering(policy="shrunk"), previous=None, seed=1
    )
    a = decision.heads["a"]
    assert a.low < a.weight < a.high
    assert a.high - a.low > 0.02


def test_the_bootstrap_is_repeatable():
    heads = {"a": head(0.5, 1.0, noise=0.4), "b": head(0.2, 0.5, noise=0.1)}
    assert decide(heads, Steering(policy="shrunk"), previous=None, seed=3) == decide(
        heads, Steering(policy="shrunk"), previous=None, seed=3
    )


def test_all_negative_gains_fall_back_to_uniform_at_first():
    decision = decide({"a": head(-0.5, 1.0), "b": head(-0.1, 0.5)}, Steering(policy="shrunk"), previous=None, seed=1)
    assert decision.degenerate
    assert decision.weights == {"a": 0.5, "b": 0.5}
    assert "uniform" in decision.reason
    assert "negative_gain" in decision.heads["a"].flags


def test_all_negative_gains_keep_the_previous_weights_later():
    decision = decide(
        {"a": head(-0.5, 1.0), "b": head(-0.1, 0.5)}, Steering(policy="paper"), previous={"a": 0.9, "b": 0.1}, seed=1
    )
    assert decision.weights == {"a": 0.9, "b": 0.1}
    assert "previous" in decision.reason


def test_a_gain_inside_its_noise_is_flagged():
    decision = decide(
        {"a": head(0.01, 1.0, noise=1.0), "b": head(0.2, 0.5)}, Steering(policy="shrunk"), previous=None, seed=1
    )
    assert decision.heads["a"].flags == ("noise_dominated",)
    assert decision.heads["b"].flags == ()


finite = st.integers(-5000, 5000).map(lambda thousandths: thousandths / 1000)
heads = st.lists(st.tuples(finite, finite), min_size=2, max_size=6)


@settings(max_examples=30)
@given(heads)
def test_weights_are_not_negative_and_sum_to_one(pairs):
    losses = {f"h{k}": head(G, O) for k, (G, O) in enumerate(pairs)}
    for policy in ("paper", "shrunk", "correlated"):
        weights = decide(losses, Steering(policy=policy), previous=None, seed=0).weights
        assert min(weights.values()) >= 0.0
        assert sum(weights.values()) == pytest.approx(1.0)


@given(heads, st.randoms(use_true_random=False))
def test_a_permutation_of_the_heads_permutes_the_weights(pairs, random):
    order = list(range(len(pairs)))
    random.shuffle(order)
    G, O = arrays(*zip(*pairs, strict=True))
    straight = policy_weights("paper", G, O, np.zeros_like(G))
    assert policy_weights("paper", G[order], O[order], np.zeros_like(G)) == pytest.approx(straight[order])


@given(heads, st.floats(0.01, 100.0))
def test_scaling_every_loss_leaves_the_weights_alone(pairs, factor):
    G, O = arrays(*zip(*pairs, strict=True))
    straight = policy_weights("paper", G, O, np.zeros_like(G))
    assert policy_weights("paper", factor * G, factor * O, np.zeros_like(G)) == pytest.approx(straight, abs=1e-9)
