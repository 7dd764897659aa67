"""Wire models: what goes over HTTP, apart from the views that `core.jobs` hands out."""

from api.schemas.artifact import ArtifactOut
from api.schemas.base import ListOut, WireModel
from api.schemas.event import EventOut
from api.schemas.history import MetricOut, SuperEpochOut
from api.schemas.job import JobOut
from api.schemas.problem import Problem, ProblemError
from api.schemas.service import HealthOut, IndexOut, ReadyOut
from api.schemas.validation import ValidationOut

__all__ = [
    "ArtifactOut",
    "EventOut",
    "HealthOut",
    "IndexOut",
    "JobOut",
    "ListOut",
    "MetricOut",
    "Problem",
    "ProblemError",
    "ReadyOut",
    "SuperEpochOut",
    "ValidationOut",
    "WireModel",
]
