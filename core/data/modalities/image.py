"""PNG and JPEG files to `[channels, height, width]`.

Decoded once and kept as 8-bit pixels (a quarter of the memory of floats); each batch is scaled to 0..1 and then
standardised per channel with the mean and deviation of the training part. Resizing is bilinear with antialiasing and
does not keep the aspect ratio. Transparency is dropped, a JPEG's EXIF orientation is applied, 16-bit greys keep their
depth. Only the first frame counts.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from core.data.blobs import Blob, blob_of, open_blob
from core.data.modalities.base import (
    Floats,
    Raw,
    Reading,
    State,
    contiguous,
)
from core.data.modalities.files import Decoded, Files, InTurn, Recipe, decoded
from core.data.modalities.pixels import PixelKind, pixel_moments, read_pixels
from core.data.modalities.space import Space
from core.data.problems import SampleError
from core.data.table import Rows
from core.spec.data import ImagePreprocess

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

MAX_PIXELS = 50_000_000
MAX_FILE_BYTES = 128 * 2**20
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_GREY = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L")
_STEADY = "set preprocess.size"


def read_images(
    blobs: Sequence[Blob | None], preprocess: ImagePreprocess, files: Files | None = None, space: Space | None = None
) -> Reading:
    """Decode every file into one `[rows, C, H, W]` array; `None` stands for rows known to be bad.

    The first image that can be decoded settles what the spec leaves open: the mode, and the size all others must have.
    """
    recipe = {"type": "image", "mode": preprocess.mode, "size": preprocess.size}
    return read_pixels(blobs, recipe, _KIND, files or InTurn(decode_file), space)


def decode_file(blob: Blob, recipe: Recipe) -> Decoded:
    """One file of a data set, `[C, H, W]`."""
    return decoded(blob, MAX_FILE_BYTES, lambda file: (decode_image(file, mode=recipe["mode"], size=recipe["size"]), 0))


def decode_image(file: IO[bytes], *, mode: str, size: Sequence[int] | None) -> Raw:
    """One image as `[C, H, W]`, values 0..255: uint8, or float32 where the file is 16-bit grey.

    `mode` is grey, rgb or auto; `size` is height and width. Raises SampleError.
    """
    from PIL import ImageOps

    with opened_image(file) as image:
        image.load()
        upright = ImageOps.exif_transpose(image) if image.format != "PNG" else image
        return _pixels(upright, mode, size)


@contextmanager
def opened_image(file: IO[bytes]) -> Iterator[ImageFile]:
    """The image with its header read and its pixels not, of a size that may be decoded.

    Raises SampleError, for what is raised inside of the block too.
    """
    from PIL import Image

    magic = file.read(8)
    file.seek(0)
    if not magic.startswith(_MAGIC):
        raise SampleError("file.format", "not a PNG or JPEG")
    try:
        with warnings.catch_warnings():
            # Pillow's own bomb guard only warns below twice its limit; oddities in metadata are no concern of ours.
            warnings.simplefilter("ignore")
            with Image.open(file, formats=("PNG", "JPEG")) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise SampleError("file.too_large", f"{image.width} x {image.height} pixels; at most {MAX_PIXELS}")
                yield image
    except SampleError:
        raise
    except Image.DecompressionBombError as error:
        raise SampleError("file.too_large", f"more than {MAX_PIXELS} pixels") from error
    except Exception as error:  # hostile bytes make a decoder raise anything; it all means one thing
        code = "file.truncated" if "truncated" in str(error).lower() else "file.undecodable"
        # Pillow's message for an unknown file holds the address of a Python object.
        text = "not a readable image" if "cannot identify" in str(error) else str(error) or type(error).__name__
        raise SampleError(code, text) from error


def decode_image_of(source: Path | bytes, state: State) -> Raw:
    """One new sample's pixels `[1, C, H, W]`, decoded as the training's were. Raises SampleError."""
    with open_blob(blob_of(source), MAX_FILE_BYTES) as file:
        return decode_image(file, mode=state["mode"], size=state["size"])[None]


def fit_images(raw: Raw, train: Rows) -> State:
    """Mean and deviation per channel over the training rows, of pixels scaled to 0..1."""
    mean, deviation = pixel_moments(raw, train)
    return {
        "type": "image",
        "mode": "grey" if raw.shape[1] == 1 else "rgb",
        "size": [int(raw.shape[2]), int(raw.shape[3])],
        "mean": mean.tolist(),
        "std": deviation.tolist(),
    }


def encode_images(raw: Raw, state: State) -> Floats:
    """`[n, C, H, W]` pixels 0..255 to standardised float32."""
    mean = np.asarray(state["mean"], dtype=np.float32)[:, None, None]
    std = np.asarray(state["std"], dtype=np.float32)[:, None, None]
    out = raw.astype(np.float32)
    out *= np.float32(1.0 / 255.0)
    out -= mean
    out /= std
    return contiguous(out)


def _pixels(image: Any, mode: str, size: Sequence[int] | None) -> Raw:
    from PIL import Image

    if mode == "auto":
        mode = "grey" if image.mode in _GREY else "rgb"
    if image.mode.startswith("I") or image.mode == "F":
        # Pillow clips 16-bit greys at 255 when it converts them; dividing by 257 maps 65535 to 255.
        image = Image.fromarray(np.asarray(image, dtype=np.float32) / np.float32(257.0))
    elif mode == "grey":
        image = image.convert("L")
    else:
        image = image.convert("RGB")
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[None], 3 if mode == "rgb" else 1, axis=0)
    else:
        pixels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels)


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]} x {shape[2]}"


def _other_shape(own: Sequence[int], first: Sequence[int]) -> str:
    return f"{_size(own)} pixels; the first image has {_size(first)} ({_STEADY})"


_KIND = PixelKind(plural="images", axes=3, smaller="set a smaller preprocess.size", other_shape=_other_shape)
