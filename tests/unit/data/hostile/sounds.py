"""Sounds that mean harm."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile

from tests.unit.data.builders import tone, wav
from tests.unit.data.hostile.cases import media_case

HOURS = 2**32 - 2**16


def riff(
    body: bytes,
    *,
    rate: int = 8000,
    channels: int = 1,
    bits: int = 16,
    tag: int = 1,
    size: int | None = None,
    more: bytes = b"",
) -> bytes:
    """A WAV whose header says what it is told; `more` are chunks before the sound's."""
    align = max(1, channels * bits // 8) & 0xFFFF
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * align & 0xFFFFFFFF, align, bits)
    data = b"data" + struct.pack("<I", len(body) if size is None else size) + body
    rest = b"WAVE" + b"fmt " + struct.pack("<I", len(form)) + form + more + data
    return b"RIFF" + struct.pack("<I", len(rest) & 0xFFFFFFFF) + rest


def flac(
    *, rate: int = 8000, channels: int = 1, bits: int = 16, total: int = 800, blocks: bytes = b"", frames: bytes = b""
) -> bytes:
    """A FLAC of a stream header that says what it is told."""
    packed = rate << 44 | (channels - 1) << 41 | (bits - 1) << 36 | total
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    return b"fLaC" + (b"\0" if blocks else b"\x80") + len(info).to_bytes(3, "big") + info + blocks + frames


def true_flac() -> bytes:
    """A tenth of a second."""
    out = io.BytesIO()
    soundfile.write(out, tone(400), 8000, format="FLAC")
    return out.getvalue()


def claiming(total: int) -> bytes:
    """A true FLAC that claims another number of samples."""
    raw = bytearray(true_flac())
    packed = int.from_bytes(raw[18:26], "big")
    raw[18:26] = ((packed >> 36) << 36 | total).to_bytes(8, "big")
    return bytes(raw)


def other(kind: str, subtype: str | None = None) -> bytes:
    """A true sound of another format."""
    out = io.BytesIO()
    soundfile.write(out, np.zeros(800), 8000, format=kind, subtype=subtype)
    return out.getvalue()


LIST = b"LIST" + struct.pack("<I", 4) + b"INFO"

SOUNDS: dict[str, tuple[bytes, str]] = {
    "hours by its header": (riff(bytes(1600), size=2**31 - 2**13), "file.truncated"),
    # What writes to a pipe gives the largest number: what is there is read, and no memory taken for what is not.
    "no length by its header": (riff(bytes(1600), size=2**32 - 1), ""),
    "four gigabytes by its header": (riff(bytes(1600), size=HOURS), ""),
    "RF64 of exabytes": (b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<IQQQI", 28, 2**60, 2**60, 2**59, 0)
                         + riff(bytes(1600), size=2**32 - 1)[12:], ""),
    "no samples a second": (riff(bytes(1600), rate=0), "file.undecodable"),
    "two billion samples a second": (riff(bytes(1600), rate=2**31), "file.undecodable"),
    "the most samples a second": (riff(bytes(1600), rate=2**32 - 1), "file.undecodable"),
    "a thousand channels": (riff(bytes(2000 * 8), channels=1000), "file.too_large"),
    "thirty-three channels": (riff(bytes(66 * 80), channels=33), "file.too_large"),
    "no channels": (riff(bytes(1600), channels=0), "file.undecodable"),
    "the most channels": (riff(bytes(1600), channels=65_535), "file.undecodable"),
    "no bits": (riff(bytes(1600), bits=0), "file.undecodable"),
    "a codec that there is not": (riff(bytes(1600), tag=0x1234), "file.undecodable"),
    "MP3 in WAV": (riff(bytes(1600), tag=0x55), "file.undecodable"),
    "not a number": (riff(np.full(400, np.nan, dtype="<f4").tobytes(), bits=32, tag=3), "value.not_finite"),
    "infinite": (riff(np.full(400, np.inf, dtype="<f4").tobytes(), bits=32, tag=3), "value.not_finite"),
    "no sound": (riff(b""), "file.undecodable"),
    "a chunk of four gigabytes": (riff(b"", more=b"LIST" + struct.pack("<I", 2**32 - 1))[:60], "file.undecodable"),
    "half a million chunks": (riff(bytes(1600), more=LIST * 500_000, size=HOURS), "file.undecodable"),
    "cut off": (wav(tone(400))[:700], "file.truncated"),
    "magic alone": (b"RIFF", "file.undecodable"),
    "RIFF of something else": (b"RIFF" + struct.pack("<I", 4) + b"AVI ", "file.undecodable"),
    "empty": (b"", "file.truncated"),
    "a FLAC of a year": (claiming(2**36 - 1), "file.undecodable"),
    "a FLAC of a second more": (claiming(8800), "file.undecodable"),
    "a FLAC without frames": (flac(total=2**36 - 1), "file.undecodable"),
    "a FLAC of no rate": (flac(rate=0), "file.undecodable"),
    "a FLAC cut off": (true_flac()[:-100], "file.undecodable"),
    "a FLAC of damaged frames": (true_flac()[:200] + b"\xff" * 200 + true_flac()[400:], "file.undecodable"),
    "a FLAC with a picture of 16 MB that is not there": (flac(blocks=b"\x86\xff\xff\xff"), "file.undecodable"),
    "a FLAC with ten thousand blocks": (flac(blocks=b"\x01\0\0\x01\0" * 10_000 + b"\x81\0\0\0"), "file.undecodable"),
    "FLAC magic alone": (b"fLaC", "file.undecodable"),
    "AIFF": (other("AIFF"), "file.format"),
    "Ogg": (other("OGG", "VORBIS"), "file.format"),
    "MP3": (other("MP3", "MPEG_LAYER_III"), "file.format"),
    "AU": (other("AU"), "file.format"),
    "CAF": (other("CAF"), "file.format"),
    "W64": (other("W64"), "file.format"),
    "MAT": (other("MAT5"), "file.format"),
    "RAW": (bytes(1600), "file.format"),
    "a playlist": (b"#EXTM3U\nfile:///etc/passwd\n", "file.format"),
}  # fmt: skip

CASES = [media_case(name, "audio", raw, code) for name, (raw, code) in SOUNDS.items()]
