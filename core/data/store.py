"""One modality's samples in memory, and batches of them."""

from __future__ import annotations

import math

import numpy as np

from core.data.modalities import encode, info_of
from core.data.modalities.base import Floats, Raw, State, guard_store, rows_at_once
from core.data.table import Mask, Rows


class Store:
    """Pixels stay 8-bit until a batch is asked for; all else is encoded once. Rows that lack the modality take no
    memory here, and are zeros in a batch."""

    def __init__(self, raw: Raw, state: State, absent: Mask | None) -> None:
        """`raw` has all rows; `absent` says which of them hold nothing, and is None where that is no option."""
        self._state = state
        self._shape = info_of("", state).shape
        self._present = None if absent is None else ~absent
        self._places: Rows | None = None
        if self._present is not None and not self._present.all():
            self._places = np.where(self._present, np.cumsum(self._present) - 1, -1)
            raw = raw[self._present]
        self._lazy = state["type"] in ("image", "video")
        self._values = raw if self._lazy else _encoded(raw, state, self._shape)

    def batch(self, rows: Rows) -> Floats:
        """C-contiguous float32 `[len(rows), *shape]`."""
        if self._places is None:
            return self._encoded(rows)
        places = self._places[rows]
        out = np.zeros((len(rows), *self._shape), dtype=np.float32)
        out[places >= 0] = self._encoded(places[places >= 0])
        return out

    def present(self, rows: Rows) -> Floats | None:
        """`[len(rows)]`: 1 where a row has the modality, 0 where it lacks it; None where it must have it."""
        return None if self._present is None else self._present[rows].astype(np.float32)

    def _encoded(self, places: Rows) -> Floats:
        values = self._values[places]
        return encode(values, self._state) if self._lazy else values


def _encoded(raw: Raw, state: State, shape: tuple[int, ...]) -> Floats:
    """All rows, some at a time: encoding works in float64, which would take several times the result."""
    guard_store(len(raw) * math.prod(shape) * 4, "samples", "set a smaller preprocess.max_seconds, or fewer steps")
    out = np.empty((len(raw), *shape), dtype=np.float32)
    step = rows_at_once(math.prod(shape))
    for start in range(0, len(raw), step):
        out[start : start + step] = encode(raw[start : start + step], state)
    return out
