"""Followers of live jobs: what they get, in which order, how late, and across how many lost connections.

The jobs train with every slot of the machine taken, as they would; so what is measured is the service at work, not at
rest. An event's delay runs from the moment that its row bears to the moment at which a client has read it, over one
clock, and is taken of events that came while that connection was open.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

import httpx

from benchmarks.reliability.deployments import long_job
from benchmarks.reliability.figures import Figure, at_most, none_of
from tests.e2e.api.sse import frames
from tests.e2e.whole.service import WholeService

DROPPING = 4
"""Followers per job that hang up; one more stays connected."""
MOST_FRAMES = 4
"""A connection is dropped after one to so many frames: in the middle of a batch as well as between two events."""
RETRY_SECONDS = 0.2
RECONNECTS = 100
LIMITS = {"SQLite, files": 0.25, "PostgreSQL, Redis": 0.1}
"""Seconds, of the 95th percentile."""


class Follower:
    """Reads a job's stream to its end, in a thread of its own; with `seed`, over ever new connections."""

    def __init__(self, base_url: str, job_id: str, *, seed: int | None) -> None:
        self.job_id = job_id
        self.seqs: list[int] = []
        self.delays: list[float] = []
        self.connections = 0
        self._base_url = base_url
        self._random = None if seed is None else random.Random(seed)
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"follow {job_id}", daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the job's `done`; `TimeoutError` where it does not come."""
        self._thread.join(seconds)
        if not self._ended:
            raise TimeoutError(f"the stream of {self.job_id} did not end")

    def _run(self) -> None:
        with httpx.Client(base_url=self._base_url, timeout=60) as client:
            while not self._ended:
                try:
                    self._connect(client)
                except httpx.TransportError:  # as any client does: come back, from where it was
                    time.sleep(RETRY_SECONDS)

    def _connect(self, client: httpx.Client) -> None:
        headers = {"Last-Event-ID": str(self.seqs[-1])} if self.seqs else {}
        left = None if self._random is None else self._random.randint(1, MOST_FRAMES)
        with client.stream("GET", f"/v1/jobs/{self.job_id}/events/stream", headers=headers) as response:
            response.raise_for_status()
            self.connections += 1
            opened = time.time()
            for frame in frames(response):
                if frame.event == "done":
                    self._ended = True
                    return
                if frame.id is not None:
                    read = time.time()
                    self.seqs.append(int(frame.id))
                    recorded = datetime.fromisoformat(frame.json["created_at"]).timestamp()
                    if recorded > opened:
                        self.delays.append(read - recorded)
                if left is not None:
                    left -= 1
                    if left == 0:
                        return


def faults(seqs: Sequence[int], last_seq: int) -> dict[str, int]:
    """Events lost, got twice and got out of order, held against a log of `last_seq` events."""
    return {
        "lost": last_seq - len(set(seqs)),
        "doubled": len(seqs) - len(set(seqs)),
        "out of order": sum(later < earlier for earlier, later in pairwise(seqs)),
    }


def measure(service: WholeService, where: str, seconds: float) -> list[Figure]:
    """As many jobs as slots, followed for `seconds`; then cancelled, which ends the streams."""
    jobs = [service.submit(long_job(seed)) for seed in range(os.cpu_count() or 1)]
    base_url = str(service.client.base_url)
    followers = [
        Follower(base_url, job_id, seed=None if number == 0 else 1000 * place + number)
        for place, job_id in enumerate(jobs)
        for number in range(1 + DROPPING)
    ]
    for job_id in jobs:
        service.wait_for_events(job_id, "epoch.completed", 1)
    time.sleep(seconds)
    for job_id in jobs:
        service.client.post(f"/v1/jobs/{job_id}/cancel").raise_for_status()
    last_seq = {
        job["id"]: len(service.every(f"/v1/jobs/{job['id']}/events")) for job in service.wait_until_ended(*jobs)
    }
    for follower in followers:
        follower.join(60)
    found = [faults(follower.seqs, last_seq[follower.job_id]) for follower in followers]
    received = f"{sum(len(follower.seqs) for follower in followers)} events"
    reconnects = sum(follower.connections - 1 for follower in followers)
    return [
        Figure(
            what="reconnects of followers",
            where=where,
            measured=str(reconnects),
            target=f"≥ {RECONNECTS}",
            reached=reconnects >= RECONNECTS,
        ),
        *(none_of(f"events {fault}", where, sum(one[fault] for one in found), received) for fault in found[0]),
        at_most(
            "record of an event to its delivery",
            where,
            [delay for follower in followers for delay in follower.delays],
            LIMITS[where],
            share=0.95,
        ),
    ]
