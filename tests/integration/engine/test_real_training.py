"""The real training process under a supervisor: killed in the middle, it ends with the bits of an undisturbed run."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.artifacts import ArtifactStore
from core.jobs.lifecycle import Lifecycle
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.submission import WakeUps
from core.jobs.units import UnitService
from core.persistence import Database
from core.settings import EngineSettings
from core.spec import JobSpec
from tests.integration.engine.checker import history
from tests.servers import wait_until
from worker.devices import Slots
from worker.supervisor import Supervisor

ENGINE = EngineSettings(retry_backoff_seconds=0.0, desired_poll_seconds=0.05)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two noisy views of three classes."""
    chance = np.random.default_rng(0)
    y = np.arange(120) % 3
    views = {
        name: (np.eye(3)[y] @ chance.normal(size=(3, 6)) + chance.normal(size=(120, 6))).astype(np.float32)
        for name in ("left", "right")
    }
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "views.npz", y=y, left=views["left"], right=views["right"])
    return tmp_path / "data"


def _spec() -> JobSpec:
    small = {"type": "builtin", "features": 4}
    return JobSpec.model_validate(
        {
            "dataset": {
                "source": {"type": "arrays", "uri": "data://views.npz"},
                "target": {"column": "y"},
                "modalities": [
                    {"type": "embedding", "name": name, "column": name, "encoder": small} for name in ("left", "right")
                ],
            },
            "blending": {"strategy": "online", "super_epochs": {"first": 1, "later": 3}},
            "training": {"epochs": 10, "batch_size": 64, "fine_tune": {"epochs": 1}},
        }
    )


def engine(database: Database, data: Path, tmp_path: Path) -> tuple[JobService, Callable[[], None], Callable[[], None]]:
    """Jobs; what runs the next attempt that is due, to its end; and what kills the newest training process."""
    jobs, units, pids = JobService(database), UnitService(database, ENGINE), tmp_path / "pids"
    noting_pid = f'echo $$ >> {pids}; exec {sys.executable} -m core.training "$@"'
    supervisor = Supervisor(
        units,
        ArtifactStore((tmp_path / "artifacts").as_uri()),
        runs=tmp_path / "runs",
        roots={"data": data, "models": data},
        engine=ENGINE,
        slots=Slots(2, ()),
        send=lambda _: None,
        command=("/bin/sh", "-c", noting_pid, "sh"),
    )

    def run_one() -> None:
        (unit_id,) = units.take_due()
        supervisor.run(unit_id)

    def kill() -> None:
        os.kill(int(pids.read_text().split()[-1]), signal.SIGKILL)

    return jobs, run_one, kill


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_killed_training_ends_with_the_same_bits(database: Database, data: Path, tmp_path: Path) -> None:
    jobs, run_one, kill = engine(database, data, tmp_path)
    undisturbed, _ = jobs.submit(_spec())
    run_one()
    killed, _ = jobs.submit(_spec())
    thread = threading.Thread(target=run_one)
    thread.start()
    wait_until(lambda: len(jobs.super_epochs(killed.id).data) == 2, "two super-epochs", seconds=120, every=0.01)
    kill()
    thread.join(60)
    assert jobs.get(killed.id).status_reason == "child_crashed"
    run_one()
    ends = [jobs.get(job.id) for job in (undisturbed, killed)]
    assert [(job.status, job.attempt) for job in ends] == [(JobStatus.SUCCEEDED, 1), (JobStatus.SUCCEEDED, 2)]
    assert history(database, killed.id) == history(database, undisturbed.id)
    assert len(jobs.super_epochs(killed.id).data) == 4
    files = [{a.name: a.sha256 for a in jobs.artifacts(job.id)} for job in ends]
    assert files[0] == files[1]
    assert "model.safetensors" in files[0]
    assert not (tmp_path / "runs" / killed.id).exists()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_job_whose_data_change_under_it_mixes_no_histories(database: Database, data: Path, tmp_path: Path) -> None:
    jobs, run_one, kill = engine(database, data, tmp_path)
    job, _ = jobs.submit(_spec())
    thread = threading.Thread(target=run_one)
    thread.start()
    wait_until(lambda: len(jobs.super_epochs(job.id).data) == 2, "two super-epochs", seconds=120, every=0.01)
    kill()
    thread.join(60)
    arrays = dict(np.load(data / "views.npz"))
    arrays["left"][0] += 1.0
    np.savez(data / "views.npz", **arrays)
    run_one()
    ended = jobs.get(job.id)
    assert (ended.status, ended.attempt, ended.status_reason) == (JobStatus.FAILED, 2, "data.changed")
    assert ended.error is not None
    assert [(issue["code"], issue["pointer"]) for issue in ended.error["errors"]] == [("data.changed", "#/dataset")]
    retried, _ = Lifecycle(database, jobs, WakeUps(database, None)).retry(job.id)
    run_one()
    assert jobs.get(retried.id).status == JobStatus.SUCCEEDED
    assert jobs.get(retried.id).dataset_fingerprint != ended.dataset_fingerprint
