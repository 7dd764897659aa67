"""The dataset object, and the answer to `POST /v1/datasets/validate`."""

from __future__ import annotations

from typing import Literal

from api.schemas.base import JsonObject, Timestamp, WireModel
from api.schemas.problem import ProblemError
from core.errors import Issue
from core.jobs.dataset_views import DatasetView
from core.spec.base import ColumnName, SpecModel, Uri


class SpreadOut(WireModel):
    """Five numbers of a sample."""

    count: int
    min: float
    median: float
    mean: float
    max: float


class PartStatisticsOut(WireModel):
    """One part of the data set."""

    name: Literal["train", "holdout", "validation", "test"]
    """`train` is T and `holdout` is V, which is drawn from the training rows."""
    rows: int
    groups: int | None
    """Of the split's, or else V's, `group_by`; `null` where there is none."""
    quantity: SpreadOut | None
    """The target of a regression."""


class ClassStatisticsOut(WireModel):
    """One class (or label), and the rows that have it."""

    name: str
    rows: dict[str, int]
    """Part -> rows."""


class TargetStatisticsOut(WireModel):
    """The target."""

    type: str
    missing: int
    """Rows without one; they belong to no part."""
    class_count: int
    classes: list[ClassStatisticsOut]
    """At most a thousand of them."""
    imbalance: float | None
    """Rows of the largest class of T over those of the smallest that it has."""


class ColumnStatisticsOut(WireModel):
    """One column of a table."""

    name: str
    type: str
    missing: int
    spread: SpreadOut | None
    """Of a number."""
    distinct: int | None
    """Of a category: how many values."""
    common: dict[str, int]
    """Of a category: the five most frequent values -> rows."""


class DuplicateStatisticsOut(WireModel):
    """The same contents in two parts."""

    earlier: str
    later: str
    rows: int
    """Rows of the later part whose contents the earlier one has too."""


class ModalityStatisticsOut(WireModel):
    """One modality."""

    name: str
    type: str
    missing: int | None
    """Rows without it; `null` where that is not known before its contents are read."""
    files: int | None
    """Files whose headers were read; `null` where its samples are no files."""
    measures: dict[str, SpreadOut]
    """Files: `bytes`, `width` and `height` (pixels), `seconds`. Texts: `characters`, `words`."""
    counts: dict[str, dict[str, int]]
    """Files: `format`, `mode`, `sample_rate` (hertz), `channels`: value -> files."""
    shape: list[int | None] | None
    """Of a vector or series, where the source declares it."""
    columns: list[ColumnStatisticsOut]
    """Of a table."""
    duplicates: list[DuplicateStatisticsOut] | None
    """Of files and texts; `null` where contents are not compared."""


class DatasetStatisticsOut(WireModel):
    """What a data set holds, as far as its headers, its scalar columns and the headers of its files show."""

    rows: int
    """Of the source."""
    left_out: int
    """Rows that belong to no part of a split by column."""
    unusable: int
    """Rows with a problem."""
    parts: list[PartStatisticsOut]
    """None where the split cannot be made."""
    holdout_groups: list[str]
    """The groups that V consists of."""
    target: TargetStatisticsOut | None
    modalities: list[ModalityStatisticsOut]
    """In the order of the spec; those whose columns are all there."""
    complete: bool
    """Whether every file was looked at; of very many, and where time runs out, it is a sample."""


class DatasetOut(WireModel):
    """A registered data set. It never changes."""

    id: str
    """Prefixed and sortable by creation. A job spec can have it in the place of its `dataset`."""
    object: Literal["dataset"] = "dataset"
    name: str | None
    project: str
    metadata: dict[str, str]
    spec: JsonObject
    """What was registered (`dataset`, `holdout`, `seed`, ...), with every default written out."""
    fingerprint: str
    """Of the spec, the source's bytes and the split, when it was registered. A job's `dataset_fingerprint` covers the
    bytes of its files too."""
    statistics: DatasetStatisticsOut
    """As they were when it was registered."""
    warnings: list[ProblemError]
    created_at: Timestamp

    @classmethod
    def of(cls, view: DatasetView) -> DatasetOut:
        """The wire form of a data set."""
        return cls(
            id=view.id,
            name=view.name,
            project=view.project,
            metadata=view.metadata,
            spec=view.spec,
            fingerprint=view.fingerprint,
            statistics=DatasetStatisticsOut.model_validate(view.statistics),
            warnings=[ProblemError.of(Issue.from_json(issue)) for issue in view.warnings],
            created_at=view.created_at,
        )


class DatasetValidationOut(WireModel):
    """What was found; nothing was created."""

    object: Literal["dataset.validation"] = "dataset.validation"
    valid: bool
    """Whether it would be registered."""
    errors: list[ProblemError]
    warnings: list[ProblemError]
    statistics: DatasetStatisticsOut | None
    """`null` where the source cannot be read."""
    fingerprint: str | None
    """`null` where anything is wrong."""
    spec: JsonObject
    """The registration with every default written out."""


class DatasetInferenceIn(SpecModel):
    """Which data are to be looked at."""

    uri: Uri
    """A table, an npz or safetensors file, a folder, or shards: `data://clips/manifest.csv`."""
    target: ColumnName | None = None
    """The column that is to be predicted; left out: the likeliest one."""


class DatasetInferenceOut(WireModel):
    """A guess at a data set's spec, for a person to look over; nothing was created."""

    object: Literal["dataset.inference"] = "dataset.inference"
    rows: int
    dataset: JsonObject
    """A job spec's `dataset`, as far as there is one."""
    holdout: JsonObject
    """A job spec's `holdout`; empty where the default will do."""
    notes: dict[str, str]
    """JSON pointer into a job spec -> why that is there."""
    left_out: dict[str, str]
    """Column -> why it is not used."""
    missing: list[str]
    """What must be added before it is a spec; empty where nothing is missing."""
