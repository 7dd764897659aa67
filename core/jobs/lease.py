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
    retry_of: tuple[str, ...] = ()
    """Jobs whose checkpoints this one may go on from, the nearest first: it is a retry of the first, that one of the
    second, and so on."""
    dataset_fingerprint: str | None = None
    """Of the data that the job's recorded events are of; None: nothing is recorded of its training yet."""
    devices: int = 1
    """Slots of the worker that it needs."""
    runtime_left_seconds: float | None = None
    """How long this attempt may take before the job is over its `max_runtime_seconds`; `None`: no limit."""
    part: str = ""
    """Which of the job's units it is of: empty for the run itself, `e<slot>` for the estimate of a head, `n<slot>` for
    a further machine."""
    head: str | None = None
    """The head that is to be estimated; `None`: the run itself."""
    estimates: tuple[StoredEstimate, ...] = ()
    """Of a run whose heads other workers have estimated: where the files lie, in the order of the heads."""

    node: Node | None = None
    """The worker among those that train the job together; `None`: it is the only one."""

    @property
    def is_helper(self) -> bool:
        """Whether it merely helps the one that has the run."""
        return self.node is not None and self.node.number > 0

    @property
    def folder(self) -> str:
        """The name of whatever is this lease's alone, unique within the job."""
        return folder_of(self.part, self.fence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One of the workers that train a job together."""

    count: int
    number: int
    """0: the one that has the run."""
    token: str
    """Of the run's lease: who comes with another one comes too late."""
    meeting: str | None
    """`address:port` where the others find the first; `None` for the first itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArtifact:
    """A file that was uploaded and verified; it counts once the finishing transaction names it."""

    name: str
    kind: str
    bytes: int
    sha256: str
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEstimate:
    """The file with one head's losses, uploaded and verified; it counts once the finishing transaction names it."""

    head: str
    uri: str
    bytes: int
    sha256: str


def folder_of(part: str, fence: int) -> str:
    """`3` for the run's third lease, `e0.3` for that of the first head's estimate: fences count per unit."""
    return f"{part}.{fence}" if part else str(fence)


def backoff_seconds(failures: int, base: float) -> float:
    """How long a unit rests after its `failures`-th failed attempt (1-based): `base`, doubled each time, capped."""
    if failures < 1:
        raise ValueError("failures counts from 1")
    return min(base * 2.0 ** min(failures - 1, 32), MAX_BACKOFF_SECONDS)
