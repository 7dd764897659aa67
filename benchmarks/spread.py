"""How much sooner two workers estimate an offline job's heads than one, as a ratio within one run.

    python -m benchmarks spread

Real workers of one slot, each pinned to a core of its own, on the demo's data with its M+1 = 3 heads; timed is the
estimate phase, from the first claim to the last head's losses in the store, the start of every training process
included. One worker and two, in pairs, in turn; what comes out is the same (`tests/e2e/whole/test_spread.py`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median

import yaml

from api.queue import UnitQueue
from core.jobs.broker import READY_FILE_VARIABLE
from core.jobs.service import JobService
from core.persistence import Database
from core.settings import Settings
from core.spec import JobSpec

PAIRS = 3
EPOCHS = 120
"""Of every head's estimate: enough that starting a process is the smaller part of it."""
EXAMPLES = Path(__file__).parents[1] / "examples"
_POLL_SECONDS = 0.2


def main() -> None:
    """Measures and prints a table."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        print("spread: needs Linux and two cores\n")
        return
    spec = _spec()
    pairs = [(_seconds(spec, cores[:1]), _seconds(spec, cores[:2])) for _ in range(PAIRS)]
    ratios = [one / two for one, two in pairs]
    alone, together = median(one for one, _ in pairs), median(two for _, two in pairs)
    print(f"| estimate of {len(spec.head_names)} heads, {EPOCHS} epochs | 1 worker | 2 workers | ratio | min | max |")
    print("|---|---|---|---|---|---|")
    print(
        f"| a core each, one slot | {alone:.1f} s | {together:.1f} s "
        f"| {median(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f} |\n"
    )


def _spec() -> JobSpec:
    raw = yaml.safe_load((EXAMPLES / "digits.yaml").read_text())
    raw["blending"] = {"strategy": "offline", "estimator": {"type": "exact"}}
    raw["training"]["epochs"] = EPOCHS
    raw |= {"runtime": {"device": "cpu"}, "scheduling": {"spread_estimates": True}}
    return JobSpec.model_validate(raw)


def _seconds(spec: JobSpec, cores: Sequence[int]) -> float:
    """Seconds of the estimate phase with a worker on each of these cores."""
    with tempfile.TemporaryDirectory(prefix="gblend-bench-") as folder, _deployment(Path(folder), cores) as jobs:
        job, _ = jobs.submit(spec)
        while len(done := jobs.events(job.id, types={"estimate.completed"}).data) < len(spec.head_names):
            found = jobs.get(job.id)
            if found.status.is_terminal:
                raise RuntimeError(f"the job ended as {found.status.value}: {found.error}")
            time.sleep(_POLL_SECONDS)
        first: datetime = next(change.at for change in jobs.get(job.id).transitions if change.status == "starting")
        return (max(event.created_at for event in done) - first).total_seconds()


@contextlib.contextmanager
def _deployment(folder: Path, cores: Sequence[int]) -> Iterator[JobService]:
    """A fresh database and broker in `folder`, and workers that listen; they are killed at the end."""
    settings = Settings(state_dir=folder, roots={"data": EXAMPLES})
    environment = {**os.environ, "GBLEND_STATE_DIR": str(folder), "GBLEND_ROOTS__DATA": str(EXAMPLES)}
    subprocess.run([sys.executable, "-m", "api.cli", "migrate"], env=environment, check=True, capture_output=True)
    workers: list[subprocess.Popen[bytes]] = []
    database, queue = Database(settings.database_url), UnitQueue(settings)
    try:
        ready = [folder / f"ready-{core}" for core in cores]
        for core, file in zip(cores, ready, strict=True):
            workers.append(_worker(folder, core, {**environment, READY_FILE_VARIABLE: str(file)}))
        while not all(file.exists() for file in ready):
            if any(worker.poll() is not None for worker in workers):
                raise RuntimeError((folder / "workers.log").read_text(errors="replace"))
            time.sleep(_POLL_SECONDS)
        yield JobService(database, announce=queue.send)
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGKILL)  # its training ends with it
            worker.wait()
        queue.close()
        database.close()


def _worker(folder: Path, core: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A worker of one slot on one core; it inherits that from this process, and its training processes from it."""
    command = [sys.executable, "-m", "api.cli", "worker", "--workers", "1"]
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        with (folder / "workers.log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    finally:
        os.sched_setaffinity(0, own)


if __name__ == "__main__":
    main()
