"""Wire models: what goes over HTTP, apart from the views that `core.jobs` hands out."""

from api.schemas.artifact import ArtifactOut
from api.schemas.base import ListOut, WireModel
from api.schemas.checkpoint import CheckpointOut
from api.schemas.comparison import ComparisonOut
from api.schemas.dataset import (
    DatasetInferenceIn,
    DatasetInferenceOut,
    DatasetOut,
    DatasetStatisticsOut,
    DatasetValidationOut,
)
from api.schemas.event import EventOut
from api.schemas.experiment import ExperimentDetailOut, ExperimentOut, ExperimentValidationOut
from api.schemas.history import MetricOut, SuperEpochOut
from api.schemas.job import JobOut
from api.schemas.log import LogChunkOut
from api.schemas.problem import Problem, ProblemError
from api.schemas.retry import RetryIn
from api.schemas.sample import SampleListOut, SampleOut
from api.schemas.service import HealthOut, IndexOut, ReadyOut
from api.schemas.validation import ValidationOut
from api.schemas.worker import WorkerOut

__all__ = [
    "ArtifactOut",
    "CheckpointOut",
    "ComparisonOut",
    "DatasetInferenceIn",
    "DatasetInferenceOut",
    "DatasetOut",
    "DatasetStatisticsOut",
    "DatasetValidationOut",
    "EventOut",
    "ExperimentDetailOut",
    "ExperimentOut",
    "ExperimentValidationOut",
    "HealthOut",
    "IndexOut",
    "JobOut",
    "ListOut",
    "LogChunkOut",
    "MetricOut",
    "Problem",
    "ProblemError",
    "ReadyOut",
    "RetryIn",
    "SampleListOut",
    "SampleOut",
    "SuperEpochOut",
    "ValidationOut",
    "WireModel",
    "WorkerOut",
]
