"""What goes between a pool and its decoders, as frames."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.data.blobs import Blob, BytesBlob, FileBlob
from core.data.decoding.frames import frame
from core.data.modalities.files import Decoded
from core.data.problems import SampleError
from core.data.sources.spans import SpanBlob

_DTYPES = {"uint8": np.uint8, "float32": np.float32}


def files_frame(recipe: Mapping[str, Any], blobs: Sequence[Blob]) -> bytes:
    """What a decoder is told to decode, in this order."""
    told: list[dict[str, Any]] = []
    contents: list[bytes] = []
    for blob in blobs:
        if isinstance(blob, FileBlob):
            told.append({"path": os.fspath(blob.path)})
        elif isinstance(blob, SpanBlob):
            told.append({"path": os.fspath(blob.path), "offset": blob.offset, "length": blob.length})
        elif isinstance(blob, BytesBlob):
            told.append({"bytes": len(blob.content)})
            contents.append(blob.content)
        else:
            raise TypeError(f"a {type(blob).__name__} cannot be sent to a decoder")
    return frame({"recipe": recipe, "files": told}, b"".join(contents))


def told_files(header: Mapping[str, Any], payload: bytearray) -> Iterator[Blob]:
    """The inverse of `files_frame`."""
    place = 0
    for told in header["files"]:
        if "bytes" in told:
            yield BytesBlob(bytes(payload[place : place + told["bytes"]]))
            place += told["bytes"]
        elif "offset" in told:
            yield SpanBlob(Path(told["path"]), told["offset"], told["length"])
        else:
            yield FileBlob(Path(told["path"]))


def decoded_frame(found: Decoded) -> bytes:
    """What became of a file."""
    header: dict[str, Any] = {"digest": found.digest.hex(), "rate": found.rate}
    if found.error is not None:
        return frame(header | {"code": found.error.code, "detail": found.error.detail})
    assert found.values is not None
    values = np.ascontiguousarray(found.values)
    return frame(header | {"dtype": str(values.dtype), "shape": values.shape}, values.reshape(-1).view(np.uint8).data)


def told_decoded(header: Mapping[str, Any], payload: bytearray) -> Decoded:
    """The inverse of `decoded_frame`."""
    digest = bytes.fromhex(header["digest"])
    if "code" in header:
        return Decoded(digest, error=SampleError(header["code"], header["detail"]))
    values = np.frombuffer(payload, dtype=_DTYPES[header["dtype"]]).reshape(header["shape"])
    return Decoded(digest, values, rate=header["rate"])
