"""What the service of registered data sets hands out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetView:
    """A registered data set."""

    id: str
    project: str
    name: str | None
    metadata: dict[str, str]
    spec: dict[str, Any]
    """The registration, resolved."""
    fingerprint: str
    statistics: dict[str, Any]
    warnings: tuple[dict[str, Any], ...]
    created_at: datetime
