"""The tables."""

from core.persistence.orm.tables import ArtifactRow, Base, EventRow, JobRow, MetricRow, SuperEpochRow, UnitRow

__all__ = ["ArtifactRow", "Base", "EventRow", "JobRow", "MetricRow", "SuperEpochRow", "UnitRow"]
