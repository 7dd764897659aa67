"""Real trainings whose data lie on an S3 (moto's server) that goes away while they are prepared."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.artifacts import ArtifactStore
from core.data.remote import RemoteBlob, Shelf
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.units import UnitService
from core.persistence import Database
from core.settings import DataSettings, EngineSettings, RootSettings, Settings
from core.spec import JobSpec
from tests.s3_server import S3_KEY, S3_SECRET, S3Server
from tests.servers import wait_until
from tests.tiny import tiny_spec
from tests.unit.data.builders import clip_spec, clips, write_csv
from worker.devices import Slots
from worker.supervisor import Supervisor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PREFIX = "s3://gblend/sets"
ENGINE = EngineSettings(retry_backoff_seconds=0.0, desired_poll_seconds=0.05, max_attempts=2)


class Deployment:
    """A worker of this machine, its jobs, and their data in the bucket."""

    def __init__(self, database: Database, server: S3Server, folder: Path, *, patience: float) -> None:
        self.jobs = JobService(database, max_attempts=ENGINE.max_attempts)
        self.units = UnitService(database, ENGINE)
        self.folder = folder
        settings = Settings(state_dir=folder, roots=RootSettings(remote=(PREFIX,)))
        self.roots = settings.data_roots
        self._supervisor = Supervisor(
            self.units,
            ArtifactStore((folder / "artifacts").as_uri()),
            runs=folder / "runs",
            roots=self.roots,
            engine=ENGINE,
            slots=Slots(1, ()),
            send=lambda _: None,
            data=DataSettings(store_seconds=patience),
        )
        made = folder / "made"
        write_csv(made / "manifest.csv", clips(made))
        for path in made.iterdir():
            server.client().put_object(Bucket=server.BUCKET, Key=f"sets/{path.name}", Body=path.read_bytes())

    def submit(self) -> str:
        """A job of two epochs."""
        source = {"type": "manifest", "uri": f"{PREFIX}/manifest.csv"}
        job, _ = self.jobs.submit(JobSpec.model_validate({**tiny_spec(epochs=2), "dataset": clip_spec(source=source)}))
        return job.id

    def run(self) -> threading.Thread:
        """One attempt, in a thread."""
        (unit_id,) = self.units.take_due()
        thread = threading.Thread(target=self._supervisor.run, args=(unit_id,))
        thread.start()
        return thread

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Nobody gets this file into the mirror meanwhile."""
        blob = Shelf(self.roots).at(self.roots[PREFIX]).blob(self.roots[PREFIX] / name)
        assert isinstance(blob, RemoteBlob)
        locks = self.folder / "mirror" / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(locks / blob.mirror.place(blob.url, blob.stat).parent.name[:2], os.O_CREAT | os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(descriptor)

    def until_it_waits(self) -> None:
        """Until the training has fetched all that it could get."""
        wait_until(lambda: len(list(self.folder.glob("mirror/objects/*/*/*.wav"))) > 10, "sounds", seconds=60)

    def printed(self, job_id: str) -> str:
        """What the trainings of a job wrote."""
        return "".join(path.read_text() for path in self.folder.glob(f"runs/{job_id}/*/child.log"))


@pytest.fixture
def server(s3_server: S3Server) -> Iterator[S3Server]:
    """It runs again afterwards."""
    yield s3_server
    s3_server.stop()
    s3_server.start()


def test_a_store_that_goes_away_ends_the_attempt_and_the_next_one_succeeds(
    database: Database, server: S3Server, tmp_path: Path
) -> None:
    deployment = Deployment(database, server, tmp_path, patience=4.0)
    job_id = deployment.submit()
    with deployment.held("23.wav"):
        attempt = deployment.run()
        deployment.until_it_waits()
        server.stop()
    attempt.join(120)
    job = deployment.jobs.get(job_id)
    assert (job.status, job.status_reason, job.attempt) == (JobStatus.QUEUED, "source.unavailable", 1)
    assert "it is asked again in 0.5 s" in deployment.printed(job_id)
    server.start()
    deployment.run().join(120)
    job = deployment.jobs.get(job_id)
    assert (job.status, job.attempt, job.error) == (JobStatus.SUCCEEDED, 2, None)


def test_a_store_that_comes_back_in_time_costs_no_attempt(database: Database, server: S3Server, tmp_path: Path) -> None:
    deployment = Deployment(database, server, tmp_path, patience=100.0)
    job_id = deployment.submit()
    with deployment.held("23.wav"):
        attempt = deployment.run()
        deployment.until_it_waits()
        server.stop()
    wait_until(lambda: "it is asked again" in deployment.printed(job_id), "the training to ask again", seconds=60)
    server.start()
    attempt.join(150)
    job = deployment.jobs.get(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_a_store_that_stays_away_fails_the_job_when_no_attempt_is_left(
    database: Database, server: S3Server, tmp_path: Path
) -> None:
    deployment = Deployment(database, server, tmp_path, patience=0.0)
    job_id = deployment.submit()
    server.stop()
    for _ in range(ENGINE.max_attempts):
        deployment.run().join(120)
    job = deployment.jobs.get(job_id)
    assert (job.status, job.status_reason, job.attempt) == (JobStatus.FAILED, "source.unavailable", 2)
    assert job.error is not None
    assert job.error["code"] == "source.unavailable"
    assert [each["pointer"] for each in job.error["errors"]] == ["#/dataset/source/uri"]
    assert job.error["log"] != []
    told = f"{job.error}{deployment.printed(job_id)}"
    assert S3_SECRET not in told
    assert S3_KEY not in told


def test_an_object_that_is_gone_fails_the_job_at_once(database: Database, server: S3Server, tmp_path: Path) -> None:
    deployment = Deployment(database, server, tmp_path, patience=100.0)
    server.client().delete_object(Bucket=server.BUCKET, Key="sets/5.wav")
    job_id = deployment.submit()
    deployment.run().join(120)
    job = deployment.jobs.get(job_id)
    assert (job.status, job.status_reason, job.attempt) == (JobStatus.FAILED, "file.missing", 1)
