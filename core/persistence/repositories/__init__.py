"""The project's SQL. A repository is built from a session, takes domain arguments and returns rows."""

from core.persistence.repositories.artifacts import ArtifactRepository
from core.persistence.repositories.checkpoints import CheckpointRepository
from core.persistence.repositories.counters import CounterRepository
from core.persistence.repositories.datasets import DatasetRepository
from core.persistence.repositories.events import EventRepository
from core.persistence.repositories.experiments import ExperimentRepository
from core.persistence.repositories.history import HistoryRepository
from core.persistence.repositories.jobs import JobRepository
from core.persistence.repositories.logs import LogRepository
from core.persistence.repositories.units import UnitRepository
from core.persistence.repositories.workers import WorkerRepository

__all__ = [
    "ArtifactRepository",
    "CheckpointRepository",
    "CounterRepository",
    "DatasetRepository",
    "EventRepository",
    "ExperimentRepository",
    "HistoryRepository",
    "JobRepository",
    "LogRepository",
    "UnitRepository",
    "WorkerRepository",
]
