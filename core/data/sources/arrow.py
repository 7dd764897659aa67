"""Arrow columns to NumPy columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.blobs import BytesBlob, LoosePath
from core.data.sources.arrow_lists import is_list, rows_of_lists, variable
from core.data.table import Column, ColumnHeader, ColumnKind, Mask, Rows, text_column

_PROBE = 1024
"""Values that are looked at to see whether many are alike."""
_UNKNOWN = object()


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
    if is_list(arrow_type):
        inner, depth = arrow_type.value_type, 1
        if is_list(inner):
            inner, depth = inner.value_type, 2
        kind = (
            "unsupported" if is_list(inner) else kind_of(inner)
        )  # deeper lists are not looked into: there may be many
        if kind == "text" and depth == 1:
            return "texts"
        return "array" if kind in ("number", "boolean") else "unsupported"
    if types.is_null(arrow_type):
        return "text"
    return "file" if _is_binary(arrow_type) or _is_file_struct(arrow_type) else "unsupported"


def header_of(arrow_type: Any) -> ColumnHeader:
    """The header of a column of this Arrow type."""
    return ColumnHeader(kind_of(arrow_type), str(arrow_type))


def storage_of(arrow_type: Any) -> Any:
    """The type below an extension type; nothing of the extension itself is ever loaded."""
    import pyarrow as pa

    return arrow_type.storage_type if isinstance(arrow_type, pa.BaseExtensionType) else arrow_type


def plain(values: Any) -> Any:
    """An array without its extension type."""
    import pyarrow as pa

    return values.storage if isinstance(values.type, pa.BaseExtensionType) else values


def release() -> None:
    """Give back to the system what Arrow has freed: it keeps some tens of megabytes otherwise."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


class Pool:
    """The Python objects of a dictionary's values, each made when a row first refers to it.

    A column that comes in pieces has the same dictionary in many of them.
    """

    def __init__(self) -> None:
        self._dictionary: Any = None
        self._objects: NDArray[Any] = np.empty(0, dtype=object)

    def take(self, dictionary: Any, used: NDArray[np.int64]) -> NDArray[Any]:
        """The objects at some places of a dictionary; None at the place behind its last."""
        import pyarrow as pa

        if self._dictionary is None or not dictionary.equals(self._dictionary):
            self._dictionary = dictionary
            self._objects = np.full(len(dictionary) + 1, _UNKNOWN, dtype=object)
            self._objects[-1] = None
        new = used[self._objects[used] == _UNKNOWN]
        self._objects[new] = dictionary.take(pa.array(new)).to_pylist()
        return self._objects[used]


def column_of(values: Any, pools: dict[str, Pool] | None = None) -> Column:
    """A NumPy column of an Arrow (chunked) array of a supported type. Texts and files that are alike are there once.

    `pools` is for columns in pieces: one dict, empty at first, for all pieces of a column.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    header = header_of(values.type)
    pools = {} if pools is None else pools
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if header.kind == "text":
        return _column_of_texts(values, header, pools)
    if header.kind == "file":
        return _column_of_files(values, header, pools)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    missing = np.asarray(values.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
    if header.kind == "array":
        return Column(header, rows_of_lists(values, missing), missing)
    if header.kind == "texts":
        return Column(header, _rows_of_texts(values, missing, pools), missing)
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    numbers = pc.fill_null(values, False if header.kind == "boolean" else 0).to_numpy(zero_copy_only=False)
    if numbers.dtype.kind == "f":
        missing = missing | np.isnan(numbers)
    return Column(header, numbers, missing)


def _column_of_texts(values: Any, header: ColumnHeader, pools: dict[str, Pool]) -> Column:
    objects, places = _pooled(_as_texts(values), pools)
    column = text_column([text or "" for text in objects], header.dtype)
    return column if places is None else column.take(places)


def _column_of_files(values: Any, header: ColumnHeader, pools: dict[str, Pool]) -> Column:
    """Object array with one file per row: bytes as they are, or where there are none, the path beside them."""
    import pyarrow as pa

    if pa.types.is_struct(values.type):
        names = [field.name for field in values.type]
        fields = dict(zip(names, values.flatten(), strict=True))  # where the struct is null, so are its fields
        contents, paths = _objects(fields["bytes"], pools), _objects(_as_texts(fields["path"]), pools, "path")
    else:
        contents, paths = _objects(values, pools), np.full(len(values), None)
    blobs: dict[int, BytesBlob] = {}  # rows with the same bytes share the blob as well
    out = np.empty(len(values), dtype=object)
    for row, (content, path) in enumerate(zip(contents, paths, strict=True)):
        if content is not None:
            out[row] = blobs.setdefault(id(content), BytesBlob(content))
        elif path is not None and path.strip():
            out[row] = LoosePath(path)
    missing = np.fromiter((value is None for value in out), dtype=np.bool_, count=len(out))
    return Column(header, out, missing)


def _rows_of_texts(values: Any, missing: Mask, pools: dict[str, Pool]) -> NDArray[Any]:
    """Object array with one tuple of texts per row; nulls, of rows and of texts, are left out."""
    values = variable(values)
    bounds = values.offsets.to_numpy().tolist()
    texts = _objects(_as_texts(values.values), pools)
    out = np.empty(len(values), dtype=object)
    for row, gone in enumerate(missing.tolist()):
        out[row] = () if gone else tuple(text for text in texts[bounds[row] : bounds[row + 1]] if text is not None)
    return out


def _objects(values: Any, pools: dict[str, Pool], name: str = "") -> NDArray[Any]:
    """Python texts or bytes, None for nulls, in an object array; those that are alike share one object."""
    objects, places = _pooled(values, pools, name)
    return objects if places is None else objects[places]


def _pooled(values: Any, pools: dict[str, Pool], name: str = "") -> tuple[NDArray[Any], Rows | None]:
    """Different values and each row's place among them; all values and None where few are alike."""
    import pyarrow as pa
    import pyarrow.compute as pc

    pool = pools.setdefault(name, Pool())
    if not pa.types.is_dictionary(values.type):
        start = values.slice(0, _PROBE)
        if len(start) < 2 or 2 * len(start.unique()) > len(start):
            objects = np.empty(len(values), dtype=object)
            objects[:] = values.to_pylist()
            return objects, None
        values, pool = values.dictionary_encode(), Pool()
    # Codes that no row has are left out: a dictionary may be far longer than a piece. A null counts as the last code.
    codes = pc.fill_null(values.indices.cast(pa.int64()), len(values.dictionary)).to_numpy(zero_copy_only=False)
    used, places = np.unique(codes, return_inverse=True)
    return pool.take(values.dictionary, used), places.astype(np.int64)


def _as_texts(values: Any) -> Any:
    """Strings, of whatever the values are; a dictionary's codes stay."""
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        if pa.types.is_string(values.type.value_type):
            return values
        return pa.DictionaryArray.from_arrays(values.indices, _as_texts(values.dictionary))
    return values if pa.types.is_string(values.type) else values.cast(pa.string())


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
    if set(inner) != {"bytes", "path"} or kind_of(inner["path"]) != "text":
        return False
    kind = inner["bytes"]
    return _is_binary(kind.value_type if pa.types.is_dictionary(kind) else kind)
