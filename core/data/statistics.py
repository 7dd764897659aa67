"""What a data set holds, in numbers: rows and classes per part, lengths, sizes, missing values, duplicates.

Plain data, whose `asdict` is JSON: it is stored and sent as it is. `core.data.describing` counts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SUMMABLE = 1e290
"""As many numbers of this size as memory holds can be added up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Five numbers of a sample."""

    count: int
    min: float
    median: float
    mean: float
    max: float

    @classmethod
    def of(cls, values: ArrayLike) -> Spread | None:
        """Of finite numbers `[N]`; None where there are none."""
        numbers = np.asarray(values, dtype=np.float64)
        numbers = numbers[np.isfinite(numbers)]
        if not len(numbers):
            return None
        # Sums of numbers near the largest one overflow, and JSON has no infinity.
        least, most = float(numbers.min()), float(numbers.max())
        largest = max(-least, most)
        scale = largest if largest > _SUMMABLE else 1.0

        def scaled(of: Callable[[NDArray[np.float64]], np.floating]) -> float:
            return min(max(float(of(numbers / scale)) * scale, least), most)

        return cls(
            count=len(numbers),
            min=least,
            median=scaled(np.median),
            mean=scaled(np.mean),
            max=most,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatistics:
    """One part: `train` (T), `holdout` (V, drawn from the training rows), `validation`, `test`."""

    name: str
    rows: int
    groups: int | None
    """Of the split's, or else V's, `group_by`; None where there is none."""
    quantity: Spread | None
    """The target of a regression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassStatistics:
    """One class (or label), and the rows that have it."""

    name: str
    rows: dict[str, int]
    """Part -> rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStatistics:
    """The target."""

    type: str
    missing: int
    """Rows without one; they belong to no part."""
    class_count: int
    classes: tuple[ClassStatistics, ...]
    """In order; at most a thousand of them."""
    imbalance: float | None
    """Rows of the largest class of T over those of the smallest that it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnStatistics:
    """One column of a table."""

    name: str
    type: str
    missing: int
    spread: Spread | None
    """Of a number."""
    distinct: int | None
    """Of a category: how many values."""
    common: dict[str, int]
    """Of a category: the five most frequent values -> rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateStatistics:
    """The same contents in two parts."""

    earlier: str
    later: str
    rows: int
    """Rows of the later part whose contents the earlier one has too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityStatistics:
    """One modality."""

    name: str
    type: str
    missing: int | None
    """Rows without it; None where that is not known before its contents are read."""
    files: int | None
    """Files whose headers were read; None where its samples are no files."""
    measures: dict[str, Spread]
    """Files: `bytes`, `width` and `height` (pixels), `seconds`. Texts: `characters`, `words`."""
    counts: dict[str, dict[str, int]]
    """Files: `format`, `mode`, `sample_rate` (hertz), `channels`: value -> files."""
    shape: tuple[int | None, ...] | None
    """Of a vector or series, where the source declares it; None: another length in every row."""
    columns: tuple[ColumnStatistics, ...]
    """Of a table."""
    duplicates: tuple[DuplicateStatistics, ...] | None
    """Of files and texts; None where contents are not compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetStatistics:
    """A data set."""

    rows: int
    """Of the source."""
    left_out: int
    """Rows that belong to no part of a split by column."""
    unusable: int
    """Rows with a problem."""
    parts: tuple[PartStatistics, ...]
    """None where the split cannot be made."""
    holdout_groups: tuple[str, ...]
    """The groups that V consists of."""
    target: TargetStatistics | None
    """None where the column is missing."""
    modalities: tuple[ModalityStatistics, ...]
    """In the order of the spec; those whose columns are all there."""
    complete: bool
    """Whether every file was looked at, and all of one size compared."""
