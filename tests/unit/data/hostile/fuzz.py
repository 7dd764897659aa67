"""`python -m tests.unit.data.hostile.fuzz FOLDER KIND FIRST COUNT`: read true files after bytes of them were changed.

Prints each try's number before it, so that one that kills this process is known; and at the end how many were read all
the same. A try depends on its number alone.
"""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.data.sources import Limits, open_source
from core.errors import GblendError
from core.spec.data import ManifestSource

ROWS = 40
LIMITS = Limits(array_bytes=64 * 2**20)


def table() -> pa.Table:
    """A column of every kind that is read, and some that are not."""
    rows = range(ROWS)
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    return pa.table(
        {
            "text": [f"text {row % 7}" for row in rows],
            "id": [f"id {row}" for row in rows],
            "integer": list(rows),
            "float": [row / 3 if row % 5 else None for row in rows],
            "boolean": [row % 2 == 0 for row in rows],
            "vector": [[float(step) for step in range(row % 4)] for row in rows],
            "series": [[[1.0, 2.0]] * (row % 3) for row in rows],
            "time": pa.array(list(rows), pa.timestamp("us")),
            "texts": [["a", "b"][: row % 3] for row in rows],
            "image": pa.array([{"bytes": b"xyz%d" % row, "path": None} for row in rows], image),
            "coded": pa.array(["x", "y"] * (ROWS // 2)).dictionary_encode(),
            "decimal": pa.array(list(rows)).cast(pa.decimal128(22, 2)),
        }
    )


PARQUET: list[dict[str, Any]] = [
    {},
    {"compression": "zstd"},
    {"compression": "gzip", "data_page_version": "2.0"},
    {"compression": "none", "use_dictionary": False},
    {
        "compression": "none",
        "use_dictionary": False,
        "column_encoding": {
            "text": "DELTA_BYTE_ARRAY",
            "id": "DELTA_LENGTH_BYTE_ARRAY",
            "integer": "DELTA_BINARY_PACKED",
            "float": "BYTE_STREAM_SPLIT",
        },
    },
    {"compression": "lz4", "row_group_size": 7, "write_page_index": True},
    {"compression": "none", "store_schema": False},
]


def parquets() -> list[bytes]:
    """The table in every way in which Parquet is written."""
    files = []
    for options in PARQUET:
        out = io.BytesIO()
        pq.write_table(table(), out, **options)
        files.append(out.getvalue())
    return files


def read_parquet(path: Path) -> None:
    """As training would: every column."""
    source = open_source(ManifestSource(uri=f"data://{path.name}", format="parquet"), {"data": path.parent},
                         wanted=table().column_names, limits=LIMITS)  # fmt: skip
    source.read(table().column_names)


KINDS: dict[str, tuple[Callable[[], list[bytes]], Callable[[Path], None]]] = {"parquet": (parquets, read_parquet)}


def damaged(raw: bytes, number: int) -> bytes:
    """A few bytes changed, more of them near the end, where most formats keep what they say of themselves."""
    draw, out = random.Random(number), bytearray(raw)
    tail = max(1, len(raw) // 3)
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        at = draw.randrange(len(out)) if draw.random() < 0.4 else len(out) - 1 - draw.randrange(tail)
        match draw.randrange(5):
            case 0 | 1:
                out[at] = draw.randrange(256)
            case 2:
                out[at] ^= 1 << draw.randrange(8)
            case 3:
                patch = draw.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xfe\xff\xff\x0f"))
                out[at : at + 4] = patch[: len(out) - at]
            case _:
                length, other = draw.randrange(1, 20), draw.randrange(len(out))
                out[at : at + length] = out[other : other + length]
    return bytes(out[: draw.randrange(1, len(out))]) if draw.random() < 0.05 else bytes(out)


def main(folder: Path, kind: str, tries: Sequence[int]) -> None:
    """Damage and read."""
    make, read = KINDS[kind]
    files, good = make(), 0
    for number in tries:
        print(number, flush=True)
        path = folder / "damaged"
        path.write_bytes(damaged(files[number % len(files)], number))
        try:
            read(path)
            good += 1
        except GblendError:
            continue
    print(f"read {good}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], range(int(sys.argv[3]), int(sys.argv[3]) + int(sys.argv[4])))
