"""Videos to `[frames, channels, height, width]`: decoded by `clips.py`, kept and standardised as images are.

Pixels stay 8-bit; each batch is scaled to 0..1 and standardised per channel with the mean and deviation of the training
part, over all of its frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.data.blobs import Blob, blob_of, open_blob
from core.data.modalities.base import Raw, Reading, State
from core.data.modalities.clips import decode_clip
from core.data.modalities.files import Decoded, Files, InTurn, Recipe, decoded
from core.data.modalities.image import encode_images
from core.data.modalities.pixels import PixelKind, pixel_moments, read_pixels
from core.data.modalities.space import Space
from core.data.table import Rows
from core.spec.data import VideoPreprocess

MAX_FILE_BYTES = 2 * 2**30

encode_videos = encode_images
"""`[n, frames, C, H, W]`: the channels' numbers are spread over what is before them as well."""


def read_videos(
    blobs: Sequence[Blob | None], preprocess: VideoPreprocess, files: Files | None = None, space: Space | None = None
) -> Reading:
    """Decode every file into one `[rows, frames, C, H, W]` array; `None` stands for rows known to be bad.

    The first clip that can be decoded settles what the spec leaves open: the mode, and the size all others must have.
    """
    recipe = {
        "type": "video",
        "frames": preprocess.frames,
        "size": preprocess.size,
        "mode": preprocess.mode,
        "max_seconds": preprocess.max_seconds,
    }
    return read_pixels(blobs, recipe, _KIND, files or InTurn(decode_file), space)


def decode_file(blob: Blob, recipe: Recipe) -> Decoded:
    """One file of a data set, `[frames, C, H, W]`."""
    options = {name: recipe[name] for name in ("frames", "size", "mode", "max_seconds")}
    return decoded(blob, MAX_FILE_BYTES, lambda file: (decode_clip(file, **options), 0))


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
    mean, deviation = pixel_moments(raw, train)
    return {
        "type": "video",
        "mode": "grey" if raw.shape[2] == 1 else "rgb",
        "frames": int(raw.shape[1]),
        "size": [int(raw.shape[3]), int(raw.shape[4])],
        "max_seconds": preprocess.max_seconds,
        "mean": mean.tolist(),
        "std": deviation.tolist(),
    }


def _other_shape(own: Sequence[int], first: Sequence[int]) -> str:
    return f"{own[2]} x {own[3]} pixels; the first video has {first[2]} x {first[3]} (set preprocess.size)"


_KIND = PixelKind(
    plural="videos", axes=4, smaller="set a smaller preprocess.size or fewer frames", other_shape=_other_shape
)
