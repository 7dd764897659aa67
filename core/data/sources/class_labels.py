"""Class labels of a saved data set: codes in its columns, and their names beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.sources.arrow_lists import is_list, variable
from core.data.sources.base import source_error
from core.data.table import Column, ColumnHeader

_UNKNOWN = -1
"""The code of a label that is missing."""


def class_names(features: Any) -> dict[str, tuple[str, ...]]:
    """Column -> the names of its classes, of columns that are class labels or lists of them. Raises ValueError."""
    if not isinstance(features, dict):
        raise ValueError("dataset_info.json does not say what the columns are")
    found = {}
    for column, feature in features.items():
        names = _names_of(feature)
        if names is not None:
            if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
                raise ValueError(f"the names of the classes of {column!r} are no texts that differ")
            found[column] = tuple(names)
    return found


def _names_of(feature: Any) -> list[Any] | None:
    """The names of a class label or of a list of them, as versions 1 to 4 of `datasets` write lists."""
    if isinstance(feature, list) and len(feature) == 1:
        return _names_of(feature[0])
    if not isinstance(feature, dict):
        return None
    if feature.get("_type") in ("Sequence", "List", "LargeList"):
        inner = feature.get("feature")
        return _names_of(inner) if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" else None
    names = feature.get("names")
    return names if feature.get("_type") == "ClassLabel" and isinstance(names, list) else None


def with_names(codes: Any, names: Sequence[str], column: str) -> Column:
    """Arrow codes (or lists of them) as the names of their classes; null and -1 are missing. Raises DataError."""
    pool = np.array([*names, ""], dtype=object)
    if not is_list(codes.type):
        numbers = _checked(codes, len(names), column)
        values = pool[numbers]
        missing = np.fromiter((not value.strip() for value in values), dtype=np.bool_, count=len(values))
        return Column(ColumnHeader("text", "ClassLabel"), values, missing)
    missing = np.asarray(codes.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
    lists = variable(codes)
    bounds = lists.offsets.to_numpy().astype(np.int64)
    inside = pool[_checked(lists.values.slice(bounds[0], bounds[-1] - bounds[0]), len(names), column)]
    rows = np.empty(len(lists), dtype=object)
    for row, gone in enumerate(missing.tolist()):
        texts = () if gone else inside[bounds[row] - bounds[0] : bounds[row + 1] - bounds[0]]
        rows[row] = tuple(text for text in texts if text)
    return Column(ColumnHeader("texts", "ClassLabel"), rows, missing)


def _checked(codes: Any, count: int, column: str) -> NDArray[np.int64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = pc.fill_null(codes.cast(pa.int64()), _UNKNOWN).to_numpy(zero_copy_only=False)
    outside = (numbers < _UNKNOWN) | (numbers >= count)
    if outside.any():
        raise source_error(
            "source.malformed",
            f"the class label {column!r} holds {numbers[outside][0]}, and has {count} names",
            hint="cast the column to a ClassLabel with a name for every code, and save the data set again",
        )
    checked: NDArray[np.int64] = numbers
    return checked
