"""Videos to `[frames, channels, height, width]`: decoded by `clips.py`, kept and standardised as images are.

Pixels stay 8-bit; each batch is scaled to 0..1 and standardised per channel with the mean and deviation of the training
part, over all of its frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from core.data.blobs import Blob, blob_of, open_blob
from core.data.modalities.base import Raw, Reading, State, guard_store, hashed, moments, rows_at_once
from core.data.modalities.clips import decode_clip
from core.data.modalities.image import encode_images
from core.data.problems import RowProblem, SampleError
from core.data.table import Rows
from core.spec.data import VideoPreprocess

MAX_FILE_BYTES = 2 * 2**30

encode_videos = encode_images
"""`[n, frames, C, H, W]`: the channels' numbers are spread over what is before them as well."""


def read_videos(blobs: Sequence[Blob | None], preprocess: VideoPreprocess) -> Reading:
    """Decode every file into one `[rows, frames, C, H, W]` array; `None` stands for rows known to be bad.

    The first clip that can be decoded settles what the spec leaves open: the mode, and the size all others must have.
    """
    reading = Reading(np.empty((len(blobs), preprocess.frames, 1, 1, 1), dtype=np.uint8), digests=[b""] * len(blobs))
    mode, settled = preprocess.mode, False
    for row, blob in enumerate(blobs):
        if blob is None:
            continue
        try:
            with open_blob(blob, MAX_FILE_BYTES) as file:
                reading.digests[row] = hashed(file)
                pixels = decode_clip(
                    file,
                    frames=preprocess.frames,
                    size=preprocess.size,
                    mode=mode,
                    max_seconds=preprocess.max_seconds,
                )
        except SampleError as error:
            reading.problems.append(RowProblem.of(row, error))
            continue
        if not settled:
            settled, mode = True, "grey" if pixels.shape[1] == 1 else "rgb"
            guard_store(len(blobs) * pixels.nbytes, "videos", "set a smaller preprocess.size or fewer frames")
            reading.raw = np.zeros((len(blobs), *pixels.shape), dtype=np.uint8)
        if pixels.shape != reading.raw.shape[1:]:
            first, own = reading.raw.shape[3:], pixels.shape[2:]
            detail = f"{own[0]} x {own[1]} pixels; the first video has {first[0]} x {first[1]} (set preprocess.size)"
            reading.problems.append(RowProblem(row, "value.shape", detail))
            continue
        reading.raw[row] = pixels
    return reading


def decode_video_of(source: Path | bytes, state: State) -> Raw:
    """One new sample's pixels `[1, frames, C, H, W]`, decoded as the training's were. Raises SampleError."""
    with open_blob(blob_of(source), MAX_FILE_BYTES) as file:
        return decode_clip(
            file,
            frames=state["frames"],
            size=state["size"],
            mode=state["mode"],
            max_seconds=state["max_seconds"],
        )[None]


def fit_videos(raw: Raw, train: Rows, preprocess: VideoPreprocess) -> State:
    """Mean and deviation per channel over the training rows, of pixels scaled to 0..1."""
    mean, deviation = moments(_pixel_chunks(raw, train))
    return {
        "type": "video",
        "mode": "grey" if raw.shape[2] == 1 else "rgb",
        "frames": int(raw.shape[1]),
        "size": [int(raw.shape[3]), int(raw.shape[4])],
        "max_seconds": preprocess.max_seconds,
        "mean": mean.tolist(),
        "std": deviation.tolist(),
    }


def _pixel_chunks(raw: Raw, rows: Rows) -> Iterator[Raw]:
    step = rows_at_once(raw[0].size)
    for start in range(0, len(rows), step):
        chunk = raw[rows[start : start + step]].astype(np.float64) / 255.0
        yield np.moveaxis(chunk, 2, -1).reshape(-1, chunk.shape[2])
