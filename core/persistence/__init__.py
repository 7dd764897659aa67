"""Rows: the engine, the tables, and the only SQL of the project. Knows nothing of leases, HTTP or training."""

from core.persistence.engine import Database

__all__ = ["Database"]
