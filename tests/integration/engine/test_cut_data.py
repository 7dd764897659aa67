"""A real training whose saved data set is cut while it has it mapped."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from core.artifacts import ArtifactStore
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.units import UnitService
from core.persistence import Database
from core.settings import EngineSettings
from core.spec import JobSpec
from tests.servers import wait_until
from tests.tiny import tiny_spec
from tests.unit.data.saved import listed, save_to_disk, value
from worker.devices import Slots
from worker.supervisor import Supervisor

ENGINE = EngineSettings(retry_backoff_seconds=0.0, desired_poll_seconds=0.05)
ROWS, WIDTH = 20_000, 512


def _saved(folder: Path) -> Path:
    """80 MB of vectors, in many batches; returns the file of rows."""
    numbers = pa.array(np.random.default_rng(0).normal(size=ROWS * WIDTH).astype(np.float32))
    offsets = pa.array(np.arange(0, ROWS * WIDTH + 1, WIDTH, dtype=np.int32))
    vectors = pa.ListArray.from_arrays(offsets, numbers)
    table = pa.table({"y": [row % 3 for row in range(ROWS)], "left": vectors, "right": vectors})
    floats = listed(value("float32"))
    save_to_disk(folder, table, {"y": value("int64"), "left": floats, "right": floats}, batch=200)
    return folder / "data-00000-of-00001.arrow"


def _spec() -> JobSpec:
    modalities = [
        {"type": "embedding", "name": name, "column": name, "encoder": {"type": "builtin", "features": 4}}
        for name in ("left", "right")
    ]
    dataset = {
        "source": {"type": "hf_disk", "uri": "data://set"},
        "target": {"column": "y"},
        "modalities": modalities,
    }
    return JobSpec.model_validate({**tiny_spec(epochs=1), "dataset": dataset})


def _cut(pids: Path, path: Path) -> bool:
    """Stops the process where it has the file mapped, cuts the file, and lets the process go on. False where this test
    was not given the time to: the process had read the file by then."""
    wait_until(lambda: pids.exists() and pids.read_text().strip() != "", "the training", seconds=60, every=0.01)
    pid = int(pids.read_text())
    maps = Path(f"/proc/{pid}/maps")
    mapped = False
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        while not mapped and (seen := maps.read_text()):  # of a process that has ended: nothing
            if str(path) in seen:
                os.kill(pid, signal.SIGSTOP)
                mapped = str(path) in maps.read_text()
                if mapped:
                    os.truncate(path, 4096)
                os.kill(pid, signal.SIGCONT)
    return mapped


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_file_that_is_cut_while_it_is_mapped_is_told_by_name(database: Database, tmp_path: Path) -> None:
    path, pids = _saved(tmp_path / "data" / "set"), tmp_path / "pids"
    jobs, units = JobService(database), UnitService(database, ENGINE)
    noting_pid = f'echo $$ > {pids}; exec {sys.executable} -m core.training "$@"'
    supervisor = Supervisor(
        units,
        ArtifactStore((tmp_path / "artifacts").as_uri()),
        runs=tmp_path / "runs",
        roots={"data": tmp_path / "data", "models": tmp_path / "data"},
        engine=ENGINE,
        slots=Slots(1, ()),
        send=lambda _: None,
        command=("/bin/sh", "-c", noting_pid, "sh"),
    )

    def run() -> threading.Thread:
        (unit_id,) = units.take_due()
        thread = threading.Thread(target=supervisor.run, args=(unit_id,))
        thread.start()
        return thread

    for _ in range(5):
        pids.unlink(missing_ok=True)
        job, _ = jobs.submit(_spec())
        attempt = run()
        is_cut = _cut(pids, path)
        attempt.join(120)
        if is_cut:
            break
    cut = jobs.get(job.id)
    assert (cut.status, cut.status_reason) == (JobStatus.QUEUED, "data_cut")
    run().join(120)
    failed = jobs.get(job.id)
    assert (failed.status, failed.status_reason, failed.attempt) == (JobStatus.FAILED, "source.malformed", 2)
