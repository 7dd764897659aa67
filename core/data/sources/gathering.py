"""A column from pieces: each is converted as it comes, so that no Arrow table lies beside the result."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.table import Column, ColumnHeader, Mask


class Gathering:
    """Pieces of one column, in order, into arrays of `rows` that exist from the first piece on."""

    def __init__(self, header: ColumnHeader, rows: int) -> None:
        self._header = header
        self._rows = rows
        self._at = 0
        self._values: NDArray[Any] | None = None
        self._missing: Mask = np.zeros(rows, dtype=np.bool_)

    def add(self, piece: Column) -> None:
        """The next rows. Raises ValueError where there are more than there should be."""
        values, stop = piece.values, self._at + len(piece.values)
        if stop > self._rows:
            raise ValueError(f"it has more than the {self._rows} rows that its header says")
        if self._values is None:
            self._values = np.empty((self._rows, *values.shape[1:]), dtype=values.dtype)
        if values.shape[1:] != self._values.shape[1:] or values.dtype != self._values.dtype:
            self._values = _apart(self._values, self._at)
            values = _apart(values, len(values))
        self._values[self._at : stop] = values
        self._missing[self._at : stop] = piece.missing
        self._at = stop

    def finish(self) -> Column:
        """The whole column. Raises ValueError where rows are lacking."""
        if self._values is None or self._at != self._rows:
            raise ValueError(f"it has {self._at} rows; its header says {self._rows}")
        return Column(self._header, self._values, self._missing)


def _apart(values: NDArray[Any], filled: int) -> NDArray[Any]:
    """An array column whose rows are no longer alike: an object array of the rows' own arrays."""
    if values.dtype == object:
        return values
    out = np.empty(len(values), dtype=object)
    for row in range(filled):
        out[row] = values[row]
    return out
