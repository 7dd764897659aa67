"""Cells of memory-mapped Arrow arrays: what they take when they are unfolded, and files in them where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.blobs import LoosePath
from core.data.sources.arrow import header_of
from core.data.sources.arrow_lists import is_list
from core.data.sources.spans import SpanBlob
from core.data.table import ColumnHeader, Mask


def header_without_views(arrow_type: Any) -> ColumnHeader:
    """The header of a column as it is in a file; views are not read: thousands of them may show the same bytes."""
    if _has_views(arrow_type):
        return ColumnHeader("unsupported", str(arrow_type))
    return header_of(arrow_type)


def unfolded(values: Any) -> int:
    """Bytes that a column of these values takes, at most; of nothing but lengths, as everything may be null."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(values.type):
        return 16 * len(values) + unfolded(values.dictionary)
    if types.is_fixed_size_list(values.type):
        width = values.type.list_size
        return 16 * len(values) + unfolded(values.values.slice(values.offset * width, len(values) * width))
    if is_list(values.type):
        first, last = values.offsets[0].as_py(), values.offsets[len(values)].as_py()
        return 16 * len(values) + unfolded(values.values.slice(first, last - first))
    if types.is_struct(values.type):
        return sum(unfolded(field) for field in values.flatten())
    return 8 * len(values) + int(values.nbytes)


def spans_of(values: Any, path: Path, address: int, size: int) -> tuple[NDArray[Any], Mask] | None:
    """The files in the cells of a column as places in the file that is mapped at `address`, and which are missing.

    None where the bytes do not lie in it (Arrow copies what is not aligned), or are coded by a dictionary.
    """
    import pyarrow as pa

    contents, paths = values, None
    if pa.types.is_struct(values.type):
        names = [field.name for field in values.type]
        fields = dict(zip(names, values.flatten(), strict=True))  # where the struct is null, so are its fields
        contents, paths = fields["bytes"], fields["path"].to_pylist()
    if pa.types.is_dictionary(contents.type):
        return None
    _, offsets, data = contents.buffers()
    width = np.dtype(np.int64 if pa.types.is_large_binary(contents.type) else np.int32)
    start = 0 if data is None else data.address - address
    if offsets is None or (data is not None and not 0 <= start <= size - data.size):
        return None
    bounds = np.frombuffer(offsets, dtype=width)[contents.offset : contents.offset + len(contents) + 1].tolist()
    out = np.empty(len(contents), dtype=object)
    for row, gone in enumerate(contents.is_null().to_pylist()):
        if not gone:
            out[row] = SpanBlob(path, start + bounds[row], bounds[row + 1] - bounds[row])
        elif paths is not None and paths[row] is not None and paths[row].strip():
            out[row] = LoosePath(paths[row])
    return out, np.fromiter((value is None for value in out), dtype=np.bool_, count=len(out))


def _has_views(arrow_type: Any) -> bool:
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(arrow_type):
        return _has_views(arrow_type.value_type)
    if types.is_string_view(arrow_type) or types.is_binary_view(arrow_type):
        return True
    if types.is_list_view(arrow_type) or types.is_large_list_view(arrow_type):
        return True
    if types.is_struct(arrow_type):
        return any(_has_views(field.type) for field in arrow_type)
    return is_list(arrow_type) and _has_views(arrow_type.value_type)
