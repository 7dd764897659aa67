"""How many trainings run at once here, and which GPU each of them sees. No torch: `nvidia-smi` knows too."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


def visible_gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The GPUs this process may use, as `CUDA_VISIBLE_DEVICES` would name them; empty where there is none."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(part.strip() for part in named.split(",") if part.strip() not in ("", "-1"))
    if shutil.which("nvidia-smi") is None:
        return ()
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()  # a driver without a GPU: the trainings run on the CPU
    return tuple(str(index) for index in range(sum(line.startswith("GPU ") for line in listed.splitlines())))


class Slots:
    """One slot per training that may run at once. Slots share GPUs in turn where there are more slots than GPUs."""

    def __init__(self, wanted: int, gpus: tuple[str, ...]) -> None:
        """`wanted` 0: one slot per GPU, or one per CPU core where there is no GPU."""
        self.count = wanted or len(gpus) or _cores()
        self._free: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        for slot in range(self.count):
            self._free.put(gpus[slot % len(gpus)] if gpus else None)

    @contextmanager
    def take(self) -> Iterator[str | None]:
        """A free slot's GPU, or `None` where there are no GPUs; waits for one to become free."""
        gpu = self._free.get()
        try:
            yield gpu
        finally:
            self._free.put(gpu)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
