"""The events of a job and their JSON form."""

from core.events.codec import decode, encode
from core.events.types import (
    ArtifactWritten,
    Cost,
    EpochCompleted,
    EstimateEpoch,
    FineTuneEpoch,
    HeadEstimate,
    JobEvent,
    JournalEntry,
    Measurement,
    Phase,
    PhaseStarted,
    Progress,
    RunCompleted,
    RunFailed,
    RunStarted,
    SuperEpochWeights,
    Warned,
)

__all__ = [
    "ArtifactWritten",
    "Cost",
    "EpochCompleted",
    "EstimateEpoch",
    "FineTuneEpoch",
    "HeadEstimate",
    "JobEvent",
    "JournalEntry",
    "Measurement",
    "Phase",
    "PhaseStarted",
    "Progress",
    "RunCompleted",
    "RunFailed",
    "RunStarted",
    "SuperEpochWeights",
    "Warned",
    "decode",
    "encode",
]
