"""safetensors: a header of bounded size says what the file holds; nothing else is loaded before it is judged."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection
from pathlib import Path

import numpy as np

from core.data.sources.base import Limits, Source, source_error
from core.data.sources.binary import SMALLER, common_rows, damage_named
from core.data.table import Column, ColumnHeader, Table

_MOST_HEADER_BYTES = 4 * 2**20
_SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "F16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip


class SafetensorsSource(Source):
    """A `.safetensors` file. It has no texts: labels are numbers. bfloat16 and 8-bit floats are not read."""

    def __init__(self, path: Path, base: Path, wanted: Collection[str], limits: Limits) -> None:
        from safetensors import safe_open

        with damage_named("safetensors"):
            with path.open("rb") as file:
                first = file.read(8)
            said = struct.unpack("<Q", first)[0]
            if said > _MOST_HEADER_BYTES:
                raise ValueError(f"its header claims {said} bytes; at most {_MOST_HEADER_BYTES} are read")
            with safe_open(path, framework="numpy") as tensors:
                slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 (no mapping)
                shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
                types = {name: str(part.get_dtype()) for name, part in slices.items()}
        if not shapes:
            raise source_error("source.empty", "the file holds no arrays", hint="save arrays with one entry per sample")
        used = {name: shape for name, shape in shapes.items() if name in set(wanted)}
        rows = common_rows(used or shapes)
        size = sum(math.prod(shape) * _SIZES.get(types[name], 8) for name, shape in used.items())
        if size > limits.array_bytes or rows > limits.rows:
            raise source_error(
                "source.too_large",
                f"the arrays take {size} bytes in {rows} rows; "
                f"at most {limits.array_bytes} bytes and {limits.rows} rows are read",
                hint=SMALLER,
            )
        super().__init__(path, base, {name: _header(types[name], shape) for name, shape in shapes.items()}, rows)

    def read(self, names: Collection[str]) -> Table:
        """See `Source.read`."""
        from safetensors import safe_open

        columns: dict[str, Column] = {}
        with damage_named("safetensors"), safe_open(self.path, framework="numpy") as tensors:
            for name in names:
                if name in self.headers and self.headers[name].kind != "unsupported":
                    values = tensors.get_tensor(name)
                    missing = np.zeros(len(values), dtype=np.bool_)
                    if values.ndim == 1 and values.dtype.kind == "f":
                        missing = np.isnan(values)
                    columns[name] = Column(self.headers[name], values, missing)
        return self._table(columns)


def _header(dtype: str, shape: tuple[int, ...]) -> ColumnHeader:
    told = f"{dtype}{list(shape)}"
    if dtype not in _SIZES or not shape:
        return ColumnHeader("unsupported", told, shape[1:])
    if len(shape) > 1:
        return ColumnHeader("array", told, shape[1:])
    return ColumnHeader("boolean" if dtype == "BOOL" else "number", told, ())
