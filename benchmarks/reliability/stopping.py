"""Cancels and pauses at random moments of a job's life, of training processes that obey and of some that cannot.

A process that was sent SIGSTOP neither hears SIGTERM nor watches its parent: only what the worker does by force ends
it. Five seconds after a job has stopped there must be no process that trains it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from benchmarks.reliability.deployments import long_job
from benchmarks.reliability.figures import Figure, at_most, none_of
from tests.e2e.whole.service import WholeService
from tests.servers import wait_until

ORPHAN_SECONDS = 5.0
MOMENTS_SECONDS = 8.0
"""A stop is asked for up to so long after the claim: while torch is loaded, data are read, an estimate trains."""
_RESULT = {"cancel": "cancelled", "pause": "paused"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """How one job stopped, in seconds from the request."""

    action: str
    acknowledged: float
    stopped: float
    orphans: int


def measure(service: WholeService, where: str, *, cancels: int, pauses: int, frozen: int) -> list[Figure]:
    """So many jobs of each kind, twice as many at once as there are slots: the others wait out their five seconds."""
    tasks: list[Callable[[int], Stop]] = [partial(_stop, service, "cancel")] * cancels
    tasks += [partial(_stop, service, "pause")] * pauses
    random.Random(0).shuffle(tasks)
    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        obeyed = list(pool.map(lambda task: task[1](task[0]), enumerate(tasks)))
        forced = list(pool.map(partial(_stop, service, "cancel", freeze=True), range(frozen)))
    stops = obeyed + forced
    by_action = {action: [stop for stop in obeyed if stop.action == action] for action in _RESULT}
    return [
        at_most("cancel or pause, until answered", where, [stop.acknowledged for stop in stops], 1.0),
        *(
            at_most(f"{action}, until `{_RESULT[action]}`", where, [stop.stopped for stop in found], 15.0, share=0.99)
            for action, found in by_action.items()
        ),
        at_most("cancel of a process that hears nothing", where, [stop.stopped for stop in forced], 60.0),
        none_of(
            f"processes {ORPHAN_SECONDS:g} s after their job's end",
            where,
            sum(stop.orphans for stop in stops),
            f"{len(stops)} jobs",
        ),
    ]


def _stop(service: WholeService, action: str, number: int, *, freeze: bool = False) -> Stop:
    job_id = service.submit(long_job(number))
    path = f"/v1/jobs/{job_id}"
    wait_until(lambda: service.get(path)["status"] != "queued", "a worker", seconds=120, every=0.25)
    if freeze:
        service.wait_for_events(job_id, "epoch.completed", 1)
        for pid in service.training_pids(job_id):
            os.kill(pid, signal.SIGSTOP)
    else:
        time.sleep(random.Random(number).uniform(0, MOMENTS_SECONDS))
    asked, began = time.time(), time.perf_counter()
    service.client.post(f"{path}/{action}").raise_for_status()
    acknowledged = time.perf_counter() - began
    wait_until(lambda: service.get(path)["status"] == _RESULT[action], f"{job_id} to stop", seconds=120, every=0.25)
    at: str = service.get(path)["transitions"][-1]["at"]
    time.sleep(ORPHAN_SECONDS)
    orphans = len(service.training_pids(job_id))
    if action == "pause":
        service.client.post(f"{path}/cancel").raise_for_status()
    return Stop(
        action=action,
        acknowledged=acknowledged,
        stopped=datetime.fromisoformat(at).timestamp() - asked,
        orphans=orphans,
    )
