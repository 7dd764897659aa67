"""Standard errors of means over strata: which strata there are, and what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.blend.errors import covariance_of_means, layers, mean_and_error, stands_out


@pytest.mark.parametrize(
    ("strata", "expected"),
    [
        ([4, 4, 9, 9], [0, 0, 1, 1]),
        # Two strata of one row become one of two rows.
        ([4, 4, 9, 7], [0, 0, 1, 1]),
        ([7, 4, 4, 9], [1, 0, 0, 1]),
        # A single one joins the smallest other.
        ([1, 1, 1, 2, 3, 3], [0, 0, 0, 1, 1, 1]),
        ([2, 3, 3, 1, 1, 1], [1, 1, 1, 0, 0, 0]),
    ],
)
def test_strata_of_a_single_row_are_merged(strata, expected):
    found = layers(np.array(strata), len(strata))
    # The codes themselves do not matter, only who is with whom.
    assert (found[:, None] == found).tolist() == (np.array(expected)[:, None] == np.array(expected)).tolist()


@pytest.mark.parametrize("strata", [None, [3, 3, 3], [1, 2, 3], [5, 5, 1], [8]])
def test_a_single_stratum_is_none(strata):
    codes = None if strata is None else np.array(strata)
    assert layers(codes, 3 if strata is None else len(strata)) is None


def test_strata_must_be_of_the_same_rows():
    with pytest.raises(ValueError, match="each of the 4 rows"):
        layers(np.array([1, 1, 2]), 4)


def gains(seed, rows, heads=3):
    return np.random.default_rng(seed).gamma(2.0, 1.0, (rows, heads))


cases = st.tuples(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 12))


@given(cases)
def test_one_stratum_is_none_at_all_bit_for_bit(case):
    seed, rows, _ = case
    values = gains(seed, rows)
    same = np.full(rows, 3)
    assert mean_and_error(values[:, 0], None, same) == mean_and_error(values[:, 0])
    assert np.array_equal(covariance_of_means(values, None, same), covariance_of_means(values))


@given(cases, st.floats(1e-3, 1e3))
def test_orders_names_and_units_do_not_matter(case, factor):
    seed, rows, strata = case
    values = gains(seed, rows)
    rng = np.random.default_rng(seed)
    codes, order = rng.integers(0, strata, rows), rng.permutation(rows)
    expected = covariance_of_means(values, None, codes)
    assert np.sqrt(np.diag(expected)) == pytest.approx([mean_and_error(column, None, codes)[1] for column in values.T])
    assert covariance_of_means(values[order], None, codes[order]) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    scaled = covariance_of_means(factor * values, None, codes) / factor**2
    assert scaled == pytest.approx(expected, rel=1e-9, abs=1e-12)
    # Another name for each stratum, in the same order: which of two equally small ones a lone row joins depends on it.
    assert np.array_equal(covariance_of_means(values, None, 7 * codes + 2), expected)


@settings(max_examples=50)
@given(cases)
def test_what_differs_between_strata_adds_nothing(case):
    seed, rows, strata = case
    values = gains(seed, 2 * rows)
    codes = np.repeat(np.random.default_rng(seed).integers(0, strata, rows), 2)
    shifted = values + 10.0 * codes[:, None]
    expected = covariance_of_means(values, None, codes)
    assert covariance_of_means(shifted, None, codes) == pytest.approx(expected, rel=1e-6)
    if len(set(codes.tolist())) > 1:
        assert (np.diag(covariance_of_means(shifted)) > np.diag(expected)).all()


def test_groups_win_over_strata_but_a_single_group_does_not():
    values, codes = gains(1, 30), np.arange(30) % 3
    groups = np.repeat(np.arange(6), 5)
    assert np.array_equal(covariance_of_means(values, groups, codes), covariance_of_means(values, groups))
    assert mean_and_error(values[:, 0], groups, codes) == mean_and_error(values[:, 0], groups)
    assert np.array_equal(covariance_of_means(values, np.full(30, 2), codes), covariance_of_means(values, None, codes))


def test_a_head_that_is_no_number_has_no_error_and_spoils_no_other():
    values, codes = gains(1, 12), np.arange(12) % 3
    expected = covariance_of_means(values, None, codes)
    values[5, 1] = np.inf
    found = covariance_of_means(values, None, codes)
    assert np.isnan(found[1]).all()
    assert np.isnan(found[:, 1]).all()
    assert found[np.ix_([0, 2], [0, 2])] == pytest.approx(expected[np.ix_([0, 2], [0, 2])])
    assert mean_and_error(values[:, 1], None, codes) == (np.inf, 0.0)


@pytest.mark.parametrize(
    ("rows", "clear"),
    [(1, False), (2, False), (10, False), (40, True)],
)
def test_a_difference_stands_out_where_there_are_rows_enough(rows, clear):
    differences = np.resize([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.0], rows)
    # 0.3 of the rows differ by 1: error 0.48 / sqrt(rows - 1); t is 2.26 for 10 rows, 2.02 for 40.
    assert stands_out(differences, None, 0.95) is clear


def test_a_few_groups_decide_less_than_their_rows():
    # Group means 0.4, 0.3 and 0.2: an error of 0.058, or 0.1 as a third of the mean; t is 4.3, and 1.32 for one sigma.
    differences, groups = np.repeat([0.4, 0.3, 0.2], 100), np.repeat([0, 1, 2], 100)
    assert stands_out(differences, None, 0.95)
    assert not stands_out(differences, groups, 0.95)
    assert stands_out(differences, groups, 0.6827)
    assert stands_out(np.repeat(np.linspace(0.2, 0.4, 10), 30), np.repeat(np.arange(10), 30), 0.95)
    assert not stands_out(differences, np.zeros(300, dtype=np.int64), 0.95)  # one group says nothing of the next


def test_a_few_that_agree_prove_nothing_and_many_do():
    # All differ by 1: t / n is 6.4, 1.4, 0.8 for 2, 3, 4 rows.
    assert [stands_out(np.ones(rows), None, 0.95) for rows in (1, 2, 3, 4, 300)] == [False, False, False, True, True]
    assert not stands_out(np.zeros(100), None, 0.95)


def test_a_mean_below_zero_never_stands_out():
    assert not stands_out(np.array([-1.0, -2.0] * 50), None, 0.95)
