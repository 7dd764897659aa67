"""Workers as the fleet's registry shows them."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from api.schemas.base import Timestamp, WireModel
from core.jobs.worker_views import WorkerState, WorkerView


class WorkerOut(WireModel):
    """A worker process."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "wrk_01KDXYZ3C5Q7R9S1T2V4W6X8Y0",
                    "object": "worker",
                    "state": "alive",
                    "host": "gpu-box-1",
                    "pid": 4711,
                    "version": "0.1.0",
                    "queues": ["default", "gpu"],
                    "slots": 2,
                    "gpus": ["0", "1"],
                    "busy": 1,
                    "jobs": ["job_01KDXYZ3C5Q7R9S1T2V4W6X8Y0"],
                    "started_at": "2026-01-02T03:04:05.678901Z",
                    "heartbeat_at": "2026-01-02T03:14:05.678901Z",
                    "stopped_at": None,
                }
            ]
        },
    )

    id: str
    """Prefixed and sortable by start."""
    object: Literal["worker"] = "worker"
    state: WorkerState
    """`alive`; `lost`: not heard of for as long as a lease lasts; `stopped`: it ended in good order."""
    host: str
    pid: int
    version: str
    """Of the software that it runs."""
    queues: list[str]
    """The classes of jobs (`scheduling.queue`) that it takes."""
    slots: int
    """How many trainings it may run at once."""
    gpus: list[str]
    """As `CUDA_VISIBLE_DEVICES` names them; empty: it trains on the CPU."""
    busy: int
    """How many units it holds now, of any project."""
    jobs: list[str]
    """The jobs among them that are this project's."""
    started_at: Timestamp
    heartbeat_at: Timestamp
    """When it last said that it is alive, by the database's clock."""
    stopped_at: Timestamp | None

    @classmethod
    def of(cls, view: WorkerView) -> WorkerOut:
        """The wire form of a worker."""
        return cls(
            id=view.id,
            state=view.state,
            host=view.facts.host,
            pid=view.facts.pid,
            version=view.facts.version,
            queues=list(view.facts.queues),
            slots=view.facts.slots,
            gpus=list(view.facts.gpus),
            busy=view.busy,
            jobs=list(view.jobs),
            started_at=view.started_at,
            heartbeat_at=view.heartbeat_at,
            stopped_at=view.stopped_at,
        )
