"""One modality's samples, in memory or on disk, and batches of them."""

from __future__ import annotations

import math

import numpy as np

from core.data.modalities import encode, info_of, is_encoded_by_batch
from core.data.modalities.base import Floats, Raw, State, rows_at_once
from core.data.modalities.space import Space
from core.data.table import Mask, Rows


class Store:
    """Pixels stay 8-bit until a batch is asked for; all else is encoded once. Rows that lack the modality take no
    memory here, and are zeros in a batch."""

    def __init__(self, raw: Raw, state: State, absent: Mask | None, *, rows: Rows, space: Space | None = None) -> None:
        """`raw` has all rows that were read, `rows` `[n]` says which of them there are here, `absent` `[n]` which of
        these hold nothing, and is None where that is no option; `space` is left out where memory is all."""
        space = space or Space()
        self._state = state
        self._shape = info_of("", state).shape
        self._present = None if absent is None else ~absent
        held = rows if self._present is None else rows[self._present]
        self._lazy = is_encoded_by_batch(state)
        if not self._lazy:
            self._values = _encoded(raw, held, state, self._shape, space)
        elif len(held) == len(raw) or space.is_on_disk(raw.nbytes):
            self._values = raw
        else:
            self._values, raw = raw[held], np.empty(0)
        self._places: Rows | None = None
        if len(held) < len(rows) or len(rows) < len(self._values):
            self._places = np.full(len(rows), -1, dtype=np.int64)
            own = held if self._values is raw else np.arange(len(held), dtype=np.int64)
            self._places[slice(None) if self._present is None else self._present] = own

    def batch(self, rows: Rows) -> Floats:
        """C-contiguous float32 `[len(rows), *shape]`."""
        if self._places is None:
            return self._encoded(rows)
        places = self._places[rows]
        if (places >= 0).all():
            return self._encoded(places)
        out = np.zeros((len(rows), *self._shape), dtype=np.float32)
        out[places >= 0] = self._encoded(places[places >= 0])
        return out

    def present(self, rows: Rows) -> Floats | None:
        """`[len(rows)]`: 1 where a row has the modality, 0 where it lacks it; None where it must have it."""
        return None if self._present is None else self._present[rows].astype(np.float32)

    def _encoded(self, places: Rows) -> Floats:
        values = self._values[places]
        return encode(values, self._state) if self._lazy else values


def _encoded(raw: Raw, held: Rows, state: State, shape: tuple[int, ...], space: Space) -> Floats:
    """The rows `held`, some at a time: encoding works in float64, which would take several times the result."""
    hint = "set a smaller preprocess.max_seconds, or fewer steps"
    out = space.zeros((len(held), *shape), np.float32, what="samples", hint=hint)
    step = rows_at_once(math.prod(shape))
    for start in range(0, len(held), step):
        out[start : start + step] = encode(raw[held[start : start + step]], state)
    return out
