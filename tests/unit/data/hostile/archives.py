"""npz and safetensors that mean harm."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.unit.data.hostile.cases import Case, Spec, source_case, spec


def arrays(name: str) -> Spec:
    """A spec over one file of arrays."""
    vectors = [{"name": column, "type": "embedding", "column": column} for column in ("u", "v")]
    split = {"method": "draw", "stratify_by": False}
    return spec({"type": "arrays", "uri": f"data://{name}"}, *vectors, target={"column": "y"}, split=split)


# npy and npz


def npy(descr: Any, shape: Any, body: bytes, version: int = 1) -> bytes:
    """An array whose header says what it is told."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + body


def plain(values: Any) -> bytes:
    """A true array."""
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


GOOD = {
    "u.npy": plain(np.arange(40.0).reshape(20, 2)),
    "v.npy": plain(np.arange(40.0).reshape(20, 2)),
    "y.npy": plain(np.arange(20) % 2),
}


def npz(members: dict[str, bytes], **options: Any) -> bytes:
    """A true zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def entry(name: bytes, *, method: int = 0, flags: int = 0, packed: int, size: int, crc: int, at: int) -> bytes:
    """An entry of a zip's directory, true or not."""
    return struct.pack(
        "<4s6H3I5H2I", b"PK\1\2", 20, 20, flags, method, 0, 33, crc, packed, size, len(name), 0, 0, 0, 0, 0, at
    ) + name  # fmt: skip


def local(name: bytes, *, method: int = 0, flags: int = 0, packed: int, size: int, crc: int) -> bytes:
    """The header before a member."""
    return struct.pack("<4s5H3I2H", b"PK\3\4", 20, flags, method, 0, 33, crc, packed, size, len(name), 0) + name


def forged(directory: list[bytes], body: bytes) -> bytes:
    """A zip of this body and this directory."""
    told = b"".join(directory)
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(directory), len(directory), len(told), len(body), 0)
    return body + told + tail


def one_member(name: bytes, content: bytes, **lies: int) -> bytes:
    """A zip with one stored member; `lies` change what both of its headers say."""
    said = {"packed": len(content), "size": len(content), "crc": zlib.crc32(content), **lies}
    return forged([entry(name, at=0, **said)], local(name, **said) + content)


