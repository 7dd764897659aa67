"""Images that mean harm. All of them come to the worker, which decodes files."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from tests.unit.data.builders import grey, png
from tests.unit.data.hostile.cases import media_case


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def picture(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG of these sides by its header, and whatever chunks follow."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


def zeros(megabytes: int) -> bytes:
    """So many zeros, compressed a thousandfold."""
    squeeze = zlib.compressobj(1)
    return b"".join(squeeze.compress(bytes(2**20)) for _ in range(megabytes)) + squeeze.flush()


def saved(kind: str, **options: Any) -> bytes:
    """A true image of another format."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, kind, **options)
    return out.getvalue()


def jpeg(width: int, height: int) -> bytes:
    """A JPEG whose frame header is given other sides."""
    raw = bytearray(png(np.zeros((8, 8), dtype=np.uint8), kind="JPEG"))
    at = raw.index(b"\xff\xc0") + 5
    raw[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(raw)


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
GOOD_DATA = chunk(b"IDAT", zlib.compress(bytes(4 * 5)))
BOMB = zeros(600)

IMAGES: dict[str, tuple[bytes, str]] = {
    "2.5 billion pixels of zeros": (picture(50_000, 50_000, chunk(b"IDAT", zeros(4))), "file.too_large"),
    "more pixels than 32 bits count": (picture(2**31 - 1, 2**31 - 1, GOOD_DATA), "file.too_large"),
    "sides beyond 31 bits": (picture(2**32 - 1, 2**32 - 1, GOOD_DATA), "file.too_large"),
    "just above the limit": (picture(50_000, 1001, chunk(b"IDAT", zeros(4))), "file.too_large"),
    "no pixels": (picture(0, 0, GOOD_DATA), "file.undecodable"),
    "a text of 600 MB": (picture(4, 4, chunk(b"zTXt", b"Comment\0\0" + BOMB), GOOD_DATA), "file.undecodable"),
    "a Unicode text of 600 MB": (picture(4, 4, chunk(b"iTXt", b"Comment\0\1\0\0\0" + BOMB), GOOD_DATA),
                                 "file.undecodable"),
    "a profile of 600 MB": (picture(4, 4, chunk(b"iCCP", b"sRGB\0\0" + BOMB), GOOD_DATA), "file.undecodable"),
    "a hundred texts of 1 MB": (picture(4, 4, *[chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**20 - 1)))] * 100,
                                        GOOD_DATA), "file.undecodable"),
    "a chunk of 2 GB": (picture(4, 4)[:33] + struct.pack(">I", 2**31 - 1) + b"IDAT" + bytes(100), "file.undecodable"),
    "colours without a palette": (picture(4, 4, chunk(b"IDAT", b"x"), colour=3), "file.truncated"),
    "a depth that there is not": (picture(4, 4, GOOD_DATA, depth=77), "file.undecodable"),
    "damaged data": (picture(4, 4, chunk(b"IDAT", b"\x78\x9c" + b"\xff" * 50)), "file.undecodable"),
    "no data": (picture(4, 4), "file.undecodable"),
    "cut off": (png(NOISE)[:2000], "file.truncated"),
    "cut off after its header": (grey(3)[:33], "file.undecodable"),
    "empty": (b"", "file.truncated"),
    "magic alone": (b"\x89PNG\r\n\x1a\n", "file.undecodable"),
    "a JPEG of four billion pixels": (jpeg(65_535, 65_535), "file.too_large"),
    "a JPEG without pixels": (jpeg(0, 0), "file.undecodable"),
    "a JPEG cut off": (saved("JPEG")[:300], "file.truncated"),
    "GIF": (saved("GIF"), "file.format"),
    "TIFF": (saved("TIFF"), "file.format"),
    "BMP": (saved("BMP"), "file.format"),
    "WebP": (saved("WEBP"), "file.format"),
    "ICO": (saved("ICO"), "file.format"),
    "PPM": (saved("PPM"), "file.format"),
    "TGA": (saved("TGA"), "file.format"),
    "JPEG 2000": (saved("JPEG2000"), "file.format"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n", "file.format"),
    "PDF": (b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n", "file.format"),
    "SVG": (b"<!DOCTYPE svg [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><svg>&x;</svg>", "file.format"),
    "WMF": (b"\xd7\xcd\xc6\x9a" + bytes(40), "file.format"),
    "EMF": (b"\1\0\0\0" + bytes(36) + b" EMF", "file.format"),
    "PSD": (b"8BPS\0\1" + bytes(20), "file.format"),
    "MPO": (b"\xff\xd8\xff\xe2" + bytes(40), "file.undecodable"),
    "HTML": (b"<html><img src='file:///etc/passwd'>", "file.format"),
    "a script": (b"#!/bin/sh\ntouch pwned\n", "file.format"),
}  # fmt: skip

CASES = [media_case(name, "image", raw, code) for name, (raw, code) in IMAGES.items()]
