"""The small quadratic programme against SciPy's solvers, and where its matrix is singular."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from core.blend.active_set import least_ratio


def correlation(rng, K, rank):
    """A random positive semi-definite matrix of this rank with a unit diagonal."""
    A = rng.normal(size=(rank, K))
    A /= np.linalg.norm(A, axis=0)
    return A.T @ A, A


def solved(R, g):
    (u,) = least_ratio(R[None], g[None])
    return u


@given(st.integers(0, 100_000), st.integers(1, 17))
def test_it_agrees_with_scipys_nnls(seed, K):
    rng = np.random.default_rng(seed)
    R, A = correlation(rng, K, 3 * K)
    g = rng.uniform(0.0, 1.0, K)
    # |A u - b|^2 with A'b = g has the same normal equations.
    expected, _ = nnls(A, np.linalg.lstsq(A.T, g, rcond=None)[0])
    assert solved(R, g) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(st.integers(0, 100_000), st.integers(2, 17), st.integers(1, 17))
def test_the_conditions_of_the_optimum_hold_for_singular_matrices_too(seed, K, rank):
    rng = np.random.default_rng(seed)
    R, _ = correlation(rng, K, min(rank, K))
    g = rng.uniform(0.0, 1.0, K)
    u = solved(R, g)
    assert np.isfinite(u).all()
    assert (u >= 0.0).all()
    assert u.any()
    slack = R @ u + 1e-9 * u - g
    tolerance = 1e-5 * max(1.0, u.max() * 1e-4)
    assert slack.min() >= -tolerance
    assert abs(u @ slack) <= tolerance * max(1.0, u.sum())


def test_two_heads_that_are_one_and_the_same_share():
    assert solved(np.ones((2, 2)), np.array([1.0, 1.0])) == pytest.approx([0.5, 0.5])


def test_of_two_heads_that_overfit_alike_the_one_with_more_gain_takes_all():
    assert solved(np.ones((2, 2)), np.array([1.0, 0.5])) == pytest.approx([1.0, 0.0])


def test_opposite_overfitting_cancels():
    u = solved(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.array([1.0, 0.5]))
    assert u / u.sum() == pytest.approx([0.5, 0.5])


def test_problems_do_not_touch_each_other():
    rng = np.random.default_rng(3)
    problems = [(correlation(rng, 5, 7)[0], rng.uniform(0, 1, 5)) for _ in range(20)]
    together = least_ratio(np.stack([R for R, _ in problems]), np.stack([g for _, g in problems]))
    for (R, g), u in zip(problems, together, strict=True):
        assert u == pytest.approx(solved(R, g), rel=1e-12, abs=1e-15)


def test_without_any_gain_there_is_nothing_to_share():
    assert solved(np.eye(3), np.zeros(3)).tolist() == [0.0, 0.0, 0.0]
    assert least_ratio(np.zeros((0, 3, 3)), np.zeros((0, 3))).shape == (0, 3)
