"""npz: its headers say what it holds, so that nothing is loaded before its size is known."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from core.data.problems import EXAMPLES
from core.data.sources.base import Limits, Source, source_error
from core.data.table import Column, ColumnHeader, ColumnKind, Table, text_column
from core.errors import DataError

_MOST_ARRAYS = 10_000
SMALLER = "leave out what is not needed, store numbers with fewer bits, or train on a part of the rows"


class NpzSource(Source):
    """A NumPy `.npz`. Object arrays are refused: nothing is ever unpickled."""

    def __init__(self, path: Path, base: Path, wanted: Collection[str], limits: Limits) -> None:
        with damage_named("npz"), zipfile.ZipFile(path) as archive:
            found = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            members = {info.filename[:-4]: info for info in found}
            if len(found) > _MOST_ARRAYS or len(members) < len(found):
                raise ValueError(f"it holds {len(found)} arrays, or two of one name")
            headers = {name: _npy_header(archive, info, name) for name, info in members.items()}
        if not members:
            raise source_error("source.empty", "the npz holds no arrays", hint="save them with numpy.savez")
        used = {name: shape for name, (_, shape) in headers.items() if name in set(wanted)}
        rows = common_rows(used or {name: shape for name, (_, shape) in headers.items()})
        size = sum(members[name].file_size for name in used)
        if size > limits.array_bytes or rows > limits.rows:
            raise source_error(
                "source.too_large",
                f"the arrays take {size} bytes in {rows} rows; "
                f"at most {limits.array_bytes} bytes and {limits.rows} rows are read",
                hint=SMALLER,
            )
        self._members = members
        super().__init__(path, base, {name: header for name, (header, _) in headers.items()}, rows)

    def read(self, names: Collection[str]) -> Table:
        """See `Source.read`."""
        keep = [name for name in names if name in self.headers and self.headers[name].kind != "unsupported"]
        with damage_named("npz"), zipfile.ZipFile(self.path) as archive:
            return self._table({name: self._column(name, self._array(archive, name)) for name in keep})

    def _array(self, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
        """The member that was judged, and no more of it than it said: `numpy.load` would take `u` for `u.npy`."""
        with archive.open(self._members[name]) as member:
            values: NDArray[Any] = npy.read_array(member, allow_pickle=False)
            if member.read(1):
                raise ValueError(f"the array {name!r} is longer than it says")
        return values

    def _column(self, name: str, values: NDArray[Any]) -> Column:
        header = self.headers[name]
        if header.kind == "text":
            texts = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
            return text_column([str(value) for value in texts], header.dtype)
        missing = np.zeros(len(values), dtype=np.bool_)
        if values.ndim == 1 and values.dtype.kind == "f":
            missing = np.isnan(values)
        return Column(header, values, missing)


def _npy_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> tuple[ColumnHeader, tuple[int, ...]]:
    """Kind and shape from the member's first bytes; its declared size must be its real one."""
    with archive.open(info) as member:
        shape, dtype = read_npy_header(member, name)
        start = member.tell()
    if start + math.prod(shape) * dtype.itemsize != info.file_size:
        raise ValueError(f"the array {name!r} is not as long as its header says")
    kind = _npy_kind(dtype, shape)
    return ColumnHeader(kind, f"{dtype}{list(shape)}", shape[1:]), shape


def _npy_kind(dtype: np.dtype[Any], shape: tuple[int, ...]) -> ColumnKind:
    if len(shape) > 1:
        return "array" if dtype.kind in "biuf" else "unsupported"
    if len(shape) == 0 or dtype.kind not in "USbiuf":
        return "unsupported"
    if dtype.kind in "US":
        return "text"
    return "boolean" if dtype.kind == "b" else "number"


def read_npy_header(member: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of the array `name`; it is read up to its first value. Raises `source.object_array`."""
    version = npy.read_magic(member)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(member)
    if any(side < 0 for side in shape):
        raise ValueError(f"the array {name!r} has the shape {list(shape)}")
    if dtype.hasobject:
        raise source_error(
            "source.object_array",
            f"the array {name!r} holds Python objects; nothing is ever unpickled",
            hint="save it as a plain numeric or text array",
            examples=(name,),
        )
    return shape, dtype


def common_rows(shapes: dict[str, tuple[int, ...]]) -> int:
    lengths = {name: shape[0] for name, shape in shapes.items() if shape}
    if len(set(lengths.values())) > 1:
        raise source_error(
            "value.shape",
            "the arrays do not share their first axis",
            hint="every array needs one entry per sample",
            examples=tuple(f"{name}: {length}" for name, length in sorted(lengths.items())[:EXAMPLES]),
        )
    rows = next(iter(lengths.values()), 0)
    if rows == 0:
        raise source_error("source.empty", "the arrays hold no samples", hint="every array needs one entry per sample")
    return rows


@contextmanager
def damage_named(kind: str) -> Iterator[None]:
    """Turns whatever a damaged file makes its reader raise into `source.malformed`."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # zip, zlib, ast, struct, Unicode, Arrow: damaged bytes raise from all of them
        raise unreadable(kind, error) from error


def unreadable(kind: str, error: Exception) -> DataError:
    # An OSError's own text holds the absolute path, which is nobody's business; its strerror does not.
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    first = text.splitlines()[0]
    return source_error(
        "source.malformed", f"the file cannot be read as {kind}: {first}", hint="is it complete, and of this format?"
    )
