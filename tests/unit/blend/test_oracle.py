"""`core.blend` against an implementation written from the equations, and against cases that can be done by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.blend import HeadLosses, Steering, decide, overfitting, policy_weights
from tests.unit.blend import oracle
from tests.unit.blend.cases import drawn, for_core, for_oracle

CLOSE = {"rel": 1e-6, "abs": 1e-9}


def codes_of(seed, train, holdout, kind):
    rng = np.random.default_rng(seed)
    return {f"train_{kind}": rng.integers(0, 9, train), f"holdout_{kind}": rng.integers(0, 4, holdout)}


@pytest.mark.parametrize("kinds", [(), ("groups",), ("strata",), ("groups", "strata")])
@pytest.mark.parametrize(("seed", "heads", "train", "holdout"), [(1, 3, 200, 40), (2, 5, 60, 25), (3, 4, 31, 7)])
def test_estimates_and_weights_are_the_oracles(seed, heads, train, holdout, kinds):
    told = {}
    for shift, kind in enumerate(kinds):
        told |= codes_of(seed + shift, train, holdout, kind)
    alike = {part: told[f"{part}_{kinds[0]}"] for part in ("train", "holdout")} if kinds else None
    rows = drawn(seed, heads, train, holdout, alike)
    found = decide(for_core(rows), Steering(policy="shrunk"), previous=None, seed=0, **told)

    plain = for_oracle(rows)
    lists = {name: codes.tolist() for name, codes in told.items()}
    G, O = zip(*(oracle.g_and_o(head) for head in plain), strict=True)
    G_se, O_cov = oracle.sampling(plain, **lists)
    O_se = np.sqrt(np.diag(O_cov))
    assert max(G) > 0
    for k, head in enumerate(found.heads.values()):
        measured = head.overfitting
        assert (pytest.approx(G[k], **CLOSE), pytest.approx(O[k], **CLOSE)) == (measured.G, measured.O)
        assert measured.G_se == pytest.approx(G_se[k], **CLOSE)
        assert measured.O_se == pytest.approx(O_se[k], **CLOSE)
        assert measured.ogr == pytest.approx(abs(O[k] / G[k]), **CLOSE)
        assert measured.ogr_se == pytest.approx(oracle.ogr_error(G[k], G_se[k], O[k], O_se[k]), **CLOSE)
    for policy, expected in (
        ("paper", oracle.paper(G, O)),
        ("shrunk", oracle.shrunk(G, O, O_se)),
        ("correlated", oracle.correlated(G, oracle.sigma(O, O_cov))),
        ("correlated", oracle.correlated_by_trying(G, oracle.sigma(O, O_cov))),
    ):
        assert list(found.alternatives[policy].values()) == pytest.approx(expected, **CLOSE)

    noise = np.maximum(G_se, oracle.sampling(plain)[0])
    noisy = [abs(g) <= 1.96 * error for g, error in zip(G, noise, strict=True)]
    assert [not head.overfitting.learnt for head in found.heads.values()] == noisy
    held = decide(for_core(rows), Steering(policy="shrunk", cap_noise=True), previous=None, seed=0, **told)
    expected = oracle.capped(oracle.shrunk(G, O, O_se).tolist(), noisy)
    assert list(held.weights.values()) == pytest.approx(expected, **CLOSE)


def test_the_correlated_weights_reach_the_least_ogr_that_a_general_solver_finds():
    for seed in range(8):
        plain = for_oracle(drawn(seed, 4, 80, 30))
        G, O = zip(*(oracle.g_and_o(head) for head in plain), strict=True)
        Sigma = oracle.sigma(O, oracle.sampling(plain)[1])
        found = decide(for_core(drawn(seed, 4, 80, 30)), Steering(policy="correlated"), previous=None, seed=0)
        reached = oracle.blend_ogr_squared(np.array(list(found.weights.values())), G, Sigma)
        assert reached == pytest.approx(oracle.least_ogr_squared(G, Sigma), rel=1e-6)


# Cases by hand


def linear_model(b_train, b_holdout, error=0.0):
    """A model y = theta * x with the loss (y - theta * x)^2 / 2, before (theta = 0) and after it is fitted to T.

    All x are 1 or -1, so mean x^2 = 1 and the fit is theta = mean_T(x * y) = b_T. A row's gain is
    `y^2/2 - (y - theta x)^2/2 = theta x y - theta^2/2`. With mean(x * y) = b_T on T and b_V on V:

        gain_T = b_T^2 / 2,   G = b_T b_V - b_T^2 / 2,   O = gain_T - G = b_T (b_T - b_V).

    V is the two rows (1, b_V + e) and (-1, -b_V + e): their gains are G + theta e and G - theta e, so
    SE(G) = |theta e|, and two such models have Cov(O_1, O_2) = theta_1 e_1 theta_2 e_2. T has no error: SE(O) = SE(G).
    """
    x = np.array([1.0, -1.0])
    train, holdout = b_train * x, b_holdout * x + error
    (theta,), *_ = np.linalg.lstsq(x[:, None], train, rcond=None)
    return HeadLosses(
        train_before=train**2 / 2,
        train_after=(train - theta * x) ** 2 / 2,
        holdout_before=holdout**2 / 2,
        holdout_after=(holdout - theta * x) ** 2 / 2,
    )


def test_two_linear_models_whose_weights_are_known():
    # a: b_T = 1, b_V = 0.8: G = 0.3, O = 0.2, G / O^2 = 7.5. b: b_T = 2, b_V = 1.5: G = 1, O = 1, G / O^2 = 1.
    found = decide(
        {"a": linear_model(1.0, 0.8), "b": linear_model(2.0, 1.5)}, Steering(policy="paper"), previous=None, seed=0
    )
    a, b = (head.overfitting for head in found.heads.values())
    assert (a.G, a.O, a.ogr) == pytest.approx((0.3, 0.2, 2 / 3))
    assert (b.G, b.O, b.ogr) == pytest.approx((1.0, 1.0, 1.0))
    assert (a.G_se, b.G_se, a.O_se, b.O_se) == pytest.approx((0.0, 0.0, 0.0, 0.0), abs=1e-12)
    assert found.weights == pytest.approx({"a": 7.5 / 8.5, "b": 1 / 8.5})


def test_two_linear_models_with_errors_that_are_known():
    # a: G = 0.3, O = 0.2, SE = 0.2. b: b_V = 0.9, so G = 0.4, O = 0.1, SE = 0.3.
    # shrunk: 0.3 / (0.04 + 0.04) = 3.75 and 0.4 / (0.01 + 0.09) = 4.
    found = decide(
        {"a": linear_model(1.0, 0.8, 0.2), "b": linear_model(1.0, 0.9, -0.3)},
        Steering(policy="shrunk"),
        previous=None,
        seed=0,
    )
    assert [head.overfitting.O_se for head in found.heads.values()] == pytest.approx([0.2, 0.3])
    assert found.weights == pytest.approx({"a": 3.75 / 7.75, "b": 4.0 / 7.75})
    # Sigma = [[0.08, -0.04], [-0.04, 0.10]]; Sigma^-1 g ~ (0.10 * 0.3 + 0.04 * 0.4, 0.08 * 0.4 + 0.04 * 0.3).
    assert found.alternatives["correlated"] == pytest.approx({"a": 46 / 90, "b": 44 / 90})


def test_a_head_that_adds_only_correlated_overfitting_gets_nothing():
    # SE 0.1 and 0.2 of the same sign: Sigma = [[0.05, 0.04], [0.04, 0.05]], Sigma^-1 g ~ (-0.001, 0.008).
    found = decide(
        {"a": linear_model(1.0, 0.8, 0.1), "b": linear_model(1.0, 0.9, 0.2)},
        Steering(policy="correlated"),
        previous=None,
        seed=0,
    )
    assert found.weights == pytest.approx({"a": 0.0, "b": 1.0})
    assert found.alternatives["shrunk"]["a"] == pytest.approx(6.0 / 14.0)


def test_errors_of_two_groups_by_hand():
    # Gains 1, 1 | 0, 0, 0 of two groups: mean 0.4, group sums of the deviations 1.2 and -1.2;
    # variance 2 / (2 - 1) * (1.44 + 1.44) / 25 = 0.2304.
    head = HeadLosses(
        train_before=np.full(4, 2.0),
        train_after=np.full(4, 1.0),
        holdout_before=np.full(5, 2.0),
        holdout_after=np.array([1.0, 1.0, 2.0, 2.0, 2.0]),
    )
    found = overfitting(head, train_groups=np.array([1, 1, 2, 2]), holdout_groups=np.array([7, 7, 3, 3, 3]))
    assert pytest.approx(0.4) == found.G
    assert (found.G_se, found.O_se) == pytest.approx((0.48, 0.48))


def test_errors_of_two_strata_by_hand():
    # Gains 0, 2 | 5, 6, 7: N = 5, mean 4, s^2 = 2 and 1; variance 0.4^2 * 2 / 2 + 0.6^2 * 1 / 3 = 0.28.
    # Training gains 1, 1, 1 | 3, 5: variance 0.4^2 * 2 / 2 = 0.16. Strata far apart add nothing.
    head = HeadLosses(
        train_before=np.full(5, 9.0),
        train_after=np.array([8.0, 8.0, 8.0, 6.0, 4.0]),
        holdout_before=np.full(5, 9.0),
        holdout_after=np.array([9.0, 7.0, 4.0, 3.0, 2.0]),
    )
    found = overfitting(head, train_strata=np.array([0, 0, 0, 4, 4]), holdout_strata=np.array([7, 7, 3, 3, 3]))
    assert pytest.approx((4.0, -1.8)) == (found.G, found.O)
    assert pytest.approx((0.28**0.5, 0.44**0.5)) == (found.G_se, found.O_se)


# Properties


cases = st.tuples(st.integers(0, 10_000), st.integers(2, 6), st.integers(8, 40), st.integers(5, 20))
policies = st.sampled_from(["paper", "shrunk", "correlated"])


@settings(max_examples=25)
@given(cases, policies, st.randoms(use_true_random=False))
def test_a_permutation_of_the_heads_permutes_the_decision(case, policy, random):
    straight = decide(for_core(drawn(*case)), Steering(policy=policy), previous=None, seed=1)
    order = list(straight.weights)
    random.shuffle(order)
    losses = for_core(drawn(*case))
    turned = decide({head: losses[head] for head in order}, Steering(policy=policy), previous=None, seed=1)
    assert list(turned.weights) == order
    assert turned.weights == pytest.approx(straight.weights, rel=1e-6, abs=1e-9)
    assert {name: head.low for name, head in turned.heads.items()} == pytest.approx(
        {name: head.low for name, head in straight.heads.items()}, rel=1e-6, abs=1e-9
    )


@settings(max_examples=25)
@given(cases, policies, st.floats(1e-3, 1e3))
def test_scaling_every_loss_leaves_every_policys_weights_alone(case, policy, factor):
    # g -> c g; O^2, SE^2 and Sigma -> c^2 times themselves: every raw weight is divided by c.
    scaled = [{part: factor * losses for part, losses in head.items()} for head in drawn(*case)]
    straight, again = (
        decide(for_core(rows), Steering(policy=policy), previous=None, seed=1) for rows in (drawn(*case), scaled)
    )
    assert again.weights == pytest.approx(straight.weights, rel=1e-6, abs=1e-9)


@given(st.lists(st.tuples(st.floats(0.01, 5), st.floats(0.01, 5)), min_size=1, max_size=8))
def test_an_uncorrelated_blend_overfits_no_more_than_its_best_head(pairs):
    G, O = (np.array(values) for values in zip(*pairs, strict=True))
    weights = policy_weights("paper", G, O, np.zeros_like(G))
    reached = oracle.blend_ogr_squared(weights, G, np.diag(O**2))
    assert reached == pytest.approx(1 / sum((g / o) ** 2 for g, o in pairs))
    assert reached <= min((o / g) ** 2 for g, o in pairs) * (1 + 1e-9)


@settings(max_examples=25)
@given(cases)
def test_the_correlated_blend_overfits_no_more_than_any_head_or_policy(case):
    plain = for_oracle(drawn(*case))
    G, O = zip(*(oracle.g_and_o(head) for head in plain), strict=True)
    Sigma = oracle.sigma(O, oracle.sampling(plain)[1])
    found = decide(for_core(drawn(*case)), Steering(policy="correlated"), previous=None, seed=0)
    if found.degenerate:
        return
    others = [np.eye(len(G))[k] for k in range(len(G)) if G[k] > 0]
    others += [np.array(list(found.alternatives[policy].values())) for policy in ("paper", "shrunk")]
    reached = oracle.blend_ogr_squared(np.array(list(found.weights.values())), G, Sigma)
    assert reached <= min(oracle.blend_ogr_squared(other, G, Sigma) for other in others) * (1 + 1e-6)
