"""Arrays in the table itself: time series `[steps, channels]` and embeddings `[D]`, standardised on train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.modalities.base import LARGEST, Floats, Raw, Reading, State, contiguous, moments, rows_at_once
from core.data.problems import RowProblem
from core.data.table import Column, ColumnHeader, Mask, Rows


def read_timeseries(column: Column, shape: tuple[int | None, int]) -> Reading:
    """An object array with one float64 `[steps, channels]` per row."""
    steps, channels = shape
    raw = np.empty(len(column.values), dtype=object)
    problems: list[RowProblem] = []
    for row, value in enumerate(column.values):
        if column.missing[row]:
            problems.append(RowProblem(row, "value.missing", "there is no series"))
            continue
        series = np.asarray(value, dtype=np.float64)
        if series.ndim == 1 and channels == 1:
            series = series[:, None]
        if series.ndim != 2 or series.shape[1] != channels or len(series) == 0:
            wanted = f"[{steps or 'steps'}, {channels}]"
            detail = "lists of different lengths" if series.ndim == 3 and not series.size else f"{list(series.shape)}"
            problems.append(RowProblem(row, "value.shape", f"{detail} instead of {wanted}"))
            continue
        problem = _not_finite(row, series)
        if problem is not None:
            problems.append(problem)
            continue
        raw[row] = series
    return Reading(raw, problems)


def fit_timeseries(raw: Raw, train: Rows, shape: tuple[int | None, int]) -> State:
    """The number of steps (the spec's, or the longest training series') and the moments per channel."""
    steps = shape[0] or max(len(raw[row]) for row in train)
    mean, deviation = moments(raw[row][:steps] for row in train)
    return {
        "type": "timeseries",
        "steps": steps,
        "channels": shape[1],
        "mean": mean.tolist(),
        "std": deviation.tolist(),
    }


def encode_timeseries(raw: Raw, state: State) -> Floats:
    """Standardised `[n, steps, channels]`; longer series are cropped, shorter ones end in zeros (the mean)."""
    steps = state["steps"]
    out = np.zeros((len(raw), steps, state["channels"]), dtype=np.float32)
    for row, series in enumerate(raw):
        length = min(steps, len(series))
        out[row, :length] = (series[:length] - state["mean"]) / state["std"]
    return contiguous(out)


def read_embedding(column: Column, length: int | None = None) -> Reading:
    """An array `[rows, D]`, float64 unless the column's is float32; D is `length`, or what most rows have."""
    whole = column.values
    if whole.dtype.kind in "biuf" and whole.ndim == 2 and whole.shape[1] == (length or whole.shape[1]) > 0:
        return _read_whole(whole, column.missing)
    flat = [np.asarray(value) for value in column.values]
    lengths = Counter(
        len(value) for value, gone in zip(flat, column.missing, strict=True) if not gone and value.ndim == 1
    )
    wanted = length or max(lengths, key=lambda size: (lengths[size], size), default=0)
    raw = np.zeros((len(flat), wanted), dtype=np.float64)
    problems: list[RowProblem] = []
    for row, value in enumerate(flat):
        if column.missing[row]:
            problems.append(RowProblem(row, "value.missing", "there is no vector"))
        elif value.shape != (wanted,) or wanted == 0:
            problems.append(RowProblem(row, "value.shape", f"{list(value.shape)} instead of [{wanted or 'length'}]"))
        else:
            raw[row] = value
            problem = _not_finite(row, raw[row])
            if problem is not None:
                problems.append(problem)
    return Reading(raw, problems)


def _read_whole(values: Raw, missing: Mask) -> Reading:
    """Rows of one length: they are taken as they are, without an object or a copy of each."""
    raw = values if values.dtype == np.float32 else values.astype(np.float64, copy=False)
    bad = np.zeros(len(raw), dtype=np.bool_)
    for rows in _chunks(np.arange(len(raw), dtype=np.int64), raw.shape[1]):
        bad[rows] = ~(np.abs(raw[rows]) <= LARGEST).all(axis=1)
    problems: list[RowProblem] = []
    for row in np.flatnonzero(bad | missing).tolist():
        problem = _not_finite(row, raw[row])
        if missing[row]:
            problem = RowProblem(row, "value.missing", "there is no vector")
        if problem is not None:
            problems.append(problem)
    return Reading(raw, problems)


def fit_embedding(raw: Raw, train: Rows) -> State:
    """Moments of every entry over the training rows."""
    mean, deviation = moments(raw[rows] for rows in _chunks(train, raw.shape[1]))
    return {"type": "embedding", "length": int(raw.shape[1]), "mean": mean.tolist(), "std": deviation.tolist()}


def encode_embedding(raw: Raw, state: State) -> Floats:
    """Standardised `[n, D]`."""
    return contiguous((raw - state["mean"]) / state["std"])


def array_column(value: Any) -> Column:
    """One new sample's series or vector as a column of one row. Raises ValueError where it is no array of numbers."""
    values = np.empty(1, dtype=object)
    values[0] = np.asarray(value, dtype=np.float64)
    return Column(ColumnHeader("array", "array"), values, np.zeros(1, dtype=np.bool_))


def _chunks(rows: Rows, size: int) -> Iterator[Rows]:
    step = rows_at_once(size)
    return (rows[start : start + step] for start in range(0, len(rows), step))


def _not_finite(row: int, values: NDArray[np.float64]) -> RowProblem | None:
    """The first NaN, infinity, or number beyond float32, with its index."""
    bad = ~(np.abs(values) <= LARGEST)
    if not bad.any():
        return None
    index = np.unravel_index(int(np.argmax(bad)), values.shape)
    return RowProblem(row, "value.not_finite", f"{values[index]} at index {[int(place) for place in index]}")
