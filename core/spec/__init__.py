"""The job spec: what a client sends, what a worker trains."""

from core.spec.base import FUSED
from core.spec.data import (
    ArraysSource,
    AudioModality,
    ColumnSplit,
    DatasetSpec,
    DrawSplit,
    EmbeddingModality,
    Holdout,
    ImageModality,
    ManifestSource,
    Modality,
    TabularModality,
    TimeseriesModality,
)
from core.spec.job import JobSpec, canonical_json
from core.spec.recipe import (
    EqualBlending,
    FixedBlending,
    NaiveBlending,
    OfflineBlending,
    OnlineBlending,
    UnimodalBlending,
)

__all__ = [
    "FUSED",
    "ArraysSource",
    "AudioModality",
    "ColumnSplit",
    "DatasetSpec",
    "DrawSplit",
    "EmbeddingModality",
    "EqualBlending",
    "FixedBlending",
    "Holdout",
    "ImageModality",
    "JobSpec",
    "ManifestSource",
    "Modality",
    "NaiveBlending",
    "OfflineBlending",
    "OnlineBlending",
    "TabularModality",
    "TimeseriesModality",
    "UnimodalBlending",
    "canonical_json",
]
