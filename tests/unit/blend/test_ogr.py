"""G, O, OGR and their errors against numbers worked out by hand."""

import math

import numpy as np
import pytest

from core.blend import HeadLosses, overfitting


def losses(train_before, train_after, holdout_before, holdout_after):
    return HeadLosses(
        train_before=np.array(train_before, dtype=np.float64),
        train_after=np.array(train_after, dtype=np.float64),
        holdout_before=np.array(holdout_before, dtype=np.float64),
        holdout_after=np.array(holdout_after, dtype=np.float64),
    )


def test_g_o_and_ogr_of_a_worked_example():
    # L_T falls 2.0 -> 0.5, L_V falls 2.0 -> 1.5: G = 0.5, O = (1.5 - 0.5) - (2.0 - 2.0) = 1.0, OGR = 2.
    found = overfitting(losses([2.0, 2.0], [0.25, 0.75], [1.0, 3.0], [1.0, 2.0]))
    assert (found.train_before, found.train_after) == (2.0, 0.5)
    assert (found.holdout_before, found.holdout_after) == (2.0, 1.5)
    assert found.G == 0.5
    assert found.O == 1.0
    assert found.ogr == 2.0


def test_errors_are_those_of_the_paired_differences():
    # Held-out gains 0 and 1: standard deviation sqrt(1/2), error 0.5. Training gains 1.75 and 1.25: error 0.25.
    found = overfitting(losses([2.0, 2.0], [0.25, 0.75], [1.0, 3.0], [1.0, 2.0]))
    assert found.G_se == pytest.approx(0.5)
    assert found.O_se == pytest.approx(math.sqrt(0.5**2 + 0.25**2))
    # Delta method with Cov(O, G) = -SE(G)^2 and ratio 2: (0.3125 + 4 * 0.25 + 2 * 2 * 0.25) / 0.25
    assert found.ogr_se == pytest.approx(math.sqrt((0.3125 + 1.0 + 1.0) / 0.25))


def test_a_loss_offset_that_every_sample_shares_adds_no_error():
    found = overfitting(losses([1.0, 5.0, 9.0], [0.5, 4.5, 8.5], [2.0, 7.0], [1.5, 6.5]))
    assert found.G == 0.5
    assert found.O == 0.0
    assert found.G_se == found.O_se == 0.0
    assert found.ogr == 0.0


def test_the_ogr_of_a_head_whose_held_out_loss_stood_still_is_infinite():
    found = overfitting(losses([2.0], [1.0], [2.0], [2.0]))
    assert (found.G, found.O) == (0.0, 1.0)
    assert math.isinf(found.ogr)
    assert not found.learnt


def test_ogr_is_not_a_number_where_nothing_moved_at_all():
    assert math.isnan(overfitting(losses([2.0], [2.0], [2.0], [2.0])).ogr)


def test_a_gain_inside_its_noise_is_not_learning():
    # Gains +1, -0.9, +1, -0.9: mean 0.05, error about 0.55.
    found = overfitting(losses([2.0] * 4, [1.0] * 4, [2.0] * 4, [1.0, 2.9, 1.0, 2.9]))
    assert pytest.approx(0.05) == found.G
    assert not found.learnt


def test_a_gain_that_only_tells_classes_apart_is_not_learning():
    # +0.5 for all rows of one class and -0.4 for all of the other: no error within strata, 0.225 without.
    raw = losses([2.0] * 4, [1.0] * 4, [2.0] * 4, [1.5, 1.5, 2.4, 2.4])
    found = overfitting(raw, holdout_strata=np.array([0, 0, 1, 1]))
    assert (found.G, found.G_se) == (pytest.approx(0.05), pytest.approx(0.0, abs=1e-12))
    assert found.G_noise == pytest.approx(math.sqrt(4 * 0.45**2 / 3 / 4))
    assert not found.learnt
    # Groups that have the classes in equal parts show no error either.
    assert not overfitting(raw, holdout_groups=np.array([0, 1, 0, 1])).learnt


def test_the_noise_of_a_gain_is_at_least_its_error():
    # Rows of a group agree: the error between groups, 0.25, is larger than that of four rows, 0.144.
    raw = losses([2.0] * 4, [1.0] * 4, [2.0] * 4, [1.5, 1.5, 1.0, 1.0])
    found = overfitting(raw, holdout_groups=np.array([0, 0, 1, 1]))
    assert found.G_noise == found.G_se == pytest.approx(0.25)


def test_a_single_held_out_row_proves_nothing():
    found = overfitting(losses([2.0, 2.0], [1.0, 1.5], [2.0], [1.0]))
    assert (found.G, found.G_se) == (1.0, 0.0)
    assert not found.learnt


def test_losses_that_are_no_numbers_are_reported_as_such():
    found = overfitting(losses([2.0], [math.nan], [2.0], [math.nan]))
    assert not found.finite
    assert not found.learnt


@pytest.mark.parametrize("holdout_after", [[1.0, 2.0], []])
def test_rows_must_be_the_same_before_and_after(holdout_after):
    with pytest.raises(ValueError, match="holdout losses before and after"):
        losses([2.0], [1.0], [2.0], holdout_after)
