"""The registry of workers, on both databases."""

from __future__ import annotations

import signal
import threading

import pytest
from sqlalchemy import text

from core.errors import NotFoundError
from core.jobs.service import JobService
from core.jobs.units import UnitService
from core.jobs.worker_views import WorkerFacts, WorkerState
from core.jobs.workers import WorkerService
from core.persistence import Database
from core.persistence.schema import Schema, SchemaError
from core.settings import EngineSettings
from tests.integration.engine.conftest import QUICK
from tests.integration.engine.samples import spec
from tests.servers import PostgresServer, wait_until
from worker.registration import Registration

FACTS = WorkerFacts(host="box", pid=7, version="0.1.0", queues=("default", "gpu"), slots=2, gpus=("0", "1"))
LONG_AGO = "2000-01-01 00:00:00.000000+00"


@pytest.fixture
def workers(database: Database) -> WorkerService:
    """The registry, with default leases."""
    return WorkerService(database, EngineSettings())


def _backdate(database: Database, seconds: float) -> None:
    """Make every heartbeat older."""
    with database.write() as session:
        shift = (
            f"heartbeat_at - interval '{seconds} seconds'"
            if database.is_postgresql
            else f"strftime('%Y-%m-%d %H:%M:%f000', heartbeat_at, '-{seconds} seconds')"
        )
        session.execute(text(f"UPDATE worker SET heartbeat_at = {shift}"))


def test_a_worker_is_alive_lost_alive_again_and_stopped(database: Database, workers: WorkerService) -> None:
    worker_id = workers.register(FACTS)
    assert worker_id.startswith("wrk_")
    (seen,) = workers.list_workers().data
    assert (seen.id, seen.facts, seen.state) == (worker_id, FACTS, WorkerState.ALIVE)
    assert (seen.busy, seen.jobs, seen.stopped_at) == (0, (), None)
    _backdate(database, 55.0)
    assert workers.get(worker_id).state is WorkerState.ALIVE
    _backdate(database, 10.0)
    assert workers.get(worker_id).state is WorkerState.LOST
    workers.beat(worker_id, FACTS)
    assert workers.get(worker_id).state is WorkerState.ALIVE
    workers.stop(worker_id)
    stopped = workers.get(worker_id)
    assert stopped.state is WorkerState.STOPPED
    assert stopped.stopped_at is not None
    with pytest.raises(NotFoundError, match=r"worker\.not_found"):
        workers.get("wrk_0")


def test_pages_are_newest_first(workers: WorkerService) -> None:
    ids = [workers.register(FACTS) for _ in range(5)]
    first = workers.list_workers(limit=3)
    assert (len(first.data), first.has_more, first.next_after) == (3, True, first.data[-1].id)
    second = workers.list_workers(limit=3, after=first.next_after)
    assert (len(second.data), second.has_more) == (2, False)
    assert [view.id for view in (*first.data, *second.data)] == sorted(ids, reverse=True)


def test_who_was_not_heard_of_for_a_day_is_forgotten_until_it_speaks(
    database: Database, workers: WorkerService
) -> None:
    old = workers.register(FACTS)
    _backdate(database, 86_500.0)
    new = workers.register(FACTS)
    assert [view.id for view in workers.list_workers().data] == [new]
    workers.beat(old, FACTS)  # it only had been out of reach
    assert {view.id for view in workers.list_workers().data} == {old, new}


def test_a_project_sees_how_busy_a_worker_is_but_only_its_own_jobs(
    jobs: JobService, units: UnitService, workers: WorkerService
) -> None:
    worker_id = workers.register(FACTS)
    mine, _ = jobs.submit(spec())
    theirs, _ = jobs.submit(spec(), project="other")
    leases = [units.claim_next(["default"], "w", worker_id) for _ in range(2)]
    assert {lease.job_id for lease in leases if lease is not None} == {mine.id, theirs.id}
    assert (workers.get(worker_id).busy, workers.get(worker_id).jobs) == (2, (mine.id,))
    assert workers.get(worker_id, project="other").jobs == (theirs.id,)
    for lease in leases:
        assert lease is not None
        units.release(lease, reason="worker_shutdown")
    assert (workers.get(worker_id).busy, workers.get(worker_id).jobs) == (0, ())


def test_queues_without_a_living_worker_are_known(database: Database, jobs: JobService, workers: WorkerService) -> None:
    jobs.submit(spec())
    jobs.submit(spec(scheduling={"queue": "big"}))
    jobs.submit(spec(scheduling={"queue": "big"}))
    assert workers.served_queues() == {}
    assert workers.unserved() == {"default": 1, "big": 2}
    worker_id = workers.register(FACTS)
    assert workers.served_queues() == {"default": (FACTS.slots,), "gpu": (FACTS.slots,)}
    assert workers.unserved() == {"big": 2}
    jobs.submit(spec(scheduling={"devices": 2}))
    assert workers.unserved() == {"big": 2}
    jobs.submit(spec(scheduling={"devices": 3}))
    assert workers.unserved() == {"big": 2, "default": 1}
    _backdate(database, 61.0)
    assert workers.served_queues() == {}
    workers.beat(worker_id, FACTS)
    workers.stop(worker_id)
    assert workers.served_queues() == {}


@pytest.mark.parametrize(("found", "state"), [("0001", Schema.BEHIND), ("9999", Schema.AHEAD)])
def test_a_worker_of_another_revision_neither_registers_nor_goes_on(
    database: Database, workers: WorkerService, found: str, state: Schema
) -> None:
    worker_id = workers.register(FACTS)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :found"), {"found": found})
    for refused in (lambda: workers.register(FACTS), lambda: workers.beat(worker_id, FACTS)):
        with pytest.raises(SchemaError) as raised:
            refused()
        assert raised.value.state is state
        assert raised.value.hint is not None
        assert ("gblend-server migrate" in raised.value.hint) == (state is Schema.BEHIND)
    assert len(workers.list_workers().data) == 1


def test_the_thread_says_once_that_the_schema_moved_on_and_stops_beating(
    database: Database, workers: WorkerService
) -> None:
    told: list[Schema] = []
    heard = threading.Event()

    def outdated(error: SchemaError) -> None:
        told.append(error.state)
        heard.set()

    registration = Registration(workers, facts=FACTS, heartbeat_seconds=0.05, outdated=outdated)
    registration.start()
    assert registration.worker_id is not None
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert heard.wait(30)
    registration.stop()
    assert told == [Schema.AHEAD]
    assert workers.get(registration.worker_id).state is WorkerState.STOPPED


def test_the_thread_survives_outages(postgres_server: PostgresServer, postgres_url: str) -> None:
    """The database is away when the worker starts, and again later."""
    database = Database(postgres_url)
    workers = WorkerService(database, QUICK)
    registration = Registration(workers, facts=FACTS, heartbeat_seconds=0.05, outdated=lambda _: None)
    postgres_server.stop()
    try:
        registration.start()
        assert registration.worker_id is None
    finally:
        postgres_server.start()
    wait_until(lambda: registration.worker_id is not None, "the worker to register")
    assert registration.worker_id is not None
    postgres_server.stop(signal.SIGQUIT)
    postgres_server.start()
    with database.write() as session:
        session.execute(text(f"UPDATE worker SET heartbeat_at = '{LONG_AGO}'"))
    wait_until(lambda: workers.list_workers().data[0].state is WorkerState.ALIVE, "the next heartbeat")
    registration.stop()
    assert workers.get(registration.worker_id).state is WorkerState.STOPPED
    database.close()
