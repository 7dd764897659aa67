"""Super-epochs: lengths as in the paper, a ragged end, no epoch dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.blend import SuperEpoch, offline, online


def test_offline_is_one_super_epoch_over_the_whole_run():
    assert offline(20) == (SuperEpoch(0, 0, 20),)


def test_the_papers_lengths_with_a_ragged_end():
    assert online(22, first=10, later=5) == (
        SuperEpoch(0, 0, 10),
        SuperEpoch(1, 10, 5),
        SuperEpoch(2, 15, 5),
        SuperEpoch(3, 20, 2),
    )


def test_a_run_shorter_than_the_first_super_epoch():
    assert online(3, first=10, later=5) == (SuperEpoch(0, 0, 3),)


def test_a_warm_up_is_a_super_epoch_that_is_not_estimated():
    assert online(12, first=4, later=3, warm_up=2) == (
        SuperEpoch(0, 0, 2, estimated=False),
        SuperEpoch(1, 2, 4),
        SuperEpoch(2, 6, 3),
        SuperEpoch(3, 9, 3),
    )


def test_a_warm_up_as_long_as_the_run_is_all_there_is():
    assert online(2, first=4, later=3, warm_up=5) == (SuperEpoch(0, 0, 2, estimated=False),)


def test_a_negative_warm_up_is_refused():
    with pytest.raises(ValueError, match="warm_up must be at least 0"):
        online(3, first=1, later=1, warm_up=-1)


@pytest.mark.parametrize(("epochs", "first", "later"), [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_lengths_below_one_are_refused(epochs, first, later):
    with pytest.raises(ValueError, match="at least 1"):
        online(epochs, first=first, later=later)


@given(st.integers(1, 300), st.integers(1, 50), st.integers(1, 50), st.integers(0, 20))
def test_every_epoch_is_in_exactly_one_super_epoch(epochs, first, later, warm_up):
    covered = [
        epoch
        for part in online(epochs, first=first, later=later, warm_up=warm_up)
        for epoch in range(part.first_epoch, part.end)
    ]
    assert covered == list(range(epochs))
