"""The most that heads may get which show nothing but noise: by hand, against trying, and many rows at a time."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.blend.ceilings import with_ceiling
from tests.unit.blend import oracle


def ceiled(weights, noisy):
    return with_ceiling(np.array(weights), np.array(noisy))


def test_what_a_noisy_head_has_above_the_equal_share_goes_to_the_others_in_proportion():
    # 1/3 stays; 2/3 is left for 0.1 and 0.3.
    assert ceiled([0.6, 0.1, 0.3], [True, False, False]) == pytest.approx([1 / 3, 1 / 6, 1 / 2])


def test_a_noisy_head_below_the_equal_share_stays_in_proportion():
    assert ceiled([0.2, 0.5, 0.3], [True, False, False]).tolist() == [0.2, 0.5, 0.3]


def test_a_head_that_learnt_may_have_more_than_the_equal_share():
    assert ceiled([0.9, 0.1], [False, False]).tolist() == [0.9, 0.1]


def test_what_one_noisy_head_loses_may_push_another_to_the_ceiling():
    # 1/4 for the first; 3/4 * (0.2, 0.12, 0.08) / 0.4 would give the second 0.375: 1/4, and 0.5 is left for two.
    found = ceiled([0.6, 0.2, 0.12, 0.08], [True, True, False, False])
    assert found == pytest.approx([0.25, 0.25, 0.3, 0.2])


@pytest.mark.parametrize("weights", [[1.0, 0.0, 0.0], [0.7, 0.3, 0.0]])
def test_where_only_noisy_heads_have_weight_all_are_equal(weights):
    assert ceiled(weights, [True, True, False]) == pytest.approx([1 / 3] * 3)


def test_a_rest_of_almost_nothing_gets_what_is_left():
    found = ceiled([1.0, 5e-324, 0.0], [True, False, False])
    assert found == pytest.approx([1 / 3, 2 / 3, 0.0])


def test_a_row_of_zeros_stays_one():
    assert ceiled([[0.0, 0.0], [0.9, 0.1]], [True, False]).tolist() == [[0.0, 0.0], [0.5, 0.5]]


@example([(1.0, True), (2.2250738585e-313, False)])
@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=7).filter(
        lambda pairs: sum(weight for weight, _ in pairs) > 1e-3
    )
)
def test_the_ceiling_holds_and_the_sum_is_one(pairs):
    weights, noisy = np.array([weight for weight, _ in pairs]), np.array([flag for _, flag in pairs])
    weights = weights / weights.sum()
    found = with_ceiling(weights, noisy)
    assert found.sum() == pytest.approx(1.0)
    assert (found[noisy] <= 1.0 / len(weights) + 1e-12).all()
    assert found == pytest.approx(oracle.capped(weights.tolist(), noisy.tolist()), rel=1e-9, abs=1e-12)


def test_many_rows_are_the_rows_one_by_one():
    rng = np.random.default_rng(0)
    weights, noisy = rng.dirichlet([0.2] * 4, size=50), rng.random((50, 4)) < 0.5
    together = with_ceiling(weights, noisy)
    assert together.tolist() == [with_ceiling(*row).tolist() for row in zip(weights, noisy, strict=True)]
