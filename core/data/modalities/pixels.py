"""Files of pixels, images and videos alike, to one array: the first that can be decoded says what all must be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.blobs import Blob
from core.data.modalities.base import Raw, Reading, moments, rows_at_once
from core.data.modalities.files import Decoded, Files, Recipe, numbered
from core.data.modalities.space import Space
from core.data.problems import RowProblem
from core.data.table import Rows

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelKind:
    """What differs between the types, in words."""

    plural: str
    axes: int
    """Of one sample; the last three are channels, height and width."""
    smaller: str
    """A hint at how to make them smaller."""
    other_shape: Callable[[Shape, Shape], str]
    """What is wrong with a sample of the first shape, as the first sample has the second."""


def read_pixels(
    blobs: Sequence[Blob | None], recipe: Recipe, kind: PixelKind, files: Files, space: Space | None
) -> Reading:
    """Decode every file into one array `[rows, ...]`; `None` stands for rows known to be bad.

    The recipe's `mode` is settled by the first file that can be decoded, in the order of the rows, and so is the shape.
    """
    reading = Reading(np.empty((len(blobs), *[1] * kind.axes), dtype=np.uint8), digests=[b""] * len(blobs))
    waiting = numbered(blobs)
    first = None
    while waiting and first is None:
        for row, found in files.each(recipe, [waiting.pop(0)]):
            first = _noted(reading, row, found)
            if first is not None:
                reading.raw = (space or Space()).zeros(
                    (len(blobs), *first.shape), first.dtype, what=kind.plural, hint=kind.smaller
                )
                reading.raw[row] = first
    if first is None:
        return reading
    recipe = {**recipe, "mode": "grey" if first.shape[-3] == 1 else "rgb"}
    for row, found in files.each(recipe, waiting):
        pixels = _noted(reading, row, found)
        if pixels is None:
            continue
        if pixels.shape != first.shape:
            reading.problems.append(RowProblem(row, "value.shape", kind.other_shape(pixels.shape, first.shape)))
            continue
        reading.raw[row] = pixels if pixels.dtype == first.dtype else _to_dtype(pixels, first.dtype)
    reading.problems.sort(key=lambda problem: problem.row)
    return reading


def pixel_moments(raw: Raw, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of each channel over these rows of `[n, ..., C, H, W]`, of pixels scaled to 0..1.

    Of 8-bit pixels exact up to the last rounding: sums of whole numbers. A channel that never changes gets 1.
    """
    if raw.dtype != np.uint8:
        return moments(np.moveaxis(chunk / 255.0, -3, -1).reshape(-1, chunk.shape[-3]) for chunk in _chunks(raw, rows))
    channels = raw.shape[-3]
    count, sums, squares = 0, [0] * channels, [0] * channels
    for chunk in _chunks(raw, rows):
        count += chunk.size // channels
        for channel in range(channels):
            values = chunk[..., channel, :, :]
            sums[channel] += int(values.sum(dtype=np.uint64))
            squares[channel] += int(np.square(values, dtype=np.uint16).sum(dtype=np.uint64))
    mean = [total / (255 * count) for total in sums]
    deviation = [
        math.sqrt(count * square - total**2) / (255 * count) for total, square in zip(sums, squares, strict=True)
    ]
    return np.array(mean), np.array([each or 1.0 for each in deviation])


def _chunks(raw: Raw, rows: Rows) -> Iterator[Raw]:
    step = rows_at_once(raw[0].size)
    for start in range(0, len(rows), step):
        chunk = raw[rows[start : start + step]]
        yield chunk if chunk.dtype == np.uint8 else chunk.astype(np.float64)


def _noted(reading: Reading, row: int, found: Decoded) -> Raw | None:
    """The values of a file, once its digest and its problem are in the reading."""
    reading.digests[row] = found.digest
    if found.error is not None:
        reading.problems.append(RowProblem.of(row, found.error))
    return found.values


def _to_dtype(pixels: Raw, dtype: np.dtype[Any]) -> Raw:
    return np.rint(pixels).astype(dtype) if dtype.kind == "u" else pixels.astype(dtype)
