"""Saved Hugging Face data sets that mean harm."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.unit.data.builders import table_rows
from tests.unit.data.hostile.cases import NUMBERS, Case, Spec, spec
from tests.unit.data.hostile.places import OUTSIDE
from tests.unit.data.saved import label, save_to_disk, value

FILE = "data-00000-of-00001.arrow"
VECTOR: Spec = {"name": "vector", "type": "embedding", "column": "v"}


def saved(*modalities: Spec) -> Spec:
    """A spec over the folder `set`."""
    return spec({"type": "hf_disk", "uri": "data://set"}, *modalities)


def good(**columns: Any) -> pa.Table:
    """The rows of every spec here, with some columns in place of their own, or beside them."""
    table = pa.Table.from_pylist(table_rows(16))
    for name, values in columns.items():
        table = table.drop_columns(name) if name in table.column_names else table
        table = table.append_column(name, values)
    return table


def made(
    *modalities: Spec, features: dict[str, Any] | None = None, compression: str | None = None, **columns: Any
) -> Callable[[Path], Spec]:
    """A true data set of these columns."""

    def build(data: Path) -> Spec:
        save_to_disk(data / "set", good(**columns), features or {"x": value("int64")}, compression=compression)
        return saved(*modalities)

    return build


def said(name: str, **fields: Any) -> Callable[[Path], Spec]:
    """A true data set, whose `name`.json says something else."""

    def build(data: Path) -> Spec:
        made()(data)
        path = data / "set" / f"{name}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
        (data / "set" / "link.arrow").symlink_to(data.parent / OUTSIDE / "secret.arrow")
        return saved()

    return build


def bytes_changed(change: Callable[[bytes], bytes]) -> Callable[[Path], Spec]:
    """A true data set whose file was changed."""

    def build(data: Path) -> Spec:
        made()(data)
        path = data / "set" / FILE
        path.write_bytes(change(path.read_bytes()))
        return saved()

    return build


def _views() -> pa.Array:
    """Sixteen views of the same million letters are little; the file could as well have a billion."""
    return pa.array(["x" * 1_000_000] * 16, pa.string_view())


def _nulls(count: int) -> pa.Array:
    bounds = np.zeros(17, dtype=np.int32)
    bounds[16] = count
    return pa.ListArray.from_arrays(pa.array(bounds), pa.nulls(count))


def _deep(levels: int) -> pa.Array:
    kind: pa.DataType = pa.int8()
    for _ in range(levels):
        kind = pa.list_(kind)
    return pa.nulls(16, kind)


TWO = {"label": label("a", "b")}

CASES = [
    *(
        Case(name=f"state: {name}", build=said("state", _data_files=[{"filename": text}]), codes=("source.forbidden",))
        for name, text in (
            ("up", "../outside/secret.arrow"),
            ("absolute", "/etc/passwd"),
            ("below", "a/b.arrow"),
            ("backslash", "..\\secret.arrow"),
            ("encoded", "%2e%2e%2fsecret.arrow"),
            ("NUL", "a\0.arrow"),
            ("scheme", "file:///etc/passwd"),
            ("link", "link.arrow"),
            ("dots", ".."),
        )
    ),
    Case(name="state: no names", build=said("state", _data_files=[{}]), codes=("source.forbidden",)),
    Case(name="state: a million names", build=said("state", _data_files=[{"filename": str(n)} for n in range(100_000)]),
         codes=("source.malformed",)),
    Case(name="state: indices", build=said("state", _indices_files=[{"filename": "../x"}]), codes=("source.format",)),
    Case(name="info: no features", build=said("dataset_info", features=None), codes=("source.malformed",)),
    Case(name="info: features that are no class labels", build=said("dataset_info", features={"x": label("a")}),
         codes=("source.malformed",)),
    Case(name="a gigabyte of zeros, compressed", codes=("source.format",),
         build=made(compression="zstd", x=pa.array(np.zeros(16)), big=pa.array(["x" * 4_000_000] * 16))),
    Case(name="a billion nulls", build=made(NUMBERS, VECTOR, v=_nulls(2**30)), codes=("value.dtype",)),
    Case(name="lists in lists in lists", build=made(NUMBERS, VECTOR, v=_deep(50)), codes=("value.dtype",)),
    Case(name="views", build=made(c=_views()), codes=("value.dtype",)),
    Case(name="codes beyond the classes", build=made(label=pa.array([0] * 15 + [2]), features=TWO),
         codes=("source.malformed",)),
    Case(name="no Arrow", build=bytes_changed(lambda raw: b"hello" * 100), codes=("source.malformed",)),
    Case(name="nothing", build=bytes_changed(lambda raw: b""), codes=("source.malformed",)),
    Case(name="cut off", build=bytes_changed(lambda raw: raw[: len(raw) // 2]), codes=("source.malformed",)),
    Case(name="metadata of 2 GB", build=bytes_changed(lambda raw: struct.pack("<Ii", 0xFFFFFFFF, 2**31 - 1) + raw[8:]),
         codes=("source.malformed",)),
    Case(name="metadata of negative length", codes=("source.malformed",),
         build=bytes_changed(lambda raw: struct.pack("<Ii", 0xFFFFFFFF, -5) + raw[8:])),
    Case(name="metadata of noise", codes=("source.malformed",),
         build=bytes_changed(lambda raw: raw[:8] + bytes(byte ^ 0x5A for byte in raw[8:200]) + raw[200:])),
]  # fmt: skip
