"""A table as NumPy columns: what every source is read into. No Arrow object leaves `core.data.sources`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from core.data.blobs import Blob, media_cells

ColumnKind = Literal["text", "number", "boolean", "array", "texts", "file", "unsupported"]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

_TRUE_AND_FALSE = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True)
class ColumnHeader:
    """What is known of a column before its values are read."""

    kind: ColumnKind
    dtype: str
    """In the source's own words, for messages."""
    shape: tuple[int, ...] | None = None
    """Shape of one sample, where the source declares it (npz); `()` for scalars."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column, one value per row.

    `values`: text is an object array of `str`; numbers and booleans are one-dimensional; an array column is numeric
    `[rows, ...]`, or an object array of numeric arrays where lengths differ; a column of lists of texts is an object
    array of tuples; a column of files an object array of `core.data.blobs.Blob` or `LoosePath`, or None. `missing`
    marks nulls and empty texts.
    """

    header: ColumnHeader
    values: NDArray[Any]
    missing: Mask

    def take(self, rows: Rows) -> Column:
        """The same column with only these rows."""
        return Column(self.header, self.values[rows], self.missing[rows])

    def text(self) -> list[str]:
        """Every value as text; missing ones are empty. `7` and `7.0` are both `7`; booleans are `true`, `false`."""
        return ["" if gone else label_text(value) for value, gone in zip(self.values, self.missing, strict=True)]

    def cells(self) -> list[str | Blob]:
        """The cells of a media column: paths as text (empty where there is none), or the files themselves."""
        return media_cells(self.values, self.missing.tolist()) if self.header.kind == "file" else list(self.text())

    def numbers(self) -> tuple[NDArray[np.float64], Mask]:
        """Every value as a number (NaN where missing), and a mask of the values that are no numbers."""
        if self.header.kind in ("number", "boolean"):
            numbers = self.values.astype(np.float64)
            numbers[self.missing] = np.nan
            return numbers, np.zeros(len(numbers), dtype=np.bool_)
        numbers = np.full(len(self.values), np.nan)
        unreadable = np.zeros(len(self.values), dtype=np.bool_)
        plain = _all_numbers(self.values[~self.missing])
        if plain is not None:
            numbers[~self.missing] = plain
            return numbers, unreadable
        for index, (value, gone) in enumerate(zip(self.values, self.missing, strict=True)):
            if gone:
                continue
            number = _as_number(value)
            if number is None:
                unreadable[index] = True
            else:
                numbers[index] = number
        return numbers, unreadable


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns of equal length."""

    columns: Mapping[str, Column]
    rows: int
    id_column: str | None = None
    """A column that names the rows where the source has names of its own (files, members of a shard)."""

    def take(self, rows: Rows) -> Table:
        """Only these rows, in this order; nothing is copied where they are all of them."""
        if len(rows) == self.rows and np.array_equal(rows, np.arange(self.rows)):
            return self
        return Table({name: column.take(rows) for name, column in self.columns.items()}, len(rows), self.id_column)


class RowNames(Sequence[str]):
    """What rows are called: by a column, or where that is missing, by their numbers. Made when they are asked for."""

    def __init__(self, numbers: Rows, column: Column | None = None) -> None:
        self._numbers = numbers
        self._column = column

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> RowNames: ...
    def __getitem__(self, row: int | slice) -> str | RowNames:
        if isinstance(row, slice):
            rows = np.arange(len(self), dtype=np.int64)[row]
            return RowNames(self._numbers[rows], self._column and self._column.take(rows))
        if self._column is not None and not self._column.missing[row]:
            return label_text(self._column.values[row]) or str(self._numbers[row])
        return str(self._numbers[row])


def text_column(values: list[str], dtype: str = "string") -> Column:
    """A text column; empty and blank texts count as missing."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    missing = np.fromiter((not value.strip() for value in values), dtype=np.bool_, count=len(values))
    return Column(ColumnHeader("text", dtype), array, missing)


def label_text(value: Any) -> str:
    """A value as the name of a class: `7` and `7.0` are both `7`; booleans are `true`, `false`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
    return str(value)


def _all_numbers(texts: NDArray[Any]) -> NDArray[np.float64] | None:
    """What `_as_number` says of each, at once; None where any of them is not for `float` alone to say."""
    try:
        numbers = texts.astype(np.float64)
    except (TypeError, ValueError):
        return None
    return None if any("_" in text for text in texts) else numbers


def _as_number(text: str) -> float | None:
    cleaned = text.strip().lower()
    if cleaned in _TRUE_AND_FALSE:
        return _TRUE_AND_FALSE[cleaned]
    if "_" in cleaned:  # Python reads 1_000 as a number; nobody else does
        return None
    try:
        return float(cleaned)
    except ValueError:
        return None
