"""Tar shards that mean harm."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.unit.data.hostile.archives import npy
from tests.unit.data.hostile.cases import Case, Spec, source_case, spec

END = bytes(1024)


def header(name: str = "1.png", *, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> bytes:
    """One header of 512 bytes."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info.tobuf(tarfile.GNU_FORMAT)


def pax(records: Mapping[str, str], kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header with these records."""
    raw = b""
    for key, value in records.items():
        body = f" {key}={value}\n".encode()
        length = len(body) + len(str(len(body) + 2))
        raw += str(length).encode() + body
    return header("pax", kind=kind, size=len(raw)) + raw + bytes(-len(raw) % 512)


def member(name: str, content: bytes) -> bytes:
    """A plain file."""
    return header(name, size=len(content)) + content + bytes(-len(content) % 512)


def sample(row: int, **members: bytes) -> bytes:
    """One sample of `shards`' spec: members by extension, and what it needs beside them."""
    members = {"cls": b"ab"[row % 2 : row % 2 + 1], "x": b"", **members}
    own = {"json": b'{"x": %d, "c": "p", "split": "%s"}' % (row, b"train" if row < 8 else b"test"), **members}
    return b"".join(member(f"{row:03d}.{name}", content) for name, content in own.items() if content)


def shards(uri: str, *modalities: Spec) -> Spec:
    """A spec over shards."""
    made = spec({"type": "webdataset", "uri": f"data://{uri}"}, *modalities)
    return {**made, "target": {"column": "cls"}}


TARS: dict[str, tuple[bytes, str]] = {
    "up": (header("../1.png") + END, "source.forbidden"),
    "absolute": (header("/etc/1.png") + END, "source.forbidden"),
    "backslash": (header("a\\1.png") + END, "source.forbidden"),
    "encoded": (header("%2e%2e/1.png") + END, "source.forbidden"),
    "control": (header("a\n1.png") + END, "source.forbidden"),
    "up in pax": (pax({"path": "../../1.png"}) + header() + END, "source.forbidden"),
    "symlink": (header(kind=tarfile.SYMTYPE, link="/etc/passwd") + END, "source.unsafe_member"),
    "hard link": (header(kind=tarfile.LNKTYPE, link="2.png") + END, "source.unsafe_member"),
    "device": (header(kind=tarfile.CHRTYPE) + END, "source.unsafe_member"),
    "block device": (header(kind=tarfile.BLKTYPE) + END, "source.unsafe_member"),
    "pipe": (header(kind=tarfile.FIFOTYPE) + END, "source.unsafe_member"),
    "sparse": (header(kind=tarfile.GNUTYPE_SPARSE, size=10**12) + END, "source.unsafe_member"),
    "pax sparse": (pax({"GNU.sparse.major": "1"}) + header() + END, "source.unsafe_member"),
    "unknown type": (header(kind=b"Z") + END, "source.unsafe_member"),
    "absurd size": (header(size=10**15) + END, "source.malformed"),
    "negative size": (header(size=-5) + END, "source.malformed"),
    "size of the rest and a byte": (header(size=1025) + END, "source.malformed"),
    "absurd pax size": (pax({"size": "9" * 18}) + header() + END, "source.malformed"),
    "negative pax size": (pax({"size": "-512"}) + header() + END, "source.malformed"),
    "pax size beyond 64 bits": (pax({"size": str(2**64)}) + header() + END, "source.malformed"),
    "pax size in words": (pax({"size": "many"}) + header() + END, "source.malformed"),
    "large pax": (header("pax", kind=tarfile.XHDTYPE, size=2**20) + bytes(2**20) + END, "source.malformed"),
    "broken pax": (header("pax", kind=tarfile.XHDTYPE, size=512) + b"x" * 512 + END, "source.malformed"),
    "pax record of length 0": (header("pax", kind=tarfile.XHDTYPE, size=7) + b"0 a=bc\n".ljust(512, b"\0") + END,
                               "source.malformed"),
    "pax upon pax": (pax({"comment": "x" * 400}) * 20_000 + header() + END, "source.malformed"),
    "global path": (pax({"path": "1.png"}, tarfile.XGLTYPE) + header() + END, "source.malformed"),
    "long name": (header(kind=tarfile.GNUTYPE_LONGNAME, size=2**17) + bytes(2**17) + END, "source.malformed"),
    "long name that leads up": (header(kind=tarfile.GNUTYPE_LONGNAME, size=9) + b"../1.png\0".ljust(512, b"\0")
                                + header() + END, "source.forbidden"),
    "no end": (header(), "source.malformed"),
    "cut header": (header()[:300], "source.malformed"),
    "cut member": (header(size=100), "source.malformed"),
    "checksum": (header().replace(b"1.png", b"2.png") + END, "source.malformed"),
    "no tar": (b"hello" * 1000, "source.malformed"),
    "no bytes": (b"", "source.malformed"),
    "no samples": (END, "source.empty"),
    "two cells": (header() + header() + END, "source.ambiguous"),
    "two thousand extensions": (b"".join(header(f"1.e{number}") for number in range(2000)) + END, "source.malformed"),
    "gzip": (b"\x1f\x8b" + bytes(600), "source.format"),
}  # fmt: skip


def _vectors(array: bytes) -> Any:
    vector = {"name": "vector", "type": "embedding", "column": "npy"}
    numbers = {"name": "numbers", "type": "tabular", "columns": [{"name": "x", "type": "number"}]}

    def build(data: Path) -> Spec:
        good = io.BytesIO()
        np.save(good, np.arange(3.0))
        rows = [sample(row, npy=array if row == 3 else good.getvalue()) for row in range(16)]
        (data / "t.tar").write_bytes(b"".join(rows) + END)
        return shards("t.tar", numbers, vector)

    return build


def _one(**members: bytes) -> Any:
    """Good samples, but for one."""

    def build(data: Path) -> Spec:
        rows = [sample(row, **(members if row == 3 else {})) for row in range(16)]
        (data / "t.tar").write_bytes(b"".join(rows) + END)
        return shards("t.tar")

    return build


def _sparse_giant(data: Path) -> Spec:
    """A terabyte by its own account and the file system's; there is nothing in it but a hole."""
    with (data / "t.tar").open("wb") as file:
        file.write(b"".join(map(sample, range(16))) + header("1.cls", size=2**40 - 2**20))
        file.truncate(2**40)
    return shards("t.tar")


CASES = [
    *(source_case(name, "t.tar", raw, code, shards) for name, (raw, code) in TARS.items()),
    *(
        Case(name=f"npy: {name}", build=_vectors(raw), codes=(code,), by="prepare")
        for name, (raw, code) in {
            "objects": (npy("|O", (3,), b"cos\nsystem\n(S'true'\ntR."), "source.object_array"),
            "two to the sixtieth": (npy("<f8", (2**60,), bytes(24)), "source.malformed"),
            "beyond 64 bits": (npy("<f8", (2**62, 8), bytes(24)), "source.malformed"),
            "negative": (npy("<f8", (-1,), bytes(24)), "source.malformed"),
            "negative twice": (npy("<f8", (-3, -1), bytes(24)), "source.malformed"),
            "negative next to nothing": (npy("<f8", (-3, 0), b""), "source.malformed"),
            "large header": (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31), "source.malformed"),
            "header that is code": (npy("<f8", "__import__('os').getpid()", bytes(24)), "source.malformed"),
            "deep header": (npy("<f8", "(" * 20_000, bytes(24)), "source.malformed"),
            "no magic": (b"hello", "source.malformed"),
            "texts": (npy("<U3", (1,), bytes(12)), "source.malformed"),
        }.items()
    ),
    *(
        Case(name=f"sample: {name}", build=_one(**members), codes=(code,))
        for name, members, code in (
            ("a large text", {"cls": bytes(2**20 + 1)}, "source.too_large"),
            ("a large json", {"json": b" " * (2**20 + 1)}, "source.too_large"),
            ("no UTF-8", {"cls": b"\xff\xfe\xfa"}, "source.malformed"),
            ("no UTF-8 in json", {"json": b'{"x": "\xff"}'}, "source.malformed"),
            ("no object", {"json": b"[1]"}, "source.malformed"),
            ("deep json", {"json": b"[" * 100_000}, "source.malformed"),
            ("deep json, closed", {"json": b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}"}, "source.malformed"),
            ("a key twice", {"json": b'{"x": 1, "x": 2}'}, "source.malformed"),
            ("a huge number", {"json": b'{"x": ' + b"9" * 5000 + b"}"}, "source.malformed"),
            ("a number beyond 64 bits", {"json": b'{"x": ' + b"9" * 400 + b"}"}, "source.malformed"),
            ("many keys", {"json": b"{" + b",".join(b'"%d":1' % key for key in range(20_000)) + b"}"},
             "source.malformed"),
            ("a key that is an extension", {"json": b'{"cls": "a"}'}, "source.malformed"),
        )
    ),
    Case(name="a hole of a terabyte", build=_sparse_giant, codes=("source.too_large",)),
]  # fmt: skip
