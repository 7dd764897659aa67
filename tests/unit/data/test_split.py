"""Drawing the split and V: exact sizes by hand, and what holds for every draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.split import TEST, TRAIN, VALIDATION, codes_of, draw_holdout, draw_parts, permutation

FRACTIONS = (0.7, 0.15, 0.15)
PINNED_7 = [7, 5, 3, 0, 6, 1, 2, 4]


def codes(*runs: tuple[int, int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """`(code, times)` runs."""
    return np.repeat([code for code, _ in runs], [times for _, times in runs]).astype(np.int64)


def sizes(parts: np.ndarray[tuple[int], np.dtype[np.int8]]) -> list[int]:
    return np.bincount(parts, minlength=3).tolist()


def test_the_permutation_is_the_same_for_ever() -> None:
    assert permutation(8, 7, 1).tolist() == PINNED_7
    assert permutation(8, 8, 1).tolist() != PINNED_7
    assert permutation(8, 7, 2).tolist() != PINNED_7
    assert sorted(permutation(100, 0, 1).tolist()) == list(range(100))


def test_codes_follow_the_sorted_values() -> None:
    assert codes_of(["b", "a", "c", "a"]).tolist() == [1, 0, 2, 0]


# parts without groups


def test_every_stratum_is_cut_by_the_fractions() -> None:
    strata = codes((0, 100), (1, 20), (2, 40))
    parts = draw_parts(strata, None, FRACTIONS, 0)
    assert [sizes(parts[strata == code]) for code in range(3)] == [[70, 15, 15], [14, 3, 3], [28, 6, 6]]


def test_remainders_even_out_over_the_strata() -> None:
    strata = codes(*((code, 10) for code in range(10)))
    parts = draw_parts(strata, None, FRACTIONS, 3)
    assert sizes(parts) == [70, 15, 15]
    assert {sizes(parts[strata == code])[TRAIN] for code in range(10)} == {7}


def test_a_small_stratum_is_in_every_part() -> None:
    parts = draw_parts(codes((0, 97), (1, 3)), None, FRACTIONS, 0)
    assert sizes(parts[97:]) == [1, 1, 1]


def test_no_validation_part() -> None:
    assert sizes(draw_parts(codes((0, 10), (1, 10)), None, (0.8, 0.0, 0.2), 0)) == [16, 0, 4]


def test_many_strata_of_one_row_still_fill_every_part() -> None:
    parts = draw_parts(np.arange(4), None, FRACTIONS, 0)
    assert min(sizes(parts)) == 1


def test_too_few_rows_or_groups() -> None:
    with pytest.raises(ValueError, match="2 are fewer"):
        draw_parts(codes((0, 2)), None, FRACTIONS, 0)
    with pytest.raises(ValueError, match="2 are fewer"):
        draw_parts(codes((0, 10)), codes((0, 5), (1, 5)), FRACTIONS, 0)
    assert sizes(draw_parts(codes((0, 10)), codes((0, 5), (1, 5)), (0.5, 0.0, 0.5), 0)) == [5, 0, 5]


# parts with groups


def test_six_equal_speakers() -> None:
    groups = codes(*((code, 50) for code in range(6)))
    strata = np.tile(np.arange(10), 30)
    parts = draw_parts(strata, groups, FRACTIONS, 0)
    assert sizes(parts) == [200, 50, 50]


def test_the_seed_decides_between_equal_groups() -> None:
    groups = codes(*((code, 10) for code in range(6)))
    strata = np.tile([0, 1], 30)
    tested = {int(groups[draw_parts(strata, groups, FRACTIONS, seed) == TEST][0]) for seed in range(30)}
    assert len(tested) >= 4


def test_a_rare_class_in_two_groups_is_seen_in_train() -> None:
    # Eight groups of 20; only groups 0 and 1 hold the rare class.
    groups = codes(*((code, 20) for code in range(8)))
    strata = np.zeros(160, dtype=np.int64)
    strata[:2] = strata[20:22] = 1
    for seed in range(20):
        parts = draw_parts(strata, groups, FRACTIONS, seed)
        assert (parts[strata == 1] == TRAIN).any()


def test_a_stratum_with_fewer_rows_than_there_are_parts_has_one_in_train() -> None:
    strata = codes((0, 60), (1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2), (7, 2))
    for seed in range(20):
        parts = draw_parts(strata, None, FRACTIONS, seed)
        for code in range(8):
            assert TRAIN in parts[strata == code]


def test_groups_of_one_class_each() -> None:
    # Patients with one diagnosis: 30 groups of 4 rows, 10 per class.
    groups = np.repeat(np.arange(30), 4)
    strata = groups % 3
    parts = draw_parts(strata, groups, FRACTIONS, 1)
    for code in range(3):
        share = np.array(sizes(parts[strata == code])) / 40
        np.testing.assert_allclose(share, FRACTIONS, atol=0.1)


rows = st.integers(3, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 4), min_size=n, max_size=n),
        st.lists(st.integers(0, 12), min_size=n, max_size=n),
        st.integers(0, 2**31 - 1),
    )
)


@settings(deadline=None, max_examples=120)
@given(rows)
def test_a_drawn_split_is_a_partition_and_depends_on_the_seed_alone(drawn: tuple[list[int], list[int], int]) -> None:
    strata, _, seed = np.array(drawn[0]), drawn[1], drawn[2]
    parts = draw_parts(strata, None, FRACTIONS, seed)
    assert parts.shape == strata.shape
    assert set(parts.tolist()) == {TRAIN, VALIDATION, TEST}
    assert np.array_equal(parts, draw_parts(strata, None, FRACTIONS, seed))
    for code in np.unique(strata):
        count = int((strata == code).sum())
        inside = sizes(parts[strata == code])
        for part in range(3):
            # Whole shares, one remainder, one row given up so that no part lacks the stratum or is empty.
            assert abs(inside[part] - count * FRACTIONS[part]) < 3


@settings(deadline=None, max_examples=120)
@given(rows)
def test_no_group_is_on_two_sides(drawn: tuple[list[int], list[int], int]) -> None:
    strata, groups, seed = np.array(drawn[0]), codes_of([str(group) for group in drawn[1]]), drawn[2]
    if groups.max() < 2:
        return
    parts = draw_parts(strata, groups, FRACTIONS, seed)
    assert set(parts.tolist()) == {TRAIN, VALIDATION, TEST}
    for group in np.unique(groups):
        assert len(set(parts[groups == group].tolist())) == 1
    assert np.array_equal(parts, draw_parts(strata, groups, FRACTIONS, seed))


@settings(deadline=None, max_examples=50)
@given(st.integers(40, 120), st.integers(0, 1000))
def test_many_small_groups_come_near_the_fractions(count: int, seed: int) -> None:
    groups = np.repeat(np.arange(count), 3)
    strata = (np.arange(count * 3) * 7) % 4
    share = np.array(sizes(draw_parts(strata, groups, FRACTIONS, seed))) / (count * 3)
    np.testing.assert_allclose(share, FRACTIONS, atol=0.05)


# V


def test_v_without_groups_is_stratified() -> None:
    labels = codes((0, 100), (1, 20), (2, 2), (3, 1))
    held = draw_holdout(labels, None, 0.15, 0)
    assert [int(held[labels == code].sum()) for code in range(4)] == [15, 3, 1, 0]


def test_v_never_takes_the_only_row_of_a_class() -> None:
    # Several of them make up what V lacks, whatever the seed; none of them may fill it.
    labels = codes((0, 40), (1, 37), (2, 33), (3, 1), (4, 1), (5, 1), (6, 1))
    for seed in range(20):
        held = draw_holdout(labels, None, 0.15, seed)
        assert not held[labels > 2].any()
        assert abs(int(held.sum()) - 17) <= 1


def test_v_is_whole_groups_at_least_one() -> None:
    labels = np.tile(np.arange(10), 20)
    speakers = codes(*((code, 50) for code in range(4)))
    held = draw_holdout(labels, speakers, 0.15, 0)
    assert int(held.sum()) == 50
    assert len(set(speakers[held].tolist())) == 1
    assert len({int(speakers[draw_holdout(labels, speakers, 0.15, seed)][0]) for seed in range(30)}) == 4


def test_v_takes_groups_until_the_fraction_is_reached() -> None:
    labels = np.tile([0, 1], 100)
    groups = np.repeat(np.arange(20), 10)
    assert [int(draw_holdout(labels, groups, fraction, 0).sum()) for fraction in (0.01, 0.15, 0.151, 0.5)] == [
        10,
        30,
        40,
        100,
    ]


def test_v_leaves_a_group_in_train() -> None:
    labels = np.tile([0, 1], 50)
    held = draw_holdout(labels, codes((0, 10), (1, 90)), 0.5, 0)
    assert int(held.sum()) in (10, 90)


def test_v_prefers_groups_that_look_like_the_whole() -> None:
    # Groups 0 to 3 hold one class each, groups 4 and 5 all of them.
    groups = codes(*((code, 12) for code in range(6)))
    labels = np.concatenate([codes(*((code, 12) for code in range(4))), np.tile(np.arange(4), 6)])
    for seed in range(20):
        held = draw_holdout(labels, groups, 0.15, seed)
        assert set(groups[held].tolist()) <= {4, 5}


def test_v_prefers_not_to_take_one_huge_group() -> None:
    labels = np.tile([0, 1], 60)
    groups = codes((0, 80), (1, 20), (2, 20))
    for seed in range(20):
        assert int(draw_holdout(labels, groups, 0.15, seed).sum()) == 20


def test_v_leaves_every_class_in_train_where_it_can() -> None:
    labels = codes((0, 10), (1, 10), (0, 10), (1, 10), (2, 10))
    groups = np.repeat(np.arange(5), 10)
    for seed in range(20):
        held = draw_holdout(labels, groups, 0.4, seed)
        assert set(labels[~held].tolist()) == {0, 1, 2}


@settings(deadline=None, max_examples=120)
@given(rows, st.floats(0.01, 0.5))
def test_v_is_some_of_train_never_all_and_never_half_a_group(
    drawn: tuple[list[int], list[int], int], fraction: float
) -> None:
    labels, groups, seed = np.array(drawn[0]), codes_of([str(group) for group in drawn[1]]), drawn[2]
    if groups.max() >= 1:
        held = draw_holdout(labels, groups, fraction, seed)
        assert 0 < held.sum() < len(labels)
        assert not set(groups[held].tolist()) & set(groups[~held].tolist())
        assert np.array_equal(held, draw_holdout(labels, groups, fraction, seed))
    alone = draw_holdout(labels, None, fraction, seed)
    assert 0 < alone.sum() < len(labels)
    assert np.array_equal(alone, draw_holdout(labels, None, fraction, seed))
