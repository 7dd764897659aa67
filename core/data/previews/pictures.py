"""Media as small pictures (PNG) and sounds (WAV): what a model is given of a file, made for eyes and ears."""

from __future__ import annotations

import io
import wave
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from core.data.blobs import Blob, open_blob
from core.data.modalities import audio, image, video
from core.data.modalities.audio import decode_sound, opened_sound
from core.data.modalities.base import Raw
from core.data.modalities.clips import decode_clip
from core.data.modalities.image import decode_image
from core.data.modalities.logmel import LogMel
from core.spec.data import AudioModality, ImageModality, MediaModality

MOST_PIXELS = 256
"""Of a thumbnail's longer side."""
FRAMES = 4
"""Of a video's strip, evenly spaced over what a model sees of it."""
SECONDS = 10.0
"""Of a sound; less where the modality's `max_seconds` is less."""
_FRAME_PIXELS = 160
_GAP = 2
_WIDE, _HIGH = 512, 128
_RANGE = 18.42
"""80 dB below the loudest, in natural logarithms of power."""
_RATE = 48_000
_VIRIDIS = (
    (68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142),
    (31, 158, 137), (53, 183, 121), (109, 205, 89), (180, 222, 44), (253, 231, 37),
)  # fmt: skip
"""Dark to bright, even to the eye and to those who see fewer colours."""


def picture_of(blob: Blob, modality: MediaModality) -> bytes:
    """A PNG: an image's thumbnail, a sound's spectrogram, a video's strip. Raises SampleError and DataError."""
    if isinstance(modality, ImageModality):
        with open_blob(blob, image.MAX_FILE_BYTES) as file:
            return _encoded(_thumbnail(decode_image(file, mode=modality.preprocess.mode, size=None), MOST_PIXELS))
    if isinstance(modality, AudioModality):
        with open_blob(blob, audio.MAX_FILE_BYTES) as file:
            return _encoded(_spectrogram(file, modality))
    how = modality.preprocess
    with open_blob(blob, video.MAX_FILE_BYTES) as file:
        return _encoded(_strip(decode_clip(file, frames=FRAMES, size=None, mode=how.mode, max_seconds=how.max_seconds)))


def sound_of(blob: Blob, modality: AudioModality) -> bytes:
    """A WAV of 16 bits, mono, as long as a model hears it and at most SECONDS. Raises SampleError."""
    with open_blob(blob, audio.MAX_FILE_BYTES) as file:
        with opened_sound(file) as sound:
            rate = min(int(sound.samplerate), _RATE)
        file.seek(0)
        samples, _ = decode_sound(file, rate, min(SECONDS, modality.preprocess.max_seconds))
    out = io.BytesIO()
    with wave.open(out, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes((np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())
    return out.getvalue()


def _thumbnail(pixels: Raw, most: int) -> Any:
    """`[C, H, W]` as a Pillow image, scaled down until it fits; small ones are enlarged by whole numbers."""
    from PIL import Image

    values = np.rint(pixels).astype(np.uint8) if pixels.dtype != np.uint8 else pixels
    picture = Image.fromarray(np.ascontiguousarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0)))
    longest = max(picture.size)
    if longest > most:
        sides = [max(1, round(side * most / longest)) for side in picture.size]
        return picture.resize((sides[0], sides[1]), Image.Resampling.BILINEAR, reducing_gap=2.0)
    scale = max(1, min(8, most // (2 * longest)))
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def _strip(frames: Raw) -> Any:
    """The frames `[n, C, H, W]` side by side."""
    from PIL import Image

    pictures = [_thumbnail(frame, _FRAME_PIXELS) for frame in frames]
    width, height = pictures[0].size
    strip = Image.new("RGBA", (len(pictures) * (width + _GAP) - _GAP, height), (0, 0, 0, 0))
    for place, picture in enumerate(pictures):
        strip.paste(picture.convert("RGB"), (place * (width + _GAP), 0))
    return strip


def _spectrogram(file: BinaryIO, modality: AudioModality) -> Any:
    """Time to the right, mel bands upwards, the loudest 80 dB from dark to bright."""
    from PIL import Image

    how = modality.preprocess
    samples, _ = decode_sound(file, how.sample_rate, min(SECONDS, how.max_seconds))
    levels = LogMel.of(how.sample_rate, how.mels, how.window_ms, how.hop_ms)(samples)
    levels = _narrowed(levels)
    top = max(float(levels.max()), float(levels.min()) + 1e-3)
    bottom = max(top - _RANGE, float(levels.min()))
    scaled = np.clip((levels[::-1] - bottom) / (top - bottom), 0.0, 1.0)
    picture = Image.fromarray(_coloured(scaled))
    wide = max(1, min(8, _WIDE // (2 * picture.width))) * picture.width
    high = max(1, round(_HIGH / picture.height)) * picture.height
    return picture.resize((wide, min(high, 2 * _HIGH)), Image.Resampling.NEAREST)


def _narrowed(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[mels, frames]` with at most _WIDE frames: of each of equal spans the loudest."""
    frames = levels.shape[1]
    if frames <= _WIDE:
        return levels
    edges = np.linspace(0, frames, _WIDE + 1).astype(np.int64)[:-1]
    return np.asarray(np.maximum.reduceat(levels, edges, axis=1), dtype=np.float32)


def _coloured(scaled: NDArray[Any]) -> NDArray[np.uint8]:
    stops = np.linspace(0.0, 1.0, len(_VIRIDIS))
    channels = [np.interp(scaled, stops, [colour[channel] for colour in _VIRIDIS]) for channel in range(3)]
    return np.asarray(np.rint(np.stack(channels, axis=-1)), dtype=np.uint8)


def _encoded(picture: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
