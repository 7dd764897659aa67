"""Least weights: by hand, against bisection, and many rows at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.blend.floors import with_floors
from tests.unit.blend import oracle


def test_a_lifted_head_takes_from_the_others_in_proportion():
    # 0.2 for the last; 0.8 is left for 0.6 and 0.3: 8/9 of each.
    found = with_floors(np.array([0.6, 0.3, 0.1]), np.array([0.0, 0.0, 0.2]))
    assert found == pytest.approx([0.8 * 2 / 3, 0.8 / 3, 0.2])


def test_weights_above_their_floors_stay():
    assert with_floors(np.array([0.6, 0.4]), np.array([0.1, 0.4])) == pytest.approx([0.6, 0.4])


def test_lifting_one_head_may_push_another_to_its_floor():
    # Lifting the last to 0.5 would leave 0.5 * 0.3 / 0.95 for the second, below its 0.25.
    found = with_floors(np.array([0.65, 0.3, 0.05]), np.array([0.0, 0.25, 0.5]))
    assert found == pytest.approx([0.25, 0.25, 0.5])


def test_floors_that_take_everything_are_the_weights():
    assert with_floors(np.array([1.0, 0.0]), np.array([0.3, 0.7])) == pytest.approx([0.3, 0.7])
    assert with_floors(np.full(10, 0.1), np.full(10, 0.1)) == pytest.approx([0.1] * 10)


def test_without_floors_the_bits_stay():
    weights = np.array([0.1, 0.2, 0.7])
    assert with_floors(weights, np.zeros(3)) is weights


shares = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8).filter(
    lambda pairs: sum(weight for weight, _ in pairs) > 1e-3 and sum(floor for _, floor in pairs) > 1e-3
)


@given(shares, st.floats(0.0, 1.0))
def test_floors_hold_and_the_sum_is_one(pairs, total):
    weights, floors = (np.array(values) for values in zip(*pairs, strict=True))
    weights, floors = weights / weights.sum(), total * floors / floors.sum()
    found = with_floors(weights, floors)
    assert (found >= floors).all()
    assert found.sum() == pytest.approx(1.0)
    assert found == pytest.approx(oracle.floored(weights, floors), rel=1e-6, abs=1e-9)


def test_many_rows_are_the_rows_one_by_one():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet([0.2] * 4, size=50)
    floors = np.array([0.1, 0.0, 0.3, 0.05])
    together = with_floors(weights, floors)
    assert together.tolist() == [with_floors(row, floors).tolist() for row in weights]
