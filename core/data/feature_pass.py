"""One pass of samples through a frozen model, kept as it goes: whoever comes after one that was killed does the rest.

What is computed goes to the disk in pieces, each whole or not at all (`core.data.feature_cache`), after so many seconds
of work and at the end, however that comes about.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from core.data.feature_cache import FeatureCache
from core.data.modalities.base import Floats
from core.data.problems import RowProblem, SampleError

SAVE_SECONDS = 60.0
"""How much work may be lost, where the operator says nothing."""
_BATCH = 32
_TELL_EVERY = 20 * _BATCH


class FrozenModel(Protocol):
    """A model that turns samples into vectors."""

    trouble: str
    """What was wrong with the last sample that it could not read."""

    def features(self, samples: Sequence[Any]) -> Floats:
        """`[n, D]`. Samples are texts, images `[3, H, W]` and clips `[frames, 3, H, W]` (0..255), or sounds `[n]`."""


def _to_nobody(text: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Telling:
    """Who hears how far a pass is."""

    line: Callable[[str], None] = _to_nobody
    """Is given a line for people now and then."""
    doing: Callable[[str], None] = _to_nobody
    """Is given what is being done whenever a step of it is done; that nothing comes for long means that it hangs."""


@dataclass
class Samples:
    """The samples of one modality: a digest for each row (empty: none), and how to decode one."""

    digests: list[bytes]
    problems: list[RowProblem]
    decode: Callable[[int], Any]
    """Raises SampleError."""


@dataclass
class FeaturePass:
    """What it has computed so far; `run` goes on until all rows are done."""

    cache: FeatureCache
    key: str
    telling: Telling
    save_seconds: float = SAVE_SECONDS
    """How much work may be lost; 0: what lies between two batches."""
    found: dict[bytes, Floats] = field(default_factory=dict)
    """Digest -> features `[D]`."""
    bad: list[RowProblem] = field(default_factory=list)
    unread: int = 0
    """How many of them were decoded, and not read by the model."""
    _unsaved: dict[bytes, Floats] = field(default_factory=dict)

    def run(self, model: FrozenModel, name: str, rows: Sequence[int], samples: Samples) -> None:
        """Compute the features of these rows of the modality `name`, no two of which have the same digest."""
        saved = time.monotonic()
        try:
            for start in range(0, len(rows), _BATCH):
                self._one_batch(model, rows[start : start + _BATCH], samples)
                if time.monotonic() - saved >= self.save_seconds:
                    self._save()
                    saved = time.monotonic()
                done = min(start + _BATCH, len(rows))
                how_far = f"features of {name!r}: {done:,} of {len(rows):,}"
                self.telling.doing(how_far)
                if done == len(rows) or done % _TELL_EVERY == 0:
                    self.telling.line(how_far)
        finally:
            self._save()

    def _one_batch(self, model: FrozenModel, rows: Sequence[int], samples: Samples) -> None:
        decoded = self._decoded(rows, samples)
        if not decoded:
            return
        for row, vector in zip(decoded, model.features(list(decoded.values())), strict=True):
            if np.isfinite(vector).all():
                self.found[samples.digests[row]] = self._unsaved[samples.digests[row]] = vector
            else:
                self.unread += 1
                self.bad.append(RowProblem(row, "file.undecodable", "its frozen encoder cannot read it"))

    def _decoded(self, rows: Sequence[int], samples: Samples) -> Mapping[int, Any]:
        decoded: dict[int, Any] = {}
        for row in rows:
            try:
                decoded[row] = samples.decode(row)
            except SampleError as error:
                self.bad.append(RowProblem.of(row, error))
        return decoded

    def _save(self) -> None:
        if self._unsaved:
            self.cache.add(self.key, list(self._unsaved), np.stack(list(self._unsaved.values())))
            self._unsaved.clear()
