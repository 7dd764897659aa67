"""Videos that mean harm: above all those that make a decoder open something else."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.unit.data.hostile.cases import Case, Spec, media_case


def clip(container: str = "mp4", codec: str = "mpeg4", frames: int = 4) -> bytes:
    """A true clip, eight frames a second."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=8)
        stream.height, stream.width, stream.pix_fmt = 16, 24, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((16, 24), 40 * number, np.uint8), format="gray")
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
    return out.getvalue()


def box(kind: bytes, content: bytes) -> bytes:
    """A box of an MP4."""
    return struct.pack(">I", 8 + len(content)) + kind + content


def deep(levels: int) -> bytes:
    """Boxes that each hold one other."""
    raw = b""
    for _ in range(levels):
        raw = box(b"moov", raw)
    return raw


def elsewhere(kind: bytes, where: bytes) -> bytes:
    """A true clip whose frames are said to lie in another file."""
    raw = clip("mov")
    at = raw.index(b"dref") - 4
    old = raw[at : at + int.from_bytes(raw[at : at + 4], "big")]
    new = box(b"dref", struct.pack(">II", 0, 1) + box(kind, bytes(4) + where))
    # Every box around it grows by as much; the frames come first in the file, so that their places stay.
    raw = raw.replace(old, new)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        place = raw.index(name) - 4
        size = int.from_bytes(raw[place : place + 4], "big") + len(new) - len(old)
        raw = raw[:place] + struct.pack(">I", size) + raw[place + 4 :]
    return raw


def motion_jpeg(width: int, height: int) -> bytes:
    """A true AVI of JPEGs, each of which says that it has these sides."""
    raw = bytearray(clip("avi", "mjpeg"))
    at = raw.find(b"\xff\xc0")
    while at >= 0:
        raw[at + 5 : at + 9] = struct.pack(">HH", height, width)
        at = raw.find(b"\xff\xc0", at + 2)
    return bytes(raw)


def noisy() -> bytes:
    """A true clip whose frames are noise."""
    at = GOOD.index(b"mdat") + 4
    end = at - 8 + int.from_bytes(GOOD[at - 8 : at - 4], "big")
    return GOOD[:at] + bytes(byte ^ 0x5A for byte in GOOD[at:end]) + GOOD[end:]


def element(number: bytes, content: bytes) -> bytes:
    """An element of a Matroska file."""
    return number + (0x01 << 56 | len(content)).to_bytes(8, "big") + content


def matroska(width: int, height: int, codec: bytes = b"V_UNCOMPRESSED") -> bytes:
    """A Matroska file of one frame with these sides by its header, and of this codec."""
    sides = element(b"\xb0", width.to_bytes(8, "big")) + element(b"\xba", height.to_bytes(8, "big"))
    sides += element(b"\x2e\xb5\x24", b"I420")
    track = b"\xd7\x81\x01\x73\xc5\x81\x01\x83\x81\x01" + element(b"\x86", codec) + element(b"\xe0", sides)
    cluster = element(b"\x1f\x43\xb6\x75", b"\xe7\x81\x00" + element(b"\xa3", b"\x81\0\0\x80" + bytes(600)))
    info = element(b"\x15\x49\xa9\x66", b"\x2a\xd7\xb1\x83\x0f\x42\x40")
    segment = info + element(b"\x16\x54\xae\x6b", element(b"\xae", track)) + cluster
    return element(b"\x1aE\xdf\xa3", element(b"\x42\x82", b"matroska")) + element(b"\x18S\x80g", segment)


URL = b"file:///etc/passwd\0"
GOOD = clip()

FILMS: dict[str, tuple[bytes, str]] = {
    "HLS": (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "file.format"),
    "HLS with a byte order mark": (b"\xef\xbb\xbf#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "file.format"),
    "concat": (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "file.format"),
    "SDP": (b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n", "file.format"),
    "DASH": (b"<?xml version='1.0'?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>", "file.format"),
    "ASX": (b"<asx version='3.0'><entry><ref href='file:///etc/passwd'/></entry></asx>", "file.format"),
    "RTSP": (b"rtsp://127.0.0.1/x", "file.format"),
    "image sequence": (b"frame%03d.png", "file.format"),
    "AviSynth": (b'Import("/etc/passwd")', "file.format"),
    "subtitles": (b"1\n00:00:00,000 --> 00:00:01,000\nhello\n", "file.format"),
    "Ogg": (b"OggS" + bytes(60), "file.format"),
    "MPEG stream": (b"\x47" + bytes(187) * 4, "file.format"),
    "a reference movie": (box(b"ftyp", b"qt  " + bytes(4) + b"qt  ")
                          + box(b"moov", box(b"rmra", box(b"rmda", box(b"rdrf", bytes(4) + b"url " + bytes(4) + URL)))),
                          "file.undecodable"),
    "four billion pixels in Matroska": (matroska(65_535, 65_535), "file.undecodable"),
    "four billion pixels a frame": (motion_jpeg(65_535, 65_535), "file.undecodable"),
    "sides beyond 32 bits": (matroska(2**40, 2**40), "file.undecodable"),
    "no pixels": (matroska(0, 0), "file.undecodable"),
    "an unknown codec": (matroska(16, 16, b"V_EVIL"), "file.format"),
    "cut off": (GOOD[: len(GOOD) // 2], "file.truncated"),
    "a Matroska cut off": (clip("matroska")[:-100], "file.truncated"),
    "an AVI cut off": (clip("avi")[:-100], "file.truncated"),
    "a box of exabytes": (struct.pack(">I4sQ", 1, b"mdat", 2**62), "file.truncated"),
    "a box of no length": (struct.pack(">I4s", 3, b"mdat") + bytes(100), "file.undecodable"),
    "twenty thousand boxes": (box(b"free", b"") * 20_000, "file.undecodable"),
    "boxes in boxes": (box(b"ftyp", b"isom" + bytes(8)) + deep(3000), "file.undecodable"),
    "frames of noise": (noisy(), "file.undecodable"),
    "magic alone": (b"\0\0\0\x08ftyp", "file.undecodable"),
    "empty": (b"", "file.truncated"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(50), "file.format"),
}  # fmt: skip


def _pipe(kind: bytes) -> Callable[[Path], Spec]:
    """The frames are said to lie in a pipe outside: whoever opened it would wait for ever.

    FFmpeg looks for them in the file itself, where they are.
    """

    def build(data: Path) -> Spec:
        pipe = data.parent / "outside-pipe"
        os.mkfifo(pipe)
        return media_case("", "video", elsewhere(kind, str(pipe).encode() + b"\0"), "").build(data)

    return build


CASES = [
    *(media_case(name, "video", raw, code) for name, (raw, code) in FILMS.items()),
    Case(name="a reference to a pipe", build=_pipe(b"url "), codes=(), by="nobody"),
    Case(name="an alias of a pipe", build=_pipe(b"alis"), codes=(), by="nobody"),
]
