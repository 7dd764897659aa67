"""Workers as the registry knows them: pure data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class WorkerState(StrEnum):
    """What is known of a worker process."""

    ALIVE = "alive"
    LOST = "lost"
    """Not heard of for a lease: killed, cut off, or its machine sleeps."""
    STOPPED = "stopped"
    """It ended in good order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """What a worker process says of itself. `gpus` are named as in `CUDA_VISIBLE_DEVICES`."""

    host: str
    pid: int
    version: str
    queues: tuple[str, ...]
    slots: int
    gpus: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker as one project may see it."""

    id: str
    facts: WorkerFacts
    state: WorkerState
    busy: int
    """Units that it holds, of whatever project."""
    jobs: tuple[str, ...]
    """Ids of the project's own jobs among them."""
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None
