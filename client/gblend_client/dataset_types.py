"""What the service answers about data sets, typed; see `types`.

Parts are called `train` (T), `holdout` (V, drawn from the training rows), `validation` and `test`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gblend_client.errors import ProblemItem
from gblend_client.types import _Object


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers(_Object):
    """Five numbers of a sample."""

    count: int
    min: float
    median: float
    mean: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatistics(_Object):
    """One part of a data set."""

    name: str
    rows: int = 0
    groups: int | None = None
    """Of `group_by`; `None` where there is none."""
    quantity: Numbers | None = None
    """The target of a regression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassStatistics(_Object):
    """One class (or label)."""

    name: str
    rows: Mapping[str, int] = field(default_factory=dict)
    """Part -> rows that have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStatistics(_Object):
    """The target."""

    type: str
    missing: int = 0
    """Rows without one."""
    class_count: int = 0
    classes: tuple[ClassStatistics, ...] = ()
    """At most a thousand of them."""
    imbalance: float | None = None
    """Rows of the largest class of T over those of the smallest that it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnStatistics(_Object):
    """One column of a table."""

    name: str
    type: str
    missing: int = 0
    spread: Numbers | None = None
    distinct: int | None = None
    common: Mapping[str, int] = field(default_factory=dict)
    """Of a category: the most frequent values -> rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateStatistics(_Object):
    """Rows of the later part whose contents the earlier one has too."""

    earlier: str
    later: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityStatistics(_Object):
    """One modality."""

    name: str
    type: str
    missing: int | None = None
    """Rows without it; `None` where that is not known before its contents are read."""
    files: int | None = None
    """Files whose headers were read; `None` where its samples are no files."""
    measures: Mapping[str, Numbers] = field(default_factory=dict)
    """Files: `bytes`, `width` and `height` (pixels), `seconds`. Texts: `characters`, `words`."""
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Files: `format`, `mode`, `sample_rate` (hertz), `channels`: value -> files."""
    shape: tuple[int | None, ...] | None = None
    columns: tuple[ColumnStatistics, ...] = ()
    duplicates: tuple[DuplicateStatistics, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetStatistics(_Object):
    """What a data set holds."""

    rows: int
    left_out: int = 0
    """Rows that belong to no part of a split by column."""
    unusable: int = 0
    """Rows with a problem."""
    parts: tuple[PartStatistics, ...] = ()
    holdout_groups: tuple[str, ...] = ()
    """The groups that V consists of."""
    target: TargetStatistics | None = None
    modalities: tuple[ModalityStatistics, ...] = ()
    complete: bool = True
    """Whether every file was looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetValidation(_Object):
    """What a close look at a data set has found; nothing was created."""

    valid: bool
    errors: tuple[ProblemItem, ...] = ()
    warnings: tuple[ProblemItem, ...] = ()
    statistics: DatasetStatistics | None = None
    """`None` where the source cannot be read."""
    fingerprint: str | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)
    """The registration with every default written out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset(_Object):
    """A registered data set. Its id can stand in the place of a job's `dataset`."""

    id: str
    name: str | None = None
    project: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    """What was registered, with every default written out."""
    fingerprint: str | None = None
    statistics: DatasetStatistics | None = None
    warnings: tuple[ProblemItem, ...] = ()
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(_Object):
    """One row of a registered data set."""

    row: int
    """Its number in the source, from 0."""
    id: str
    part: str | None = None
    """`None` for a row that a job would drop."""
    labels: tuple[str, ...] = ()
    quantity: float | None = None
    """The target of a regression."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Modality -> what the row has of it, by its `type`; `missing` and `error` say what it lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInference(_Object):
    """A guess at a data set's spec, for a person to look over."""

    dataset: Mapping[str, Any]
    """A job spec's `dataset`, as far as there is one."""
    holdout: Mapping[str, Any] = field(default_factory=dict)
    """A job spec's `holdout`; empty where the default will do."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """JSON pointer into a job spec -> why that is there."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Column -> why it is not used."""
    missing: tuple[str, ...] = ()
    """What must be added before it is a spec."""
    rows: int | None = None
