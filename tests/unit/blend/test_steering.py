"""What becomes of a policy's weights before they are in force: smoothing, floors; flags; groups in the errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.blend import HeadLosses, Steering, decide
from tests.unit.blend.cases import drawn, for_core
from tests.unit.blend.test_weights import head

# G / O^2: 0.5 and 0.8.
PAIR = {"a": head(0.5, 1.0), "fused": head(0.2, 0.5)}


def decided(losses=PAIR, previous=None, **steering):
    return decide(losses, Steering(**{"policy": "paper", **steering}), previous=previous, seed=0)


def test_new_weights_are_averaged_with_those_in_force():
    found = decided(previous={"a": 0.9, "fused": 0.1}, smoothing=0.75)
    assert found.weights == pytest.approx({"a": 0.75 * 0.9 + 0.25 * 5 / 13, "fused": 0.75 * 0.1 + 0.25 * 8 / 13})
    assert found.alternatives["paper"] == pytest.approx({"a": 5 / 13, "fused": 8 / 13})
    # Without any spread in the losses the interval is the weight in force, not the policy's.
    assert found.heads["a"].low == pytest.approx(found.heads["a"].weight)


def test_the_first_estimate_is_not_smoothed():
    assert decided(smoothing=0.75).weights == pytest.approx({"a": 5 / 13, "fused": 8 / 13})


def test_floors_come_after_smoothing():
    found = decided(previous={"a": 0.9, "fused": 0.1}, smoothing=0.75, floors={"fused": 0.4})
    assert found.weights == pytest.approx({"a": 0.6, "fused": 0.4})
    assert (found.heads["fused"].low, found.heads["fused"].high) == pytest.approx((0.4, 0.4))


def test_the_interval_is_that_of_the_weight_in_force():
    losses = {"a": head(0.5, 1.0, noise=0.8), "fused": head(0.2, 0.5, noise=0.4)}
    before = {"a": 0.5, "fused": 0.5}
    plain, smooth = (decided(losses, previous=before, smoothing=smoothing) for smoothing in (0.0, 0.9))
    for name in losses:
        wide, narrow = plain.heads[name], smooth.heads[name]
        assert narrow.low == pytest.approx(0.9 * 0.5 + 0.1 * wide.low)
        assert narrow.high == pytest.approx(0.9 * 0.5 + 0.1 * wide.high)
        assert decided(losses, previous=before, floors={name: 0.45}).heads[name].low >= 0.45


def test_a_degenerate_estimate_keeps_the_weights_but_not_below_a_floor():
    losses = {"a": head(-0.5, 1.0), "fused": head(-0.2, 0.5)}
    assert decided(losses, previous={"a": 0.9, "fused": 0.1}, smoothing=0.5).weights == {"a": 0.9, "fused": 0.1}
    found = decided(losses, previous={"a": 0.9, "fused": 0.1}, floors={"fused": 0.25})
    assert found.degenerate
    assert found.weights == pytest.approx({"a": 0.75, "fused": 0.25})


# The ceiling: 0.01 +- 0.01 of G and a tiny O would have 0.01 / 0.02^2 = 25 of 25.8 with the policy `paper`.
NOISE = {"a": head(0.01, 0.02, noise=0.4), "b": head(0.5, 1.0), "fused": head(0.3, 1.0)}


def test_a_head_within_its_noise_gets_no_more_than_the_equal_share():
    assert decided(NOISE).weights["a"] == pytest.approx(25 / 25.8)
    found = decided(NOISE, cap_noise=True)
    assert found.weights == pytest.approx({"a": 1 / 3, "b": 2 / 3 * 5 / 8, "fused": 2 / 3 * 3 / 8})
    assert {name: head.flags for name, head in found.heads.items()} == {
        "a": ("noise_dominated", "capped"),
        "b": (),
        "fused": (),
    }
    assert found.alternatives["paper"] == pytest.approx(decided(NOISE).weights)


def test_a_noisy_head_below_the_equal_share_is_not_capped():
    losses = {**NOISE, "a": head(0.01, 1.0, noise=0.4)}
    found = decided(losses, cap_noise=True)
    assert found.weights == decided(losses).weights
    assert found.heads["a"].flags == ("noise_dominated",)


def test_the_ceiling_comes_before_smoothing_and_floors():
    previous = {"a": 0.2, "b": 0.2, "fused": 0.6}
    found = decided(NOISE, previous=previous, cap_noise=True, smoothing=0.5)
    assert found.weights == pytest.approx({"a": 0.1 + 1 / 6, "b": 0.1 + 5 / 24, "fused": 0.3 + 1 / 8})
    found = decided(NOISE, cap_noise=True, floors={"fused": 0.3})
    # 0.25 for the fused head is lifted to 0.3; the others keep 1/3 to 5/12.
    assert found.weights == pytest.approx({"a": 0.7 * 4 / 9, "b": 0.7 * 5 / 9, "fused": 0.3})


def test_a_redrawn_head_is_capped_where_it_is_within_its_noise_then():
    # G stands out of its noise by a hair, so that about half of the redraws do not, and are held.
    losses = {"a": head(0.2, 0.02, noise=0.62), "fused": head(0.3, 1.0)}
    free, held = (decided(losses, cap_noise=cap).heads["a"] for cap in (False, True))
    assert "capped" not in held.flags
    assert free.low > 0.8
    assert held.low == pytest.approx(0.5)
    assert held.high == free.high > 0.99


def test_where_nobody_else_has_weight_a_capped_decision_is_an_equal_one():
    found = decided({**NOISE, "b": head(-0.5, 1.0), "fused": head(-0.3, 1.0)}, cap_noise=True)
    assert found.weights == pytest.approx({"a": 1 / 3, "b": 1 / 3, "fused": 1 / 3})
    assert not found.degenerate


@settings(max_examples=30)
@given(
    st.tuples(st.integers(0, 10_000), st.integers(2, 6), st.integers(8, 40), st.integers(5, 20)),
    st.sampled_from(["paper", "shrunk", "correlated"]),
    st.floats(0.0, 0.999),
    st.floats(0.0, 1.0),
    st.booleans(),
)
def test_the_weights_in_force_stay_on_the_simplex_over_many_super_epochs(case, policy, smoothing, share, cap):
    seed, heads, *sizes = case
    previous = None
    for epoch in range(3):
        losses = for_core(drawn(seed + epoch, heads, *sizes))
        floors = dict.fromkeys(losses, share / heads)
        steering = Steering(policy=policy, cap_noise=cap, smoothing=smoothing, floors=floors)
        found = decide(losses, steering, previous=previous, seed=epoch)
        previous = found.weights
        assert sum(previous.values()) == pytest.approx(1.0)
        assert min(previous.values()) >= share / heads
        for said in found.heads.values():
            assert share / heads <= said.low <= said.high <= 1.0 + 1e-12


# Flags


def test_a_joint_head_below_a_quarter_of_its_equal_share_is_starved():
    # Weights 0.124 and 0.126 of two heads: a quarter of the equal share is 0.125.
    starved = {"a": head(0.876, 1.0), "fused": head(0.124, 1.0)}
    fed = {"a": head(0.874, 1.0), "fused": head(0.126, 1.0)}
    assert decided(starved, joint="fused").heads["fused"].flags == ("starved",)
    assert decided(fed, joint="fused").heads["fused"].flags == ()
    assert decided(starved).heads["fused"].flags == ()
    assert decided(starved, joint="a").heads["fused"].flags == ()
    # It is the weight in force that feeds the head, not the policy's.
    assert decided(starved, joint="fused", floors={"fused": 0.2}).heads["fused"].flags == ()


def test_a_head_that_diverged_is_flagged_and_may_starve_as_well():
    broken = HeadLosses(
        train_before=np.ones(4),
        train_after=np.full(4, np.nan),
        holdout_before=np.ones(4),
        holdout_after=np.full(4, np.nan),
    )
    found = decided({"a": head(0.5, 1.0, n=4), "fused": broken}, joint="fused", policy="correlated")
    assert found.weights == {"a": 1.0, "fused": 0.0}
    assert found.heads["fused"].flags == ("not_finite", "starved")


# Groups


def grouped(seed=5):
    """Held-out and training gains that differ between groups of ten rows far more than within them."""
    rng = np.random.default_rng(seed)
    codes = {"train": np.repeat(np.arange(20), 10), "holdout": np.repeat(np.arange(6), 10)}
    losses = {}
    for name in ("a", "fused"):
        level = {part: rng.normal(0.5, 0.3, 20)[codes[part]] for part in codes}
        losses[name] = HeadLosses(
            train_before=np.full(200, 2.0),
            train_after=1.5 - level["train"],
            holdout_before=np.full(60, 2.0),
            holdout_after=2.0 - level["holdout"] + rng.normal(0, 0.02, 60),
        )
    return losses, codes


@pytest.mark.parametrize("policy", ["paper", "shrunk", "correlated"])
def test_rows_of_one_group_are_not_taken_for_independent(policy):
    losses, codes = grouped()
    steering = Steering(policy=policy)
    alone = decide(losses, steering, previous=None, seed=0)
    together = decide(
        losses, steering, previous=None, seed=0, train_groups=codes["train"], holdout_groups=codes["holdout"]
    )
    for name in losses:
        one, other = alone.heads[name], together.heads[name]
        # Ten rows that are all but equal count as one: the error grows by about sqrt(10).
        assert 2.5 < other.overfitting.G_se / one.overfitting.G_se < 4.0
        assert other.high - other.low > 1.5 * (one.high - one.low)
        assert "one_group" not in other.flags


def test_the_names_of_groups_do_not_matter():
    losses, codes = grouped()
    shown = [
        decide(losses, Steering(policy="shrunk"), previous=None, seed=0, train_groups=T, holdout_groups=V)
        for T, V in ((codes["train"], codes["holdout"]), (codes["train"] * 7 + 3, codes["holdout"] + 100))
    ]
    assert shown[0] == shown[1]


def test_groups_of_one_row_give_the_row_wise_errors():
    losses, _ = grouped()
    alone = decide(losses, Steering(policy="shrunk"), previous=None, seed=0)
    single = decide(
        losses,
        Steering(policy="shrunk"),
        previous=None,
        seed=0,
        train_groups=np.arange(200),
        holdout_groups=np.arange(60),
    )
    for name in losses:
        one, other = alone.heads[name], single.heads[name]
        assert (other.overfitting.G_se, other.overfitting.O_se, other.weight) == pytest.approx(
            (one.overfitting.G_se, one.overfitting.O_se, one.weight)
        )
        # The same draws; the row-wise ones lack the factor N / (N - 1), here 60 / 59.
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.05)


def test_v_of_one_group_is_flagged_and_its_rows_are_taken_as_independent():
    losses, _ = grouped()
    found = decide(
        losses, Steering(policy="shrunk"), previous=None, seed=0, train_groups=None, holdout_groups=np.full(60, 4)
    )
    assert all(head.flags[-1:] == ("one_group",) for head in found.heads.values())
    alone = decide(losses, Steering(policy="shrunk"), previous=None, seed=0)
    assert [head.low for head in found.heads.values()] == [head.low for head in alone.heads.values()]
    assert found.weights == alone.weights


def test_groups_must_be_of_the_same_rows():
    losses, _ = grouped()
    with pytest.raises(ValueError, match="each of the 60 rows"):
        decide(losses, Steering(policy="shrunk"), previous=None, seed=0, holdout_groups=np.zeros(59, dtype=np.int64))


# Strata, and T as it is


def by_class(seed=5):
    """Gains that differ between ten classes far more than within them."""
    rng = np.random.default_rng(seed)
    codes = {"train": np.arange(200) % 10, "holdout": np.arange(60) % 10}
    losses = {}
    for name in ("a", "fused"):
        level = rng.normal(0.5, 0.5, 10)
        losses[name] = HeadLosses(
            train_before=np.full(200, 2.0),
            train_after=1.5 - level[codes["train"]] + rng.normal(0, 0.1, 200),
            holdout_before=np.full(60, 2.0),
            holdout_after=2.0 - level[codes["holdout"]] + rng.normal(0, 0.1, 60),
        )
    return losses, codes


# Of `correlated` either interval is a corner here: one head has all the weight.
@pytest.mark.parametrize("policy", ["paper", "shrunk"])
def test_a_part_that_holds_every_class_in_its_share_is_known_better(policy):
    losses, codes = by_class()
    alone = decide(losses, Steering(policy=policy), previous=None, seed=0)
    told = decide(
        losses,
        Steering(policy=policy),
        previous=None,
        seed=0,
        train_strata=codes["train"],
        holdout_strata=codes["holdout"],
    )
    for name in losses:
        one, other = alone.heads[name], told.heads[name]
        assert other.overfitting.G == one.overfitting.G
        assert other.overfitting.G_se < 0.5 * one.overfitting.G_se
        assert other.overfitting.O_se < 0.5 * one.overfitting.O_se
    widths = [sum(head.high - head.low for head in found.heads.values()) for found in (alone, told)]
    assert 0.0 < widths[1] < widths[0]


@pytest.mark.parametrize("policy", ["paper", "shrunk", "correlated"])
def test_an_interval_over_redraws_of_v_leaves_t_as_it_is(policy):
    rows = for_core(drawn(3, 3, 40, 400))  # few rows of T, so that they matter
    free, whole, part = (
        decide(rows, Steering(policy=policy), previous=None, seed=0, train_population=population)
        for population in (None, 40, 80)
    )
    # Errors and weights are what they were: SE(O) holds the error of T.
    assert free.alternatives == whole.alternatives == part.alternatives
    assert [head.overfitting for head in free.heads.values()] == [head.overfitting for head in whole.heads.values()]
    widths = [sum(head.high - head.low for head in found.heads.values()) for found in (whole, part, free)]
    assert 0.0 < widths[0] < widths[1] < widths[2]


def test_strata_must_be_of_the_same_rows_and_t_no_smaller_than_its_sample():
    losses, codes = by_class()
    with pytest.raises(ValueError, match="each of the 200 rows"):
        decide(losses, Steering(policy="shrunk"), previous=None, seed=0, train_strata=codes["holdout"])
    with pytest.raises(ValueError, match="200 rows cannot be a sample of 199"):
        decide(losses, Steering(policy="shrunk"), previous=None, seed=0, train_population=199)
