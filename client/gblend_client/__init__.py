"""Client of a gblend service: `Gblend` (sync), `AsyncGblend` (async) and the `gblend` command.

from gblend_client import Gblend

with Gblend("http://127.0.0.1:8000") as gblend:
    job = gblend.jobs.submit("examples/avdigits.yaml")
    for event in gblend.jobs.watch(job.id):
        print(event.seq, event.message)
    print(gblend.jobs.get(job.id).result)
"""

from gblend_client._version import __version__
from gblend_client.aio import AsyncGblend
from gblend_client.client import Gblend
from gblend_client.errors import (
    APIError,
    Conflict,
    ConnectionFailed,
    GblendError,
    IntegrityError,
    InvalidInput,
    NotFound,
    ProblemItem,
    ProtocolError,
    RateLimited,
    ServerError,
    Unauthorized,
    Validation,
    WaitTimeout,
)
from gblend_client.experiment_types import (
    Comparison,
    Difference,
    Experiment,
    ExperimentJob,
    ExperimentValidation,
    SeedScore,
    Spread,
    StrategySummary,
)
from gblend_client.types import (
    Artifact,
    Checkpoint,
    Contribution,
    Event,
    Forgotten,
    HeadEstimate,
    Job,
    JobError,
    JobResult,
    LogChunk,
    Measurement,
    Metric,
    Page,
    Progress,
    ProgressTotals,
    SuperEpoch,
    Transition,
    ValidationReport,
    Worker,
)

__all__ = [
    "APIError",
    "Artifact",
    "AsyncGblend",
    "Checkpoint",
    "Comparison",
    "Conflict",
    "ConnectionFailed",
    "Contribution",
    "Difference",
    "Event",
    "Experiment",
    "ExperimentJob",
    "ExperimentValidation",
    "Forgotten",
    "Gblend",
    "GblendError",
    "HeadEstimate",
    "IntegrityError",
    "InvalidInput",
    "Job",
    "JobError",
    "JobResult",
    "LogChunk",
    "Measurement",
    "Metric",
    "NotFound",
    "Page",
    "ProblemItem",
    "Progress",
    "ProgressTotals",
    "ProtocolError",
    "RateLimited",
    "SeedScore",
    "ServerError",
    "Spread",
    "StrategySummary",
    "SuperEpoch",
    "Transition",
    "Unauthorized",
    "Validation",
    "ValidationReport",
    "WaitTimeout",
    "Worker",
    "__version__",
]
