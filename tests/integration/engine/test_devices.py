"""Jobs that want several devices: who may take them, who must wait for them, and one that is really trained on two."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from core.artifacts import ArtifactStore
from core.jobs.figures import FigureService
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.units import UnitService
from core.jobs.worker_views import WorkerFacts
from core.jobs.workers import WorkerService
from core.persistence import Database
from core.settings import EngineSettings
from core.spec import JobSpec
from tests.integration.engine.conftest import CHILD, QUICK
from tests.integration.engine.samples import spec
from tests.servers import wait_until
from tests.tiny import tiny_spec, write_tiny
from worker.child import TRAINING
from worker.devices import Slots
from worker.supervisor import Supervisor

DEFAULT = ("default",)
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def on_devices(count: int, **metadata: str) -> JobSpec:
    return spec(scheduling={"devices": count}, metadata=metadata)


@pytest.fixture
def make_supervisor(units: UnitService, store: ArtifactStore, tmp_path: Path):
    """A worker with so many slots."""

    def make(slots: Slots, command=CHILD, engine: EngineSettings = QUICK) -> Supervisor:
        roots = {"data": tmp_path / "data", "models": tmp_path / "data"}
        return Supervisor(
            units,
            store,
            runs=tmp_path / "runs",
            roots=roots,
            engine=engine,
            slots=slots,
            send=lambda _: None,
            command=command,
        )

    return make


def test_a_claim_passes_over_what_does_not_fit(jobs: JobService, units: UnitService) -> None:
    large, _ = jobs.submit(on_devices(2))
    small, _ = jobs.submit(on_devices(1))
    assert units.devices_of_next(DEFAULT, at_most=4) == 2
    assert units.devices_of_next(DEFAULT, at_most=1) == 1
    lease = units.claim_next(DEFAULT, "w", devices=1)
    assert lease is not None
    assert (lease.job_id, lease.devices) == (small.id, 1)
    assert units.devices_of_next(DEFAULT, at_most=1) is None
    assert units.claim_next(DEFAULT, "w", devices=1) is None
    lease = units.claim_next(DEFAULT, "w", devices=4)
    assert lease is not None
    assert (lease.job_id, lease.devices) == (large.id, 2)
    assert units.devices_of_next(DEFAULT, at_most=4) is None


def test_slots_are_counted_by_what_units_fill(database: Database, jobs: JobService, units: UnitService) -> None:
    engine = EngineSettings()
    facts = WorkerFacts(host="box", pid=7, version="0.1.0", queues=DEFAULT, slots=4, gpus=())
    worker_id = WorkerService(database, engine).register(facts)
    assert FigureService(database, engine).read().busy == 0
    for devices in (2, 1):
        jobs.submit(on_devices(devices))
        assert units.claim_next(DEFAULT, "w", worker_id) is not None
    assert FigureService(database, engine).read().busy == 3


@ON_SQLITE
def test_a_worker_with_fewer_slots_leaves_it_alone(jobs: JobService, units: UnitService, make_supervisor) -> None:
    job, _ = jobs.submit(on_devices(2))
    (unit_id,) = units.take_due()
    assert not make_supervisor(Slots(1, ())).run(unit_id)
    assert jobs.get(job.id).status is JobStatus.QUEUED
    assert make_supervisor(Slots(2, ())).run(unit_id)
    assert jobs.get(job.id).status is JobStatus.SUCCEEDED


@ON_SQLITE
def test_its_process_sees_as_many_gpus(jobs: JobService, units: UnitService, tmp_path: Path, make_supervisor) -> None:
    seen = tmp_path / "gpus"
    supervisor = make_supervisor(Slots(0, ("3", "5", "6")))
    for devices in (2, 1, 3):
        jobs.submit(on_devices(devices, gpus=str(seen)))
        (unit_id,) = units.take_due()
        supervisor.run(unit_id)
    given = [line.split()[1].split(",") for line in seen.read_text().splitlines()]
    assert [len(set(each)) for each in given] == [2, 1, 3]
    assert set(given[2]) == {"3", "5", "6"}


@ON_SQLITE
def test_a_large_job_is_not_overtaken_while_its_slots_add_up(
    database: Database, jobs: JobService, units: UnitService, tmp_path: Path, make_supervisor
) -> None:
    """Two slots, one of them busy: the job that wants both comes before a small one that was submitted after it."""
    gate = tmp_path / "gate"
    first, _ = jobs.submit(on_devices(1, gate=str(gate), gates="1"))
    supervisor = make_supervisor(Slots(2, ()))
    (unit_id,) = units.take_due()
    threads = [threading.Thread(target=supervisor.work, args=(unit_id,))]
    threads[0].start()
    wait_until(lambda: jobs.get(first.id).status is JobStatus.RUNNING, "the first job runs")
    large, _ = jobs.submit(on_devices(2))
    small, _ = jobs.submit(on_devices(1))
    threads += [threading.Thread(target=supervisor.work, args=(unit_id,)) for unit_id in units.take_due()]
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: supervisor._slots.turn.locked(), "somebody waits for two slots")
    assert jobs.get(small.id).status is JobStatus.QUEUED
    Path(f"{gate}.1").touch()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert [jobs.get(job.id).status for job in (first, large, small)] == [JobStatus.SUCCEEDED] * 3
    with database.read() as session:
        order = session.execute(text("SELECT id FROM job ORDER BY started_at")).scalars().all()
    assert order == [first.id, large.id, small.id]


@ON_SQLITE
def test_who_waits_for_slots_goes_when_the_worker_shuts_down(
    jobs: JobService, units: UnitService, tmp_path: Path, make_supervisor
) -> None:
    gate = tmp_path / "gate"
    first, _ = jobs.submit(on_devices(1, gate=str(gate), gates="1"))
    supervisor = make_supervisor(Slots(2, ()))
    running = threading.Thread(target=supervisor.run, args=units.take_due())
    running.start()
    wait_until(lambda: jobs.get(first.id).status is JobStatus.RUNNING, "the first job runs")
    large, _ = jobs.submit(on_devices(2))
    waiting = threading.Thread(target=supervisor.run, args=units.take_due())
    waiting.start()
    wait_until(lambda: supervisor._slots.turn.locked(), "somebody waits for two slots")
    supervisor.stop()
    for thread in (running, waiting):
        thread.join(60)
        assert not thread.is_alive()
    assert jobs.get(large.id).status is JobStatus.QUEUED


@ON_SQLITE
def test_a_real_training_in_two_processes(
    jobs: JobService, units: UnitService, tmp_path: Path, make_supervisor
) -> None:
    (tmp_path / "data").mkdir()
    write_tiny(tmp_path / "data")
    job, _ = jobs.submit(JobSpec.model_validate(tiny_spec(epochs=1, scheduling={"devices": 2})))
    (unit_id,) = units.take_due()
    assert make_supervisor(Slots(2, ()), TRAINING, EngineSettings()).run(unit_id)
    ended = jobs.get(job.id)
    assert ended.status is JobStatus.SUCCEEDED, ended.error
    assert ended.environment is not None
    assert ended.environment["processes"] == 2
    assert {artifact.name for artifact in jobs.artifacts(job.id)} >= {"model.safetensors", "model.json"}
