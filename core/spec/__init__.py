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
    VideoModality,
)
from core.spec.job import JobSpec, canonical_json
from core.spec.recipe import (
    EnsembleBlending,
    EqualBlending,
    FixedBlending,
    MmParetoBlending,
    NaiveBlending,
    OfflineBlending,
    OgmGeBlending,
    OnlineBlending,
    UncertaintyBlending,
    UnimodalBlending,
)
from core.spec.scheduling import Scheduling

__all__ = [
    "FUSED",
    "ArraysSource",
    "AudioModality",
    "ColumnSplit",
    "DatasetSpec",
    "DrawSplit",
    "EmbeddingModality",
    "EnsembleBlending",
    "EqualBlending",
    "FixedBlending",
    "Holdout",
    "ImageModality",
    "JobSpec",
    "ManifestSource",
    "MmParetoBlending",
    "Modality",
    "NaiveBlending",
    "OfflineBlending",
    "OgmGeBlending",
    "OnlineBlending",
    "Scheduling",
    "TabularModality",
    "TimeseriesModality",
    "UncertaintyBlending",
    "UnimodalBlending",
    "VideoModality",
    "canonical_json",
]
