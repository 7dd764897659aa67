"""Files of pixels, images and videos alike, to one array: the first that can be decoded says what all must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.data.blobs import Blob
from core.data.modalities.base import Raw, Reading
from core.data.modalities.files import Decoded, Files, Recipe, numbered
from core.data.modalities.space import Space
from core.data.problems import RowProblem

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


def _noted(reading: Reading, row: int, found: Decoded) -> Raw | None:
    """The values of a file, once its digest and its problem are in the reading."""
    reading.digests[row] = found.digest
    if found.error is not None:
        reading.problems.append(RowProblem.of(row, found.error))
    return found.values


def _to_dtype(pixels: Raw, dtype: np.dtype[Any]) -> Raw:
    return np.rint(pixels).astype(dtype) if dtype.kind == "u" else pixels.astype(dtype)
