"""What a service without work costs: CPU time of each of its processes, from /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.reliability.figures import Figure
from tests.e2e.whole.service import WholeService

SETTLE_SECONDS = 8.0
"""After the start: what is loaded ahead of the first request is no idling."""
LIMIT = 0.01


def measure(service: WholeService, where: str, seconds: float) -> list[Figure]:
    """The share of one core that every process of a running service takes while nothing happens."""
    time.sleep(SETTLE_SECONDS)
    pids = sorted(pid for process in service.running() for pid in family(process.pid))
    before = {pid: cpu_seconds(pid) for pid in pids}
    began = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    shares = [(_role(pid), (cpu_seconds(pid) - before[pid]) / took) for pid in pids]
    return [
        Figure(
            what=f"CPU of an idle {role}",
            where=where,
            measured=f"{share:.2%} over {took:.0f} s",
            target=f"≤ {LIMIT:.0%}",
            reached=share <= LIMIT,
        )
        for role, share in sorted(shares)
    ]


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    children = [
        int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()
    ]
    return [pid, *(found for child in children for found in family(child))]


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _role(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return "worker" if "celery" in words else "API" if "api" in words else "launcher" if "up" in words else words[0]
