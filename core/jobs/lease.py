"""A lease: the right of one worker to write for one unit, until it loses it. Pure data and arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_BACKOFF_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What a claim hands to a worker. Every write carries `fence`; a write with an old one changes nothing."""

    unit_id: str
    job_id: str
    fence: int
    owner: str
    attempt: int
    """1-based: how often the unit was claimed."""
    recorded: int
    """The last journal number that earlier attempts recorded; 0 for a fresh job."""
    spec: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArtifact:
    """A file that was uploaded and verified; it counts once the finishing transaction names it."""

    name: str
    kind: str
    bytes: int
    sha256: str
    uri: str


def backoff_seconds(failures: int, base: float) -> float:
    """How long a unit rests after its `failures`-th failed attempt (1-based): `base`, doubled each time, capped."""
    if failures < 1:
        raise ValueError("failures counts from 1")
    return min(base * 2.0 ** min(failures - 1, 32), MAX_BACKOFF_SECONDS)
