"""What all modalities share: what the encoder sees, the fitted state, files, moments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Any, BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from core.data.problems import RowProblem
from core.errors import DataError, Issue

ModalityKind = Literal["image", "audio", "video", "tabular", "timeseries", "embedding", "text"]
State = dict[str, Any]
"""Fitted preprocessing of one modality: JSON, with its `type`; all that is needed to encode a new sample. `missing` is
"mask" where a sample may lack the modality, and is not there otherwise."""
Floats = NDArray[np.float32]
Raw = NDArray[Any]
"""Decoded values that do not depend on the training part yet; the first axis is the rows."""

MAX_STORE_BYTES = 16 * 2**30
"""What the decoded samples of one modality may take in memory."""

LARGEST = float(np.finfo(np.float32).max)
"""Numbers beyond it count as infinite."""


def presence_of(modality: str) -> str:
    """The key in a batch that says which samples have a modality; no modality is called so."""
    return f"{modality}:present"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityInfo:
    """One modality as its encoder sees it.

    `shape` is one sample's: image `[C, H, W]`, video `[frames, C, H, W]`, audio `[1, mels, frames]`, timeseries
    `[steps, channels]`, embedding `[D]`, tabular `[numbers + categories]`, where the last `len(categories)` entries are
    integer codes stored as floats and `categories` are their cardinalities; text `[tokens]`, word codes as floats, 0
    where it is padded, with `categories` the one number of codes.

    Where a pretrained model is trained, `model` is its config, and the sample its input (`modalities.prepared`).
    """

    name: str
    kind: ModalityKind
    shape: tuple[int, ...]
    categories: tuple[int, ...] = ()
    model: State | None = None


@dataclass(slots=True)
class Reading:
    """What reading one modality's rows gave. Rows with a problem hold nothing of use in `raw`."""

    raw: Raw
    problems: list[RowProblem] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    """SHA-256 of each row's file; empty for modalities without files."""
    warnings: list[Issue] = field(default_factory=list)
    """Without a pointer; the caller knows the modality's."""
    frozen: State | None = None
    """Where `raw` holds the features of a frozen encoder: how a sample is read for it, and its digest."""
    prepared: State | None = None
    """Where `raw` holds the inputs of a pretrained model that is trained: the same, and its config."""


def hashed(file: BinaryIO) -> bytes:
    """SHA-256 of an open file; leaves it at its start, so that what is hashed is what is decoded."""
    digest = hashlib.file_digest(cast("BufferedReader", file), "sha256").digest()
    file.seek(0)
    return digest


def guard_store(size: int, what: str, hint: str) -> None:
    """Refuse a data set whose decoded samples would not fit in memory, before they are decoded."""
    if size > MAX_STORE_BYTES:
        detail = f"the decoded {what} would take {size / 2**30:.1f} GiB; at most {MAX_STORE_BYTES / 2**30:.0f} are held"
        issue = Issue(code="data.too_large", detail=detail, hint=hint)
        raise DataError(detail, code="data.too_large", hint=hint, issues=(issue,))


def moments(chunks: Iterable[NDArray[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each column of the stacked `[n_i, D]` chunks, in float64, two passes' accuracy.

    A column that never changes gets the deviation 1, so that standardising gives 0 instead of dividing by nothing.
    Chunks are merged by Chan's formula (Chan, Golub and LeVeque 1979).
    """
    count, mean, squares = 0, np.zeros(0), np.zeros(0)
    low, high = np.zeros(0), np.zeros(0)
    for chunk in chunks:
        if len(chunk) == 0:
            continue
        part = chunk.astype(np.float64)
        part_mean = part.mean(axis=0)
        part_squares = ((part - part_mean) ** 2).sum(axis=0)
        if count == 0:
            count, mean, squares = len(part), part_mean, part_squares
            low, high = part.min(axis=0), part.max(axis=0)
            continue
        total = count + len(part)
        delta = part_mean - mean
        mean = mean + delta * (len(part) / total)
        squares = squares + part_squares + delta**2 * (count * len(part) / total)
        low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
        count = total
    deviation = np.sqrt(squares / max(count, 1))
    # Of a constant column, rounding leaves a deviation of 1e-17 or so; comparing the extremes is exact.
    deviation[(low == high) | (deviation == 0.0)] = 1.0
    return mean, deviation


def contiguous(values: NDArray[Any]) -> Floats:
    """C-contiguous float32, what every encoder is handed."""
    return np.ascontiguousarray(values, dtype=np.float32)


def rows_at_once(raw_row_size: int) -> int:
    """How many rows to take per chunk so that a chunk in float64 stays near 32 MiB."""
    return max(1, 2**22 // max(1, raw_row_size))
