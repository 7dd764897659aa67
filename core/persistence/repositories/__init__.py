"""The project's SQL. A repository is built from a session, takes domain arguments and returns rows."""

from core.persistence.repositories.artifacts import ArtifactRepository
from core.persistence.repositories.events import EventRepository
from core.persistence.repositories.history import HistoryRepository
from core.persistence.repositories.jobs import JobRepository
from core.persistence.repositories.units import UnitRepository

__all__ = ["ArtifactRepository", "EventRepository", "HistoryRepository", "JobRepository", "UnitRepository"]
