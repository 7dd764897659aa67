"""`python -m tests.unit.data.hostile.fuzz_films COUNT`: decode true clips after bytes of them were changed.

As a training does it: by a pool of decoders, which die in place of this process. They may take so much memory and no
more, and each file so many seconds. Prints what became of the files, as JSON: how many were decoded all the same, how
many have each error, how far a decoder grew (MiB), and how many of them died. A try depends on its number alone.
"""

from __future__ import annotations

import io
import json
import resource
import sys
from collections import Counter
from typing import Any

import av
import numpy as np

from core.data.blobs import BytesBlob
from core.data.decoding.pool import DecoderPool
from tests.unit.data.hostile.fuzz import damaged

MOST_ADDRESSES = 4 * 2**30
SECONDS = 20.0
RECIPE: dict[str, Any] = {"type": "video", "frames": 4, "size": [16, 24], "mode": "rgb", "max_seconds": 10.0}
KINDS = {
    "mp4": ("mp4", "libx264", "yuv420p"),
    "mpeg4": ("mov", "mpeg4", "yuv420p"),
    "mkv": ("matroska", "ffv1", "yuv420p"),
    "webm": ("webm", "libvpx-vp9", "yuv420p"),
    "avi": ("avi", "mjpeg", "yuvj420p"),
}


def film(container: str, codec: str, pixels: str) -> bytes:
    """Half a second of noise that moves."""
    draw, out = np.random.default_rng(7), io.BytesIO()
    ground = draw.integers(0, 256, (16, 24), dtype=np.uint8)
    with av.open(out, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=8)
        stream.height, stream.width, stream.pix_fmt = 16, 24, pixels
        stream.codec_context.thread_count = 1
        for number in range(6):
            picture = av.VideoFrame.from_ndarray(np.roll(ground, number, axis=1), format="gray")
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
    return out.getvalue()


def mutation(raw: bytes, number: int) -> bytes:
    """Every other time more is changed near the start, where a Matroska and an AVI keep what they say of themselves."""
    return damaged(raw, number) if number % 2 else damaged(raw[::-1], number)[::-1]


def main(count: int) -> None:
    """Decode `count` mutations of every kind of film, after the true one."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))  # decoders inherit it
    told: dict[str, Counter[str]] = {}
    with DecoderPool(2, SECONDS) as pool:
        for kind, made in KINDS.items():
            raw = film(*made)
            files = [(0, BytesBlob(raw)), *((n, BytesBlob(mutation(raw, n))) for n in range(1, count + 1))]
            found = told[kind] = Counter()
            for number, decoded in pool.each(RECIPE, files):
                if decoded.error is None:
                    assert decoded.values is not None
                    assert decoded.values.shape == (4, 3, 16, 24)
                    found["decoded"] += 1
                else:
                    assert number > 0, decoded.error
                    crashed = "the decoder crashed" in decoded.error.detail
                    found["crashed" if crashed else decoded.error.code] += 1
    grown = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps({"told": told, "peak": grown}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
