"""Real Celery workers: over the filesystem transport with SQLite, and over Redis with PostgreSQL."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.jobs.state import JobStatus
from core.settings import EngineSettings
from tests.integration.engine.checker import history, problems
from tests.integration.engine.conftest import QUICK
from tests.integration.engine.samples import run, spec
from tests.integration.engine.workers import Deployment
from tests.servers import RedisServer, is_running, wait_until

Deploy = Callable[[EngineSettings], Deployment]

PATIENT = EngineSettings(slots=2, desired_poll_seconds=0.1, reap_seconds=0.5, redispatch_seconds=2.0)
"""Default leases: nothing is taken away from a worker on a machine that is merely slow."""
SHORT = QUICK.model_copy(update={"slots": 2, "lease_seconds": 2.0, "redispatch_seconds": 1.0, "max_attempts": 20})


@pytest.fixture(params=["embedded", "servers"])
def deploy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deploy]:
    """Makes a deployment of either kind."""
    embedded = request.param == "embedded"
    database_url = request.getfixturevalue("sqlite_url" if embedded else "postgres_url")
    broker_url = None if embedded else request.getfixturevalue("redis_url")
    made: list[Deployment] = []

    def make(engine: EngineSettings) -> Deployment:
        deployment = Deployment(tmp_path, database_url=database_url, broker_url=broker_url, engine=engine)
        made.append(deployment)
        return deployment

    yield make
    for deployment in made:
        deployment.close()


def test_twenty_jobs_at_once_on_two_workers_run_once_each(deploy: Deploy, tmp_path: Path) -> None:
    deployment = deploy(PATIENT)
    workers = [deployment.start_worker(wait=False) for _ in range(2)]
    for worker in workers:
        worker.wait_until_ready()
    diary = tmp_path / "diary"
    ids = [
        deployment.jobs.submit(spec(seed=seed, metadata={"diary": str(diary), "epochs": "2"}))[0].id
        for seed in range(20)
    ]
    deployment.wait_until_ended(*ids, seconds=150.0)
    assert {deployment.jobs.get(job_id).status for job_id in ids} == {JobStatus.SUCCEEDED}
    assert Counter(diary.read_text().splitlines()) == Counter(f"{job_id} 1" for job_id in ids)
    assert [problems(deployment.database, job_id, run(2)) for job_id in ids] == [[]] * 20
    for worker in workers:
        assert worker.end(signal.SIGTERM) == 0, worker.log
        for line in worker.log.splitlines():
            assert '"level": "error"' not in line


def test_a_killed_worker_leaves_no_process_and_no_trace(deploy: Deploy, tmp_path: Path) -> None:
    """SIGKILL of the worker mid-job, twice; the job ends with the history of an undisturbed run."""
    deployment = deploy(SHORT)
    undisturbed, _ = deployment.jobs.submit(spec(metadata={"epochs": "20"}))
    first = deployment.start_worker()
    deployment.wait_until_ended(undisturbed.id)
    pids, gate = tmp_path / "pids", tmp_path / "gate"
    script = {"epochs": "20", "pids": str(pids), "gate": str(gate), "gates": "14 29"}
    job, _ = deployment.jobs.submit(spec(metadata=script))
    worker = first
    for number in (14, 29):
        wait_until(lambda number=number: _recorded(deployment, job.id) == number, "events")  # type: ignore[misc]
        worker.end(signal.SIGKILL)
        gate.with_suffix(f".{number}").touch()
        worker = deployment.start_worker()
    deployment.wait_until_ended(job.id)
    job = deployment.jobs.get(job.id)
    assert job.status is JobStatus.SUCCEEDED, worker.log
    assert job.attempt == 3
    assert problems(deployment.database, job.id, run(20)) == []
    assert history(deployment.database, job.id) == history(deployment.database, undisturbed.id)
    trained = [int(line) for line in pids.read_text().splitlines()]
    assert len(trained) == 3
    wait_until(lambda: not any(is_running(pid) for pid in trained), "no process to be left")


def test_sigterm_hands_the_unit_to_another_worker(deploy: Deploy, tmp_path: Path) -> None:
    deployment = deploy(PATIENT)
    first = deployment.start_worker()
    gate = tmp_path / "gate"
    job, _ = deployment.jobs.submit(spec(metadata={"epochs": "15", "gate": str(gate), "gates": "10"}))
    wait_until(lambda: _recorded(deployment, job.id) == 10, "events")
    second = deployment.start_worker()
    assert first.end(signal.SIGTERM) == 0
    gate.with_suffix(".10").touch()
    deployment.wait_until_ended(job.id)
    job = deployment.jobs.get(job.id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2), second.log
    assert [t.reason for t in job.transitions if t.status is JobStatus.QUEUED] == [None, "worker_shutdown"]
    assert problems(deployment.database, job.id, run(15)) == []


def test_a_worker_cancels_and_its_logs_are_json(deploy: Deploy) -> None:
    deployment = deploy(PATIENT)
    worker = deployment.start_worker()
    job, _ = deployment.jobs.submit(spec(metadata={"epochs": "500", "pause": "0.05"}))
    wait_until(lambda: deployment.jobs.get(job.id).status is JobStatus.RUNNING, "the job to run")
    deployment.jobs.cancel(job.id)
    deployment.wait_until_ended(job.id)
    assert deployment.jobs.get(job.id).status is JobStatus.CANCELLED
    said = [json.loads(line) for line in worker.log.splitlines() if line.startswith("{")]
    of_job = [entry["event"] for entry in said if entry.get("job_id") == job.id]
    assert "unit claimed" in of_job
    assert "asking the training to stop" in of_job


def test_a_broker_that_forgets_everything_delays_and_loses_nothing(
    postgres_url: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Jobs are submitted while Redis is down, and it comes back empty under a running worker."""
    redis_server.flush()
    deployment = Deployment(tmp_path, database_url=postgres_url, broker_url=redis_server.url, engine=SHORT)
    try:
        worker = deployment.start_worker()
        gate = tmp_path / "gate"
        running, _ = deployment.jobs.submit(spec(metadata={"epochs": "10", "gate": str(gate), "gates": "5"}))
        wait_until(lambda: _recorded(deployment, running.id) == 5, "events")
        redis_server.stop()
        waiting, _ = deployment.jobs.submit(spec())
        gate.with_suffix(".5").touch()
        wait_until(lambda: deployment.jobs.get(running.id).status.is_terminal, "the running job to end without broker")
        redis_server.start()
        deployment.wait_until_ended(waiting.id)
        for job_id, entries in ((running.id, run(10)), (waiting.id, run(3))):
            assert deployment.jobs.get(job_id).status is JobStatus.SUCCEEDED, worker.log
            assert problems(deployment.database, job_id, entries) == []
    finally:
        deployment.close()
        redis_server.stop()
        redis_server.start()


def _recorded(deployment: Deployment, job_id: str) -> int:
    """How many entries of the job's journal are in its log."""
    types = {entry.event.type for entry in run(1)}
    return len(deployment.jobs.events(job_id, limit=1000, types=types).data)
