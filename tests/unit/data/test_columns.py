"""Modalities that live in the table: tabular, timeseries, embedding. And the moments that they are standardised by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.modalities import decode_sample, info_of
from core.data.modalities.arrays import (
    encode_embedding,
    encode_timeseries,
    fit_embedding,
    fit_timeseries,
    read_embedding,
    read_timeseries,
)
from core.data.modalities.base import Reading, moments
from core.data.modalities.tabular import constant_columns, constant_in, encode_tabular, fit_tabular, read_tabular
from core.data.table import Column, ColumnHeader, text_column
from core.errors import DataError
from core.spec.data import TabularColumn


def told(reading: Reading) -> list[tuple[int, str, str]]:
    return [(problem.row, problem.code, problem.detail) for problem in reading.problems]


def numbers(*values: float) -> Column:
    array = np.array(values, dtype=np.float64)
    return Column(ColumnHeader("number", "double"), array, np.isnan(array))


def arrays(*values: Any) -> Column:
    array = np.empty(len(values), dtype=object)
    array[:] = [np.asarray([] if value is None else value, dtype=np.float64) for value in values]
    return Column(ColumnHeader("array", "list"), array, np.array([value is None for value in values]))


# moments


def test_moments_of_known_columns() -> None:
    mean, std = moments([np.array([[1.0, 5.0, 0.1]]), np.array([[3.0, 5.0, 0.1], [5.0, 5.0, 0.1]]), np.zeros((0, 3))])
    np.testing.assert_allclose(mean, [3.0, 5.0, 0.1])
    # sqrt(8 / 3); constant columns get 1, also where rounding leaves a deviation.
    np.testing.assert_allclose(std, [1.632993161855452, 1.0, 1.0])


@settings(deadline=None, max_examples=100)
@given(
    values=st.lists(st.lists(st.integers(-1000, 1000), min_size=2, max_size=2), min_size=1, max_size=30),
    cut=st.integers(0, 30),
)
def test_moments_do_not_depend_on_the_chunks(values: list[list[int]], cut: int) -> None:
    whole = np.array(values, dtype=np.float64)
    mean, std = moments([whole[:cut], whole[cut:]])
    np.testing.assert_allclose(mean, whole.mean(axis=0), atol=1e-9)
    expected = whole.std(axis=0)
    expected[np.ptp(whole, axis=0) == 0] = 1.0
    np.testing.assert_allclose(std, expected, atol=1e-9)


def test_moments_of_large_numbers_keep_their_digits() -> None:
    _, std = moments([np.array([[1e9 + 1]]), np.array([[1e9 + 3]])])
    np.testing.assert_allclose(std, [1.0], rtol=1e-9)


# tabular

SITE, AGE, WEIGHT = (
    TabularColumn(name="site", type="category"),
    TabularColumn(name="age", type="number"),
    TabularColumn(name="weight", type="number"),
)


def test_numbers_first_then_codes() -> None:
    columns = [(SITE, text_column(["b", "a", "b", "z", ""])), (AGE, text_column(["1", "3", "5", "7", "9"]))]
    reading = read_tabular(columns)
    assert told(reading) == []
    state = fit_tabular(reading.raw, np.array([0, 1, 2]), [SITE, AGE])
    assert (state["numbers"], state["categories"], state["vocabularies"]) == (["age"], ["site"], [["a", "b"]])
    encoded = encode_tabular(reading.raw, state)
    # age: mean 3, deviation sqrt(8/3); site: a is 1, b is 2, whatever train does not hold is 0.
    expected = [[-1.2247449, 2], [0, 1], [1.2247449, 2], [2.4494897, 0], [3.6742346, 0]]
    np.testing.assert_allclose(encoded, expected, rtol=1e-6)
    assert (encoded.dtype, encoded.flags.c_contiguous) == (np.float32, True)
    info = info_of("meta", state)
    assert (info.shape, info.categories) == ((2,), (3,))


def test_a_missing_category_is_a_category() -> None:
    reading = read_tabular([(SITE, text_column(["", "a", " a "]))])
    state = fit_tabular(reading.raw, np.array([0, 1]), [SITE])
    assert state["vocabularies"] == [["", "a"]]
    assert encode_tabular(reading.raw, state)[:, 0].tolist() == [1.0, 2.0, 2.0]


def test_numbers_may_be_categories() -> None:
    reading = read_tabular([(SITE, numbers(7.0, 8.0, 7.0))])
    assert fit_tabular(reading.raw, np.array([0, 1]), [SITE])["vocabularies"] == [["7", "8"]]


def test_what_is_wrong_with_numbers() -> None:
    reading = read_tabular(
        [(AGE, text_column(["1", "", "x", "nan", "inf", "1e39"])), (WEIGHT, numbers(1, 2, 3, 4, 5, np.nan))]
    )
    assert told(reading) == [
        (1, "value.missing", "'age' is missing"),
        (2, "value.dtype", "'age' is 'x', no number"),
        (3, "value.not_finite", "'age' is nan"),
        (4, "value.not_finite", "'age' is inf"),
        (5, "value.not_finite", "'age' is 1e+39"),
        (5, "value.missing", "'weight' is missing"),
    ]


@pytest.mark.parametrize("also", ["7", "x", "1_0", "true"])  # `float` alone reads the first; the third it would, too
def test_texts_are_the_same_numbers_whatever_stands_beside_them(also: str) -> None:
    texts = ["1", " 2.5 ", "", "-inf", "1e400", "nan", "\u0661", also]
    values, unreadable = text_column(texts).numbers()
    assert np.array_equal(values[:7], [1.0, 2.5, np.nan, -np.inf, np.inf, np.nan, 1.0], equal_nan=True)
    assert not unreadable[:7].any()
    assert (bool(unreadable[7]), float(np.nan_to_num(values[7], nan=-1.0))) == {
        "7": (False, 7.0),
        "x": (True, -1.0),
        "1_0": (True, -1.0),
        "true": (False, 1.0),
    }[also]


def test_constant_columns_are_warned_of_and_become_0() -> None:
    columns = [(SITE, text_column(["a", "a", "b"])), (AGE, numbers(0.1, 0.1, 5)), (WEIGHT, numbers(1, 2, 3))]
    raw = read_tabular(columns).raw
    (warning,) = constant_columns([SITE, AGE, WEIGHT], raw, np.array([0, 1]))
    assert (warning.code, warning.severity, warning.examples) == ("column.constant", "warning", ("age", "site"))
    assert constant_columns([SITE, AGE, WEIGHT], raw, np.array([0, 1, 2])) == []
    state = fit_tabular(raw, np.array([0, 1]), [SITE, AGE, WEIGHT])
    assert encode_tabular(raw, state)[:2, 0].tolist() == [0.0, 0.0]


def test_constant_columns_of_a_table_that_is_not_decoded() -> None:
    columns = [(SITE, text_column([" a", "a", "b"])), (AGE, numbers(0.1, 0.1, 5)), (WEIGHT, numbers(np.nan, 1, 1))]
    (warning,) = constant_in(columns, np.array([0, 1]))
    assert warning.examples == ("age", "site")
    assert [warning.examples for warning in constant_in(columns, np.array([1, 2]))] == [("weight",)]
    assert constant_in(columns, np.array([], dtype=np.int64)) == []


def test_numbers_alone_are_no_objects() -> None:
    columns = [(AGE, numbers(1, 2, 3)), (WEIGHT, text_column(["0.5", "x", "1"]))]
    reading = read_tabular(columns)
    assert reading.raw.dtype == np.float64
    assert reading.raw[[0, 2]].tolist() == [[1.0, 0.5], [3.0, 1.0]]
    assert told(reading) == [(1, "value.dtype", "'weight' is 'x', no number")]


def test_a_new_row_takes_the_same_road() -> None:
    reading = read_tabular([(SITE, text_column(["a", "b"])), (AGE, numbers(0, 2)), (WEIGHT, numbers(1, 3))])
    states = {"meta": fit_tabular(reading.raw, np.array([0, 1]), [SITE, AGE, WEIGHT])}

    def decode(**cells: Any) -> list[float]:
        values: list[float] = decode_sample(states, {"meta": cells})["meta"].tolist()[0]
        return values

    assert decode(site="b", age=3, weight="1") == [2.0, -1.0, 2.0]
    assert decode(site="new", age=True, weight=2.0) == [0.0, 0.0, 0.0]
    with pytest.raises(DataError) as raised:
        decode(site="a", age=1)
    (issue,) = raised.value.issues
    assert (issue.code, issue.pointer) == ("value.missing", "#/meta")


# timeseries


def test_timeseries_standardised_per_channel_and_padded_with_zeros() -> None:
    column = arrays([[0, 10], [2, 10]], [[4, 10]], [[6, 12], [6, 12], [6, 12]])
    reading = read_timeseries(column, (None, 2))
    assert told(reading) == []
    state = fit_timeseries(reading.raw, np.array([0, 1]), (None, 2))
    # Channel 0 of the training series: 0, 2, 4; channel 1 never changes. The longest has two steps.
    np.testing.assert_allclose([state["mean"], state["std"]], [[2, 10], [1.632993161855452, 1]])
    encoded = encode_timeseries(reading.raw, state)
    expected = [[[-1.2247449, 0], [0, 0]], [[1.2247449, 0], [0, 0]], [[2.4494897, 2], [2.4494897, 2]]]
    np.testing.assert_allclose(encoded, expected, rtol=1e-6)
    assert (encoded.dtype, encoded.flags.c_contiguous) == (np.float32, True)
    assert info_of("imu", state).shape == (2, 2)


def test_given_steps_crop_and_pad() -> None:
    reading = read_timeseries(arrays([1, 2, 3], [4]), (2, 1))
    state = fit_timeseries(reading.raw, np.array([0, 1]), (2, 1))
    assert state["mean"] == [pytest.approx(7 / 3)]  # 1, 2 and 4: what is cropped does not count
    assert encode_timeseries(reading.raw, state).shape == (2, 2, 1)


def test_what_is_wrong_with_series() -> None:
    column = arrays([[1, 2]], None, [[1, 2, 3]], [1, 2], [[1, np.nan]], np.empty((0, 0, 0)), np.empty((0, 2)))
    assert told(read_timeseries(column, (None, 2))) == [
        (1, "value.missing", "there is no series"),
        (2, "value.shape", "[1, 3] instead of [steps, 2]"),
        (3, "value.shape", "[2] instead of [steps, 2]"),
        (4, "value.not_finite", "nan at index [0, 1]"),
        (5, "value.shape", "lists of different lengths instead of [steps, 2]"),
        (6, "value.shape", "[0, 2] instead of [steps, 2]"),
    ]


# embedding


def test_embeddings_standardised_per_entry() -> None:
    reading = read_embedding(arrays([0, 5], [2, 5], [4, 6]))
    state = fit_embedding(reading.raw, np.array([0, 1]))
    encoded = encode_embedding(reading.raw, state)
    assert encoded.tolist() == [[-1, 0], [1, 0], [3, 1]]
    assert (encoded.dtype, encoded.flags.c_contiguous) == (np.float32, True)
    assert info_of("vector", state).shape == (2,)


def test_what_is_wrong_with_vectors() -> None:
    column = arrays([1, 2], None, [1, 2, 3], [3, 4], [np.inf, 1], [[1, 2]])
    assert told(read_embedding(column)) == [
        (1, "value.missing", "there is no vector"),
        (2, "value.shape", "[3] instead of [2]"),
        (4, "value.not_finite", "inf at index [0]"),
        (5, "value.shape", "[1, 2] instead of [2]"),
    ]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16, np.bool_])
def test_vectors_of_one_length_are_read_as_they_are(kind: type) -> None:
    values = np.array([[0, 1], [1, 1], [0, 0]], dtype=kind)
    column = Column(ColumnHeader("array", "array"), values, np.array([False, False, True]))
    reading = read_embedding(column)
    assert reading.raw.dtype == (np.float32 if kind == np.float32 else np.float64)
    assert reading.raw[:2].tolist() == [[0.0, 1.0], [1.0, 1.0]]
    assert told(reading) == [(2, "value.missing", "there is no vector")]
    assert np.shares_memory(reading.raw, values) == (kind in (np.float32, np.float64))


def test_what_is_wrong_with_vectors_of_one_length() -> None:
    values = np.array([[0, 1], [np.nan, 1], [2, np.inf], [-1e39, 3]])
    column = Column(ColumnHeader("array", "array"), values, np.zeros(4, dtype=np.bool_))
    assert told(read_embedding(column)) == [
        (1, "value.not_finite", "nan at index [0]"),
        (2, "value.not_finite", "inf at index [1]"),
        (3, "value.not_finite", "-1e+39 at index [0]"),
    ]
    assert [code for _, code, _ in told(read_embedding(column, length=3))] == ["value.shape"] * 4


def test_no_vector_at_all() -> None:
    assert [code for _, code, _ in told(read_embedding(arrays([], None)))] == ["value.shape", "value.missing"]


def test_new_arrays_take_the_same_road() -> None:
    states = {
        "series": {"type": "timeseries", "steps": 2, "channels": 1, "mean": [1.0], "std": [2.0]},
        "vector": {"type": "embedding", "length": 2, "mean": [0.0, 1.0], "std": [1.0, 1.0]},
    }
    encoded = decode_sample(states, {"series": [5], "vector": np.array([3, 4])})
    assert encoded["series"].tolist() == [[[2.0], [0.0]]]
    assert encoded["vector"].tolist() == [[3.0, 3.0]]
    with pytest.raises(DataError) as raised:
        decode_sample(states, {"series": [[1, 2]], "vector": ["x"]})
    assert [(issue.code, issue.pointer) for issue in raised.value.issues] == [
        ("value.shape", "#/series"),
        ("value.dtype", "#/vector"),
    ]
    with pytest.raises(DataError, match="it is not given"):
        decode_sample(states, {"series": [1]})
    with pytest.raises(DataError, match="neither a Path nor the bytes"):
        decode_sample({"face": {"type": "image"}}, {"face": "picture.png"})
