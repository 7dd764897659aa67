"""Arrow columns to NumPy columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.data.blobs import Blob, BytesBlob, LoosePath
from core.data.table import Column, ColumnHeader, ColumnKind, text_column


def kind_of(arrow_type: Any) -> ColumnKind:
    """Which kind of column an Arrow type becomes."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(arrow_type):
        return kind_of(arrow_type.value_type)
    if types.is_boolean(arrow_type):
        return "boolean"
    if types.is_integer(arrow_type) or types.is_floating(arrow_type) or types.is_decimal(arrow_type):
        return "number"
    if types.is_string(arrow_type) or types.is_large_string(arrow_type) or types.is_string_view(arrow_type):
        return "text"
    if types.is_temporal(arrow_type):
        return "text"
    if _is_list(arrow_type):
        inner = arrow_type.value_type
        if kind_of(inner) == "text":
            return "texts"
        if _is_list(inner):
            inner = inner.value_type
        return "array" if kind_of(inner) in ("number", "boolean") else "unsupported"
    if types.is_null(arrow_type):
        return "text"
    return "file" if _is_binary(arrow_type) or _is_file_struct(arrow_type) else "unsupported"


def header_of(arrow_type: Any) -> ColumnHeader:
    """The header of a column of this Arrow type."""
    return ColumnHeader(kind_of(arrow_type), str(arrow_type))


def column_of(values: Any) -> Column:
    """A NumPy column of an Arrow (chunked) array of a supported type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    header = header_of(values.type)
    if isinstance(values, pa.ChunkedArray) and pa.types.is_dictionary(values.type):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        if header.kind in ("text", "file") and len(values.dictionary):
            return _shared(column_of(values.dictionary), values.indices, header)
        values = values.dictionary_decode()
    if header.kind == "file":  # chunks stay: offsets of 32 bits do not reach over 2 GiB
        return _column_of_files(values, header)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if header.kind == "text":
        if not pa.types.is_string(values.type):
            values = values.cast(pa.string())
        return text_column(pc.fill_null(values, "").to_pylist(), header.dtype)
    missing = np.asarray(values.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
    if header.kind == "array":
        return Column(header, _rows_of_lists(values), missing)
    if header.kind == "texts":
        return Column(header, _rows_of_texts(values), missing)
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    numbers = pc.fill_null(values, False if header.kind == "boolean" else 0).to_numpy(zero_copy_only=False)
    if numbers.dtype.kind == "f":
        missing = missing | np.isnan(numbers)
    return Column(header, numbers, missing)


def _shared(pool: Column, codes: Any, header: ColumnHeader) -> Column:
    """A column of a dictionary's values. Rows that are alike share one object, so that nothing unfolds in memory."""
    import pyarrow.compute as pc

    gone = np.asarray(codes.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
    places = pc.fill_null(codes, 0).to_numpy(zero_copy_only=False)
    values = pool.values[places]
    values[gone] = "" if header.kind == "text" else None
    return Column(header, values, gone | pool.missing[places])


def _column_of_files(values: Any, header: ColumnHeader) -> Column:
    """Object array with one file per row: bytes as they are, or where there are none, the path beside them."""
    out = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        out[row] = _file_of(value.as_py())
    missing = np.fromiter((value is None for value in out), dtype=np.bool_, count=len(out))
    return Column(header, out, missing)


def _file_of(value: Any) -> Blob | LoosePath | None:
    content, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if content is not None:
        return BytesBlob(content)
    return LoosePath(path) if path is not None and path.strip() else None


def _rows_of_texts(values: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """Object array with one tuple of texts per row; nulls, of rows and of texts, are left out."""
    out = np.empty(len(values), dtype=object)
    for row, texts in enumerate(values.to_pylist()):
        out[row] = tuple(str(text) for text in texts or () if text is not None)
    return out


def _rows_of_lists(values: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """Object array with one numeric array per row: `[length]`, or `[steps, channels]` for lists of lists.

    A row whose inner lists differ in length becomes an empty `[0, 0, 0]` array, which no shape check lets through.
    """
    values = _variable(values)
    bounds = values.offsets.to_numpy()
    out = np.empty(len(values), dtype=object)
    if not _is_list(values.type.value_type):
        flat = _flat(values.values)
        for row in range(len(out)):
            out[row] = flat[bounds[row] : bounds[row + 1]]
        return out
    inner = _variable(values.values)
    inner_bounds = inner.offsets.to_numpy()
    flat = _flat(inner.values)
    widths = np.diff(inner_bounds)
    for row in range(len(out)):
        first, last = bounds[row], bounds[row + 1]
        width = widths[first] if last > first else 0
        if (widths[first:last] != width).any():
            out[row] = np.empty((0, 0, 0))
        else:
            out[row] = flat[inner_bounds[first] : inner_bounds[last]].reshape(last - first, width)
    return out


def _variable(values: Any) -> Any:
    """A list array with offsets, of whichever list type."""
    import pyarrow as pa

    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        return values
    return values.cast(pa.list_(values.type.value_type))


def _flat(values: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """Inner values as floats; nulls are NaN."""
    import pyarrow as pa

    target = values.type if pa.types.is_float32(values.type) else pa.float64()
    flat: np.ndarray[Any, np.dtype[Any]] = values.cast(target).to_numpy(zero_copy_only=False)
    return flat


def _is_list(arrow_type: Any) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(
        types.is_list(arrow_type)
        or types.is_large_list(arrow_type)
        or types.is_fixed_size_list(arrow_type)
        or types.is_list_view(arrow_type)
        or types.is_large_list_view(arrow_type)
    )


def _is_binary(arrow_type: Any) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(types.is_binary(arrow_type) or types.is_large_binary(arrow_type) or types.is_binary_view(arrow_type))


def _is_file_struct(arrow_type: Any) -> bool:
    """`{bytes, path}`, the way in which Hugging Face's `datasets` stores images and sounds in Parquet and Arrow."""
    import pyarrow as pa

    if not pa.types.is_struct(arrow_type):
        return False
    inner = {field.name: field.type for field in arrow_type}
    return set(inner) == {"bytes", "path"} and _is_binary(inner["bytes"]) and kind_of(inner["path"]) == "text"
