"""Columns put together from pieces, and what rows are called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from core.data.sources.arrow import Pool, column_of
from core.data.sources.arrow_lists import rows_of_lists
from core.data.sources.gathering import Gathering
from core.data.table import Column, ColumnHeader, RowNames, Table, text_column

HEADER = ColumnHeader("array", "list<float>")


def lists(values: list[Any], kind: Any = None) -> np.ndarray[Any, Any]:
    array = pa.array(values, kind)
    return rows_of_lists(array, np.asarray(array.is_null()))


def gathered(*pieces: list[Any], rows: int) -> Column:
    gathering = Gathering(HEADER, rows)
    for piece in pieces:
        gathering.add(column_of(pa.array(piece)))
    return gathering.finish()


def test_rows_that_are_alike_are_one_array() -> None:
    rows = lists([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32()))
    assert (rows.dtype, rows.shape) == (np.float32, (3, 2))
    assert rows[[0, 2]].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert np.isnan(rows[1]).all()


def test_lists_of_lists_that_are_alike_are_one_array() -> None:
    rows = lists([[[1, 2, 3]], [[4, 5, 6]]])
    assert rows.tolist() == [[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]


@pytest.mark.parametrize(
    "values", [[[1.0], [2.0, 3.0]], [[], [1.0]], [[[1.0]], [[2.0], [3.0]]], [[[1.0, 2.0]], [[3.0]]], [[[]], [[]]]]
)
def test_rows_that_are_not_alike_are_arrays_of_their_own(values: list[Any]) -> None:
    rows = lists(values)
    assert rows.dtype == object
    assert [row.tolist() for row in rows] == values


def test_a_null_that_hides_values() -> None:
    array = pa.ListArray.from_arrays(
        pa.array([0, 1, 3, 4]), pa.array([1.0, 2, 3, 4]), mask=pa.array([False, True, False])
    )
    rows = rows_of_lists(array, np.array([False, True, False]))
    assert [rows[0].tolist(), rows[2].tolist()] == [[1.0], [4.0]]


def test_a_slice_of_lists() -> None:
    array = pa.array([[9.0, 9.0], [1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]).slice(1, 2)
    assert rows_of_lists(array, np.zeros(2, dtype=np.bool_)).tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_pieces_that_are_alike() -> None:
    column = gathered([[1.0, 2.0], None], [[3.0, 4.0]], rows=3)
    assert column.values.shape == (3, 2)
    assert column.missing.tolist() == [False, True, False]
    assert column.header is HEADER


@pytest.mark.parametrize(
    "pieces",
    [
        ([[1.0, 2.0]], [[3.0, 4.0]], [[5.0]]),
        ([[1.0]], [[3.0, 4.0], [5.0]]),
        ([[3.0, 4.0], [5.0]], [[1.0]]),
    ],
)
def test_pieces_that_turn_out_to_differ(pieces: tuple[list[Any], ...]) -> None:
    column = gathered(*pieces, rows=3)
    assert column.values.dtype == object
    assert [row.tolist() for row in column.values] == [row for piece in pieces for row in piece]


def test_pieces_of_more_rows_or_fewer() -> None:
    with pytest.raises(ValueError, match="more than the 2 rows"):
        gathered([[1.0]], [[1.0], [2.0]], rows=2)
    with pytest.raises(ValueError, match="1 rows; its header says 2"):
        gathered([[1.0]], rows=2)
    with pytest.raises(ValueError, match="0 rows"):
        gathered(rows=2)


def test_texts_that_are_alike_share_one_object_across_pieces() -> None:
    pools: dict[str, Pool] = {}
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, None, 0]), pa.array(["x" * 50, "y", "unused"]))
    first, second = column_of(array.slice(0, 2), pools), column_of(array.slice(2), pools)
    assert second.text() == ["x" * 50, "", "x" * 50]
    assert first.values[0] is second.values[0] is second.values[2]
    assert second.missing.tolist() == [False, True, False]


def test_another_dictionary_has_other_texts() -> None:
    pools: dict[str, Pool] = {}
    assert column_of(pa.array(["a", "b"]).dictionary_encode(), pools).text() == ["a", "b"]
    assert column_of(pa.array(["b", "c"]).dictionary_encode(), pools).text() == ["b", "c"]


def test_texts_without_a_dictionary_share_too_where_many_are_alike() -> None:
    column = column_of(pa.array(["a" * 40, None, "b"] * 400))
    assert column.text()[-3:] == ["a" * 40, "", "b"]
    assert len({id(value) for value in column.values}) == 3


def test_lists_of_texts_share_them() -> None:
    kind = pa.list_(pa.dictionary(pa.int32(), pa.string()))
    column = column_of(pa.array([["x" * 50, "y"], None, [], ["x" * 50, None]], kind))
    assert column.values.tolist() == [("x" * 50, "y"), (), (), ("x" * 50,)]
    assert column.values[0][0] is column.values[3][0]


def test_rows_are_called_by_their_column_or_their_number() -> None:
    names = RowNames(np.array([3, 5, 8]), text_column(["a", " ", "c"]))
    assert list(names) == ["a", "5", "c"]
    assert list(names[1:]) == ["5", "c"]
    assert len(names) == 3
    assert list(RowNames(np.array([3, 5]))) == ["3", "5"]
    column = Column(ColumnHeader("number", "int64"), np.array([7.0, 0.5]), np.array([False, False]))
    assert list(RowNames(np.array([0, 1]), column)) == ["7", "0.5"]


def test_all_rows_of_a_table_are_the_table() -> None:
    table = Table({"a": text_column(["x", "y"])}, 2)
    assert table.take(np.array([0, 1])) is table
    assert table.take(np.array([1, 0])).columns["a"].text() == ["y", "x"]
    assert table.take(np.array([1])).rows == 1
