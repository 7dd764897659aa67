"""A fleet of real workers: queues, GPUs, the registry, and an upgrade under way. Over both transports and databases."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from core.jobs.state import JobStatus
from core.jobs.worker_views import WorkerState
from core.jobs.workers import WorkerService
from core.settings import EngineSettings
from tests.integration.engine.checker import problems
from tests.integration.engine.conftest import QUICK
from tests.integration.engine.samples import run, spec
from tests.integration.engine.workers import Deployment
from tests.servers import wait_until

Deploy = Callable[[EngineSettings], Deployment]

PATIENT = EngineSettings(slots=1, desired_poll_seconds=0.1, reap_seconds=0.5, redispatch_seconds=2.0)
BRISK = PATIENT.model_copy(update={"heartbeat_seconds": 0.2})
"""The lease is the default one: a worker that merely is slow is not lost."""


@pytest.fixture(params=["embedded", "servers"])
def deploy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deploy]:
    """Makes a deployment of either kind."""
    embedded = request.param == "embedded"
    database_url = request.getfixturevalue("sqlite_url" if embedded else "postgres_url")
    broker_url = None if embedded else request.getfixturevalue("redis_url")
    made: list[Deployment] = []

    def make(engine: EngineSettings) -> Deployment:
        made.append(Deployment(tmp_path, database_url=database_url, broker_url=broker_url, engine=engine))
        return made[-1]

    yield make
    for deployment in made:
        deployment.close()


EMBEDDED = pytest.mark.parametrize("deploy", ["embedded"], indirect=True)
SERVERS = pytest.mark.parametrize("deploy", ["servers"], indirect=True)
"""For what the other kind has no part in."""


def _workers(deployment: Deployment) -> WorkerService:
    return WorkerService(deployment.database, deployment.settings.engine)


def _ran_on(deployment: Deployment, job_id: str) -> str:
    with deployment.database.read() as session:
        found = session.execute(text("SELECT worker_id FROM unit WHERE job_id = :job"), {"job": job_id})
        return str(found.scalar_one())


def test_each_class_of_jobs_runs_on_its_own_workers(deploy: Deploy) -> None:
    """A job for a queue that nobody listens on waits, and goes as soon as somebody does."""
    deployment = deploy(PATIENT)
    plain = deployment.start_worker()
    workers = _workers(deployment)
    gpu_jobs = [deployment.jobs.submit(spec(seed=seed, scheduling={"queue": "gpu"}))[0].id for seed in range(3)]
    default_jobs = [deployment.jobs.submit(spec(seed=seed))[0].id for seed in range(2)]
    deployment.wait_until_ended(*default_jobs)
    assert {deployment.jobs.get(job_id).status for job_id in gpu_jobs} == {JobStatus.QUEUED}
    assert workers.unserved() == {"gpu": 3}
    deployment.start_worker(GBLEND_WORKER__QUEUES="gpu,big")
    deployment.wait_until_ended(*gpu_jobs)
    by_queues = {view.facts.queues: view.id for view in workers.list_workers().data}
    assert set(by_queues) == {("default",), ("gpu", "big")}
    assert {_ran_on(deployment, job_id) for job_id in default_jobs} == {by_queues["default",]}
    assert {_ran_on(deployment, job_id) for job_id in gpu_jobs} == {by_queues["gpu", "big"]}
    assert workers.unserved() == {}
    assert plain.end(signal.SIGTERM) == 0, plain.log
    assert workers.get(by_queues["default",]).state is WorkerState.STOPPED


@EMBEDDED
def test_every_slot_has_a_gpu_of_its_own(deploy: Deploy, tmp_path: Path) -> None:
    """Two GPUs in the environment (there need not be any): two trainings at once, and each sees one of them."""
    deployment = deploy(PATIENT.model_copy(update={"slots": 0}))
    deployment.start_worker(CUDA_VISIBLE_DEVICES="GPU-aa,GPU-bb")
    seen, gate = tmp_path / "gpus", tmp_path / "gate"
    script = {"gpus": str(seen), "gate": str(gate), "gates": "3"}
    ids = [deployment.jobs.submit(spec(seed=seed, metadata=script))[0].id for seed in range(4)]
    wait_until(lambda: seen.exists() and len(seen.read_text().splitlines()) == 2, "two trainings at once")
    (worker,) = _workers(deployment).list_workers().data
    assert (worker.facts.slots, worker.facts.gpus) == (2, ("GPU-aa", "GPU-bb"))
    wait_until(lambda: _workers(deployment).get(worker.id).busy == 2, "two leases")
    assert set(_workers(deployment).get(worker.id).jobs) < set(ids)
    assert {line.split()[1] for line in seen.read_text().splitlines()} == {"GPU-aa", "GPU-bb"}
    gate.with_suffix(".3").touch()
    deployment.wait_until_ended(*ids)
    gpus = [line.split()[1] for line in seen.read_text().splitlines()]
    assert len(gpus) == 4
    assert set(gpus) == {"GPU-aa", "GPU-bb"}


@SERVERS
def test_a_killed_worker_is_lost_and_its_unit_names_the_next_one(deploy: Deploy, tmp_path: Path) -> None:
    deployment = deploy(QUICK.model_copy(update={"slots": 1, "lease_seconds": 2.0}))
    workers = _workers(deployment)
    first = deployment.start_worker()
    (killed,) = workers.list_workers().data
    assert (killed.state, killed.facts.pid) == (WorkerState.ALIVE, first.process.pid)
    gate = tmp_path / "gate"
    job, _ = deployment.jobs.submit(spec(metadata={"gate": str(gate), "gates": "5"}))
    wait_until(lambda: workers.get(killed.id).jobs == (job.id,), "the registry to say who runs the job")
    first.end(signal.SIGKILL)
    gate.with_suffix(".5").touch()
    wait_until(lambda: workers.get(killed.id).state is WorkerState.LOST, "the worker to be lost")
    deployment.start_worker()
    deployment.wait_until_ended(job.id)
    assert deployment.jobs.get(job.id).status is JobStatus.SUCCEEDED
    assert _ran_on(deployment, job.id) == workers.list_workers().data[0].id != killed.id


def test_a_worker_whose_database_was_migrated_under_it_hands_its_work_back(deploy: Deploy, tmp_path: Path) -> None:
    """As in a rolling upgrade: the old worker ends by itself, cannot be started again, and its job loses nothing."""
    deployment = deploy(BRISK)
    old = deployment.start_worker()
    gate = tmp_path / "gate"
    job, _ = deployment.jobs.submit(spec(metadata={"epochs": "5", "gate": str(gate), "gates": "10"}))
    types = {entry.event.type for entry in run(1)}
    wait_until(lambda: len(deployment.jobs.events(job.id, types=types).data) == 10, "events")
    revision = _set_revision(deployment, "9999")
    wait_until(lambda: old.process.poll() is not None, "the old worker to end")
    assert old.process.returncode == 0, old.log
    assert "migrated by a newer version" in old.log
    waiting = deployment.jobs.get(job.id)
    assert (waiting.status, waiting.status_reason) == (JobStatus.QUEUED, "worker_shutdown")
    (seen,) = _workers(deployment).list_workers().data
    assert seen.state is WorkerState.STOPPED
    again = deployment.start_worker(wait=False)
    assert again.process.wait(30) == os.EX_CONFIG
    assert "start the newer version here" in again.log
    _set_revision(deployment, revision)  # "the newer version": the one that knows the revision
    gate.with_suffix(".10").touch()
    deployment.start_worker()
    deployment.wait_until_ended(job.id)
    assert deployment.jobs.get(job.id).status is JobStatus.SUCCEEDED
    assert problems(deployment.database, job.id, run(5)) == []


@EMBEDDED
def test_a_worker_that_is_newer_than_the_schema_says_what_to_run(deploy: Deploy) -> None:
    deployment = deploy(PATIENT)
    _set_revision(deployment, "0002")
    worker = deployment.start_worker(wait=False)
    assert worker.process.wait(30) == os.EX_CONFIG
    assert "run `gblend-server migrate`" in worker.log


def _set_revision(deployment: Deployment, revision: str) -> str:
    """Returns what it was."""
    with deployment.database.write() as session:
        before = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    return str(before)
