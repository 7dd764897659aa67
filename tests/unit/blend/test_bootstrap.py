"""Redrawing rows and groups: the spread of the means is that of the errors, and few groups widen it."""

import numpy as np
import pytest
from scipy import stats

from core.blend.bootstrap import redraw
from core.blend.errors import covariance_of_means


def gains(rows, heads=3):
    rng = np.random.default_rng(1)
    return rng.normal(size=(rows, 1)) + rng.normal(size=(rows, heads))


def test_rows_spread_as_their_errors_say():
    values = gains(150)
    found = redraw(values, None, np.random.default_rng(2), covariances=True)
    expected = covariance_of_means(values)
    assert np.cov(found.means.T) == pytest.approx(expected, rel=0.2)
    # What a draw says of its own error is right on average, and its covariances hold its variances.
    assert found.covariances.mean(axis=0) == pytest.approx(expected, rel=0.05)
    assert np.einsum("bkk->bk", found.covariances) == pytest.approx(found.variances)


def test_groups_spread_as_their_errors_say():
    codes = np.arange(300) % 25
    values = gains(25)[codes] + 0.1 * gains(300)
    found = redraw(values, codes, np.random.default_rng(2), covariances=True)
    expected = covariance_of_means(values, codes)
    stretch = stats.t.ppf(0.95, 24) / stats.norm.ppf(0.95)
    assert np.cov(found.means.T) / stretch**2 == pytest.approx(expected, rel=0.25)
    assert found.covariances.mean(axis=0) == pytest.approx(expected, rel=0.1)
    assert np.einsum("bkk->bk", found.covariances) == pytest.approx(found.variances)


def test_groups_of_different_sizes_are_redrawn_whole():
    # Gains 1 | 0, 0, 0: a draw holds the first group never, once or twice; there are no other means than these three.
    values = np.array([[1.0], [0.0], [0.0], [0.0]])
    found = redraw(values, np.array([5, 2, 2, 2]), np.random.default_rng(0))
    assert len(np.unique(found.means.round(9))) == 3
    single = np.abs(found.means - 0.25) > 1e-9
    # Of a draw with one group twice nothing is known of the difference between groups.
    assert found.variances[single] == pytest.approx(0.0, abs=1e-12)
    assert (found.variances[~single] > 0.1).all()


def test_many_rows_are_drawn_in_parts_without_a_difference(monkeypatch):
    values = gains(60)
    whole = redraw(values, None, np.random.default_rng(3), covariances=True)
    monkeypatch.setattr("core.blend.bootstrap._CELLS_AT_ONCE", 500)
    parts = redraw(values, None, np.random.default_rng(3), covariances=True)
    assert parts.means == pytest.approx(whole.means, rel=1e-12)
    assert parts.covariances == pytest.approx(whole.covariances, rel=1e-9, abs=1e-15)


# Strata


def stratified(per_stratum, strata=25):
    """Gains of strata that lie far apart; rows of a stratum are not side by side."""
    codes = np.arange(per_stratum * strata) % strata
    return gains(per_stratum * strata) + 5.0 * gains(strata)[codes], codes


@pytest.mark.parametrize("per_stratum", [2, 3, 12])
def test_strata_spread_as_their_errors_say_however_small_they_are(per_stratum, monkeypatch):
    monkeypatch.setattr("core.blend.bootstrap.BOOTSTRAP_SAMPLES", 10_000)
    values, codes = stratified(per_stratum)
    found = redraw(values, None, np.random.default_rng(2), strata=codes, covariances=True)
    expected = covariance_of_means(values, None, codes)
    stretch = stats.t.ppf(0.95, 25 * (per_stratum - 1)) / stats.norm.ppf(0.95)
    assert np.cov(found.means.T) / stretch**2 == pytest.approx(expected, rel=0.03, abs=0.03 * expected.max())
    assert found.means.mean(axis=0) == pytest.approx(values.mean(axis=0), abs=4 * 0.01 * expected.max() ** 0.5)
    assert found.covariances.mean(axis=0) == pytest.approx(expected, rel=0.03, abs=0.03 * expected.max())
    assert np.einsum("bkk->bk", found.covariances) == pytest.approx(found.variances)
    # Far less than what rows at random would give.
    assert (np.diag(covariance_of_means(values)) > 5 * np.diag(expected)).all()


def test_every_draw_holds_as_many_rows_of_each_stratum():
    # Gains 0, 0 | 7, 7, 7 differ between strata alone: every draw is the part itself.
    found = redraw(
        np.array([[7.0], [0.0], [7.0], [0.0], [7.0]]), None, np.random.default_rng(0), strata=np.array([1, 0, 1, 0, 1])
    )
    assert found.means == pytest.approx(4.2)
    assert found.variances == pytest.approx(0.0, abs=1e-15)


def test_strata_are_drawn_in_parts_without_a_difference(monkeypatch):
    values, codes = stratified(12, 5)
    whole = redraw(values, None, np.random.default_rng(3), strata=codes, covariances=True)
    monkeypatch.setattr("core.blend.bootstrap._CELLS_AT_ONCE", 100)
    parts = redraw(values, None, np.random.default_rng(3), strata=codes, covariances=True)
    assert parts.means == pytest.approx(whole.means, rel=1e-12)
    assert parts.covariances == pytest.approx(whole.covariances, rel=1e-9, abs=1e-15)


def test_one_stratum_and_strata_of_groups_are_no_strata():
    values, codes = stratified(12, 5)
    groups = np.repeat(np.arange(6), 10)
    for told, strata in ((None, np.full(60, 4)), (groups, codes)):
        plain = redraw(values, told, np.random.default_rng(3))
        found = redraw(values, told, np.random.default_rng(3), strata=strata)
        assert np.array_equal(found.means, plain.means)
        assert np.array_equal(found.variances, plain.variances)


# Of a finite population


KINDS = [(None, None), (np.arange(60) % 12, None), (None, np.arange(60) % 5)]


@pytest.mark.parametrize(("groups", "strata"), KINDS)
def test_the_whole_of_a_population_stands_still_with_the_error_that_it_has(groups, strata):
    values = gains(60)
    found = redraw(values, groups, np.random.default_rng(3), strata=strata, population=60, covariances=True)
    expected = covariance_of_means(values, groups, strata)
    assert np.array_equal(found.means, np.tile(values.mean(axis=0), (400, 1)))
    assert np.array_equal(found.covariances, np.tile(expected, (400, 1, 1)))
    assert np.array_equal(found.variances, np.tile(np.diag(expected), (400, 1)))


@pytest.mark.parametrize(("groups", "strata"), KINDS)
def test_a_part_of_a_population_moves_as_far_as_the_rest_of_it_is_unknown(groups, strata):
    values = gains(60)
    without_end, part = (
        redraw(values, groups, np.random.default_rng(3), strata=strata, population=rows) for rows in (None, 80)
    )
    # 60 of 80 rows: sqrt(1 - 0.75) = 0.5.
    centre = values.mean(axis=0)
    assert part.means - centre == pytest.approx(0.5 * (without_end.means - centre), abs=1e-12)
    assert np.array_equal(part.variances, without_end.variances)


def test_a_sample_cannot_be_larger_than_its_population():
    with pytest.raises(ValueError, match="60 rows cannot be a sample of 59"):
        redraw(gains(60), None, np.random.default_rng(3), population=59)
