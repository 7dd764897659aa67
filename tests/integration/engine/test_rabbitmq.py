"""RabbitMQ as the broker, by its URL alone."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from api.health import Readiness
from core.jobs.state import JobStatus
from core.settings import Settings
from tests.integration.engine.checker import problems
from tests.integration.engine.conftest import QUICK
from tests.integration.engine.samples import run, spec
from tests.integration.engine.workers import Deployment
from tests.rabbit_server import RabbitServer
from tests.servers import free_port, wait_until

pytestmark = pytest.mark.timeout(240)

ENGINE = QUICK.model_copy(
    update={"slots": 2, "lease_seconds": 5.0, "self_fence_seconds": 4.0, "redispatch_seconds": 1.0}
)


def test_jobs_run_over_amqp_and_come_home_when_the_broker_dies(
    postgres_url: str, rabbit_server: RabbitServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that runs when the broker is killed, one that is submitted while it is away, one after it is back."""
    deployment = Deployment(tmp_path, database_url=postgres_url, broker_url=rabbit_server.url, engine=ENGINE)
    ready = Readiness(deployment.database, deployment.queue)
    try:
        assert ready.failures() == []
        worker = deployment.start_worker()
        done, _ = deployment.jobs.submit(spec())
        deployment.wait_until_ended(done.id)
        assert deployment.jobs.get(done.id).status is JobStatus.SUCCEEDED, worker.log

        gate = tmp_path / "gate"
        running, _ = deployment.jobs.submit(spec(metadata={"epochs": "5", "gate": str(gate), "gates": "8"}))
        wait_until(lambda: deployment.jobs.get(running.id).status is JobStatus.RUNNING, "the job to run")
        rabbit_server.stop()
        (failure,) = ready.failures()
        assert failure.code == "not_ready.broker"
        assert "guest" not in failure.detail
        waiting, _ = deployment.jobs.submit(spec())
        assert deployment.jobs.get(waiting.id).status is JobStatus.QUEUED
        gate.with_suffix(".8").touch()
        deployment.wait_until_ended(running.id)
        rabbit_server.start()
        deployment.wait_until_ended(waiting.id, seconds=90)
        wait_until(lambda: ready.failures() == [], "the broker to be reached again")
        later, _ = deployment.jobs.submit(spec())
        deployment.wait_until_ended(later.id)
        for job_id, epochs in ((done.id, 3), (running.id, 5), (waiting.id, 3), (later.id, 3)):
            job = deployment.jobs.get(job_id)
            assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1), worker.log
            assert problems(deployment.database, job_id, run(epochs)) == []
        assert worker.process.poll() is None, worker.log
        assert "guest:guest" not in worker.log
        assert "only supported for Redis" not in worker.log
        assert "guest:guest" not in "".join(logging.Formatter().format(record) for record in caplog.records)
    finally:
        deployment.close()
        rabbit_server.start()


def test_a_broker_that_is_away_holds_no_request_up(sqlite_url: str, tmp_path: Path) -> None:
    """The job is accepted, and nobody waits for a connection."""
    nobody = f"amqp://user:hidden-word@127.0.0.1:{free_port()}//"
    settings = Settings(state_dir=tmp_path, database={"url": sqlite_url}, broker={"url": nobody})
    assert "hidden-word" not in repr(settings)
    deployment = Deployment(tmp_path, database_url=sqlite_url, broker_url=nobody, engine=ENGINE)
    try:
        job, created = deployment.jobs.submit(spec())
        assert created
        assert deployment.jobs.get(job.id).status is JobStatus.QUEUED
        with pytest.raises(OSError, match="refused"):
            deployment.queue.ping()
    finally:
        deployment.close()
