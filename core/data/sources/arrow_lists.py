"""Arrow lists of numbers to NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.table import Mask


def rows_of_lists(values: Any, missing: Mask) -> NDArray[Any]:
    """One array `[rows, length]` (`[rows, steps, channels]` of lists of lists) where all rows are alike.

    Else an object array with one numeric array per row; one whose inner lists differ in length becomes an empty
    `[0, 0, 0]` array, which no shape check lets through. Rows that are `missing` are NaN, or arrays of their own.
    """
    bounds, inner = _opened(values)
    if not is_list(inner.type):
        return _rows(_flat(inner), bounds, missing)
    inner_bounds, numbers = _opened(inner)
    flat = _flat(numbers)
    widths = np.diff(inner_bounds)
    if len(widths) and widths[0] > 0 and (widths == widths[0]).all():
        return _rows(flat.reshape(len(widths), widths[0]), bounds, missing)
    out = np.empty(len(bounds) - 1, dtype=object)
    for row in range(len(out)):
        first, last = bounds[row], bounds[row + 1]
        width = widths[first] if last > first else 0
        if (widths[first:last] != width).any():
            out[row] = np.empty((0, 0, 0))
        else:
            out[row] = flat[inner_bounds[first] : inner_bounds[last]].reshape(last - first, width)
    return out


def is_list(arrow_type: Any) -> bool:
    """Whether it is any of Arrow's list types."""
    import pyarrow as pa

    types = pa.types
    return bool(
        types.is_list(arrow_type)
        or types.is_large_list(arrow_type)
        or types.is_fixed_size_list(arrow_type)
        or types.is_list_view(arrow_type)
        or types.is_large_list_view(arrow_type)
    )


def variable(values: Any) -> Any:
    """A list array with offsets, of whichever list type."""
    import pyarrow as pa

    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        return values
    return values.cast(pa.list_(values.type.value_type))


def _opened(values: Any) -> tuple[NDArray[np.int64], Any]:
    """Where each row's entries begin and end (rows + 1 numbers, the first 0), and the entries."""
    values = variable(values)
    bounds = values.offsets.to_numpy().astype(np.int64)
    return bounds - bounds[0], values.values.slice(bounds[0], bounds[-1] - bounds[0])


def _rows(flat: NDArray[Any], bounds: NDArray[np.int64], missing: Mask) -> NDArray[Any]:
    """The rows of `flat` `[entries, ...]`, as one array if they have the same length (missing ones none)."""
    lengths = np.diff(bounds)
    there = lengths[~missing]
    if len(there) and (there == there[0]).all() and not lengths[missing].any():
        shape = (int(there[0]), *flat.shape[1:])
        if len(there) == len(lengths):
            return flat.reshape(len(lengths), *shape)
        out = np.full((len(lengths), *shape), np.nan, dtype=flat.dtype)
        out[~missing] = flat.reshape(len(there), *shape)
        return out
    out = np.empty(len(lengths), dtype=object)
    for row in range(len(out)):
        out[row] = flat[bounds[row] : bounds[row + 1]]
    return out


def _flat(values: Any) -> NDArray[Any]:
    """Inner values as floats; nulls are NaN."""
    import pyarrow as pa

    target = values.type if pa.types.is_float32(values.type) else pa.float64()
    flat: NDArray[Any] = values.cast(target).to_numpy(zero_copy_only=False)
    return flat