def overlapping() -> bytes:
    """A thousand members that are all the same compressed bytes: 4 GB and more in a file of 100 kB."""
    many = 2**22
    content = npy("<u1", (20, many // 20), bytes(many // 20 * 20))
    squeeze = zlib.compressobj(9, wbits=-15)
    packed = squeeze.compress(content) + squeeze.flush()
    said = {"method": 8, "packed": len(packed), "size": len(content), "crc": zlib.crc32(content)}
    body = local(b"u.npy", **said) + packed
    return forged([entry(name, at=0, **said) for name in (b"u.npy", b"v.npy", b"y.npy")], body)


def bomb() -> bytes:
    """Two arrays of 2.5 GB by their own, true account; each would unfold to that."""
    body, directory = b"", []
    for name in (b"u.npy", b"v.npy"):
        content = npy("<u1", (20, 125_000_000), b"")
        squeeze = zlib.compressobj(1, wbits=-15)
        packed = squeeze.compress(content + bytes(2**20)) + squeeze.flush()
        said = {"method": 8, "packed": len(packed), "size": len(content) + 20 * 125_000_000, "crc": 0}
        directory.append(entry(name, at=len(body), **said))
        body += local(name, **said) + packed
    return forged(directory, body)


def liar() -> bytes:
    """A member of 10 MB by its header, whose bytes unfold to 200: zipfile would go on for as long as there are any."""
    said_size = len(content := npy("<u1", (20, 500_000), b"")) + 10_000_000
    squeeze = zlib.compressobj(1, wbits=-15)
    packed = squeeze.compress(content)
    for _ in range(200):
        packed += squeeze.compress(bytes(2**20))
    packed += squeeze.flush()
    said = {"method": 8, "packed": len(packed), "size": said_size, "crc": 0}
    members = {name[:-4]: value for name, value in GOOD.items() if name != "u.npy"}
    body, directory = b"", []
    for name, content in members.items():
        own = {"packed": len(content), "size": len(content), "crc": zlib.crc32(content)}
        directory.append(entry(name.encode() + b".npy", at=len(body), **own))
        body += local(name.encode() + b".npy", **own) + content
    directory.append(entry(b"u.npy", at=len(body), **said))
    return forged(directory, body + local(b"u.npy", **said) + packed)


class Writes:
    """What would create a file if it were ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


def _pickled(wrap: bool) -> Any:
    """An array of objects whose loading would leave `unpickled` beside the root."""

    def build(data: Path) -> Spec:
        values = np.array([Writes(data.parent / "unpickled")] * 20, dtype=object)
        if wrap:
            (data / "t.npz").write_bytes(npz({**GOOD, "u.npy": npy("|O", (20,), pickle.dumps(values))}))
        else:  # a pickle by itself, which NumPy loads by default where it finds one
            (data / "t.npz").write_bytes(npz({**GOOD, "u.npy": pickle.dumps(values)}))
        return arrays("t.npz")

    return build


def changed(**members: bytes) -> bytes:
    """The good file with some members in place of its own."""
    return npz({**GOOD, **{f"{name}.npy": raw for name, raw in members.items()}})


NPZS: dict[str, tuple[bytes, str]] = {
    "no zip": (b"hello", "source.malformed"),
    "half a zip": (npz(GOOD)[:500], "source.malformed"),
    "objects": (changed(u=npy("|O", (20,), b"cos\nsystem\n")), "source.object_array"),
    "objects in fields": (changed(u=npy([("a", "|O")], (20,), bytes(160))),
                          "source.object_array"),
    "two to the sixtieth": (changed(u=npy("<f8", (2**60,), bytes(160))), "source.malformed"),
    "beyond 64 bits": (changed(u=npy("<f8", (20, 2**62), bytes(160))), "source.malformed"),
    "a product of 0": (changed(u=npy("<f8", (20, 2**62, 0), b"")), "value.shape"),
    "negative": (changed(u=npy("<f8", (-20, -1), bytes(160))), "source.malformed"),
    "negative rows of nothing": (changed(u=npy("<f8", (-20, 0), b"")), "source.malformed"),
    "shape that is code": (changed(u=npy("<f8", "(print('x'),)", bytes(160))), "source.malformed"),
    "shape of booleans": (changed(u=npy("<f8", (True,), bytes(8))), "value.shape"),
    "deep header": (changed(u=npy("<f8", "(" * 5000, bytes(160))), "source.malformed"),
    "header of the third version": (changed(u=npy("<f8", (20, 2), bytes(320), version=3)[:-1]), "source.malformed"),
    "header of 2 GiB": (changed(u=b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31)), "source.malformed"),
    "items of 2 GiB": (changed(u=npy("|S2147483647", (20,), bytes(20))), "source.malformed"),
    "overlapping": (overlapping(), "source.malformed"),
    "bomb": (bomb(), "source.too_large"),
    "unknown method": (one_member(b"u.npy", GOOD["u.npy"], method=99), "source.malformed"),
    "encrypted": (one_member(b"u.npy", GOOD["u.npy"], flags=1), "source.malformed"),
    "two of one name": (forged([entry(b"u.npy", packed=len(GOOD["u.npy"]), size=len(GOOD["u.npy"]), at=0,
                                      crc=zlib.crc32(GOOD["u.npy"]))] * 2,
                               one_member(b"u.npy", GOOD["u.npy"])[: 35 + len(GOOD["u.npy"])]), "source.malformed"),
    "many members": (forged([entry(b"%d.npy" % number, packed=0, size=0, crc=0, at=0) for number in range(20_000)],
                            local(b"0.npy", packed=0, size=0, crc=0)), "source.malformed"),
    "no arrays": (npz({"a.txt": b"x"}), "source.empty"),
    "arrays of nothing": (npz({"u.npy": plain(np.zeros((0, 2)))}), "source.empty"),
}  # fmt: skip


# safetensors


def tensors(header: Any, body: bytes = bytes(8), length: int | None = None) -> bytes:
    """A file whose header is what it is told, and as long as it is told."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + body


def tensor(shape: list[int], offsets: list[int], dtype: str = "F64") -> dict[str, Any]:
    """One tensor's entry."""
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


TENSORS: dict[str, tuple[bytes, str]] = {
    "a header of 8 EiB": (tensors({}, length=2**63), "source.malformed"),
    "a header of 1 TiB": (tensors({}, length=2**40), "source.malformed"),
    "a header behind the end": (tensors({}, length=1000), "source.malformed"),
    "no JSON": (tensors(b"\xff\xff\xff"), "source.malformed"),
    "deep JSON": (tensors(b"[" * 100_000), "source.malformed"),
    "a list": (tensors([1, 2]), "source.malformed"),
    "overlapping": (tensors({"u": tensor([1], [0, 8]), "v": tensor([1], [0, 8])}), "source.malformed"),
    "a hole": (tensors({"u": tensor([1], [8, 16])}, bytes(16)), "source.malformed"),
    "too large a shape": (tensors({"u": tensor([10**12], [0, 8 * 10**12])}), "source.malformed"),
    "a shape beyond 64 bits": (tensors({"u": tensor([2**62, 4], [0, 8])}), "source.malformed"),
    "a negative shape": (tensors({"u": tensor([-1], [0, 8])}), "source.malformed"),
    "backwards": (tensors({"u": tensor([1], [8, 0])}), "source.malformed"),
    "an unknown type": (tensors({"u": tensor([1], [0, 8], "object")}), "source.malformed"),
    "a name twice": (tensors(b'{"u":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},'
                             b'"u":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}', bytes(16)), "source.malformed"),
    "bytes that nobody owns": (tensors({"u": tensor([1], [0, 8])}, bytes(2**20)), "source.malformed"),
    "nothing": (tensors({}, b""), "source.empty"),
}  # fmt: skip


def _npz(raw: bytes) -> Callable[[Path], Spec]:
    def build(data: Path) -> Spec:
        (data / "t.npz").write_bytes(raw)
        return arrays("t.npz")

    return build


CASES = [
    *(source_case(f"npz: {name}", "t.npz", raw, code, arrays) for name, (raw, code) in NPZS.items()),
    *(source_case(f"safetensors: {name}", "t.safetensors", raw, code, arrays) for name, (raw, code) in TENSORS.items()),
    Case(name="npz: pickle in an array", build=_pickled(True), codes=("source.object_array",)),
    Case(name="npz: pickle in place of an array", build=_pickled(False), codes=("source.malformed",)),
    Case(name="npz: more than is claimed", build=_npz(liar()), codes=("source.malformed",), by="prepare"),
    # These two are read, as what they would be misread for is never looked at.
    Case(
        name="npz: names that lead up", build=_npz(npz({**GOOD, "../../up.npy": GOOD["u.npy"]})), codes=(), by="nobody"
    ),
    Case(name="npz: a bomb beside", build=_npz(npz({**GOOD, "u": npy("<f8", (2**60,), b"")})), codes=(), by="nobody"),
]
