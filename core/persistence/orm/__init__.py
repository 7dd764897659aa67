"""The tables."""

from core.persistence.orm.tables import (
    ArtifactRow,
    Base,
    CheckpointRow,
    CounterRow,
    DatasetRow,
    EventRow,
    ExperimentJobRow,
    ExperimentRow,
    JobRow,
    LogChunkRow,
    MetricRow,
    SuperEpochRow,
    UnitRow,
    WorkerRow,
)

__all__ = [
    "ArtifactRow",
    "Base",
    "CheckpointRow",
    "CounterRow",
    "DatasetRow",
    "EventRow",
    "ExperimentJobRow",
    "ExperimentRow",
    "JobRow",
    "LogChunkRow",
    "MetricRow",
    "SuperEpochRow",
    "UnitRow",
    "WorkerRow",
]
