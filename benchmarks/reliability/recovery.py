"""SIGKILL of workers, and of training processes: how long until the job's next event is recorded.

Every victim holds one job; a spare worker has room for all of them. They die some seconds after each other, so that the
deaths fall at different moments between two heartbeats, while the others wait for their leases to run out.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from benchmarks.reliability.deployments import long_job, start_api, wait_for_workers
from benchmarks.reliability.figures import Figure, at_most
from tests.e2e.whole.service import WholeService
from tests.servers import wait_until

LIMIT_SECONDS = 90.0
_APART_SECONDS = 7.0
_PATIENCE_SECONDS = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Seconds from a death: the job waits again, a worker took it, its training was heard of."""

    noticed: float
    claimed: float
    running: float


def measure(service: WholeService, where: str, kills: int) -> list[Figure]:
    """Kill `kills` workers, then the training processes that went on from them. Starts the service itself."""
    start_api(service)
    victims = [service.start("worker", environment={"GBLEND_ENGINE__SLOTS": "1"}) for _ in range(kills)]
    wait_for_workers(service, kills)
    jobs = [service.submit(long_job(seed)) for seed in range(kills)]
    for job_id in jobs:
        service.wait_for_events(job_id, "epoch.completed", 1)
    service.start("worker", environment={"GBLEND_ENGINE__SLOTS": str(kills)})
    wait_for_workers(service, kills + 1)
    with ThreadPoolExecutor(kills) as pool:
        found = list(pool.map(lambda task: _kill_both(service, victims, *task), enumerate(jobs)))
    workers, children = [one for one, _ in found], [other for _, other in found]
    return [
        *_figures("worker killed", where, workers),
        *_figures("training process killed", where, children),
    ]


def _figures(what: str, where: str, found: list[Recovery]) -> list[Figure]:
    steps = [
        ("noticed", [one.noticed for one in found]),
        ("claimed", [one.claimed - one.noticed for one in found]),
        ("next event", [one.running - one.claimed for one in found]),
    ]
    return [
        at_most(f"{what}, until its job's next event", where, [one.running for one in found], LIMIT_SECONDS),
        Figure(
            what=f"{what}: where the time goes",
            where=where,
            measured=", ".join(f"{name} +{median(seconds):.1f} s" for name, seconds in steps) + " (medians)",
            target="",
            reached=None,
        ),
    ]


def _kill_both(
    service: WholeService, victims: list[subprocess.Popen[bytes]], number: int, job_id: str
) -> tuple[Recovery, Recovery]:
    time.sleep(number * _APART_SECONDS)
    worker = _parent(service.training_pids(job_id)[0])
    if worker not in [victim.pid for victim in victims]:
        raise RuntimeError(f"{job_id} is not where it was put")
    lost = _recovery(service, job_id, worker)
    crashed = _recovery(service, job_id, service.training_pids(job_id)[0])
    service.client.post(f"/v1/jobs/{job_id}/cancel").raise_for_status()
    return lost, crashed


def _recovery(service: WholeService, job_id: str, pid: int) -> Recovery:
    died = time.time()
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)  # what was recorded before the death is visible, and a worker's child is gone with it
    path = f"/v1/jobs/{job_id}/events"
    seen = len(service.every(path))
    news: list[dict[str, Any]] = []

    def heard_of() -> bool:
        news[:] = service.get(path, after=seen, limit=500)["data"]
        return any(not event["type"].startswith("job.") for event in news)

    wait_until(heard_of, f"{job_id} to go on", seconds=_PATIENCE_SECONDS, every=0.5)
    after = service.get(path, after=max(0, seen - 1), limit=500)["data"]

    def first(kind: str, status: str | None = None) -> float:
        at: str = next(
            event["created_at"]
            for event in after
            if event["type"].startswith(kind) and (status is None or event["data"]["status"] == status)
        )
        return datetime.fromisoformat(at).timestamp() - died

    run = next(event["created_at"] for event in news if not event["type"].startswith("job."))
    return Recovery(
        noticed=first("job.status", "queued"),
        claimed=first("job.status", "starting"),
        running=datetime.fromisoformat(run).timestamp() - died,
    )


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])
