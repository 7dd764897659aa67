"""Lost messages and dead workers, mended by passes of the reconciler. On both databases."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from sqlalchemy import text

from core.jobs.broker import WakeUp
from core.jobs.reconcile import Reconciler
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.units import UnitService
from core.persistence import Database
from core.settings import EngineSettings
from tests.integration.engine.conftest import QUICK
from tests.integration.engine.samples import spec
from tests.servers import wait_until


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.moment = 1000.0

    def __call__(self) -> float:
        return self.moment


def test_a_lost_wake_up_is_sent_again_until_somebody_claims(jobs: JobService, units: UnitService) -> None:
    job, _ = jobs.submit(spec())
    sent: list[WakeUp] = []
    reconciler = Reconciler(units, sent.append, QUICK)
    reconciler.start()
    wait_until(lambda: len(sent) >= 3, "three wake-ups for a unit that nobody claims")
    assert len(set(sent)) == 1
    lease = units.claim(sent[0].unit_id, "w")
    reconciler.stop()
    assert lease is not None
    assert lease.job_id == job.id


def test_without_the_dispatcher_a_lost_wake_up_stalls_the_job(database: Database, units: UnitService) -> None:
    """Negative control for the one above: the wake-up was sent, got lost, and nobody sends another."""
    lost: list[WakeUp] = []
    jobs = JobService(database, announce=lost.append)
    job, _ = jobs.submit(spec())
    assert len(lost) == 1
    no_redispatch = UnitService(database, EngineSettings(redispatch_seconds=3600))
    for _ in range(3):
        no_redispatch.reap()
        assert no_redispatch.take_due() == []
    assert jobs.get(job.id).status is JobStatus.QUEUED


def test_two_dispatchers_send_each_unit_once_per_round(database: Database, jobs: JobService) -> None:
    for seed in range(20):
        jobs.submit(spec(seed=seed))
    sent: list[WakeUp] = []
    passes = [
        threading.Thread(target=Reconciler(UnitService(database, EngineSettings()), sent.append, QUICK).run_once)
        for _ in range(4)
    ]
    for thread in passes:
        thread.start()
    for thread in passes:
        thread.join()
    assert set(Counter(sent).values()) == {1}
    assert len(sent) == 20


def test_a_send_that_fails_is_repeated_in_the_next_pass(
    jobs: JobService, units: UnitService, caplog: pytest.LogCaptureFixture
) -> None:
    jobs.submit(spec())
    sent: list[WakeUp] = []

    def refuse(wake_up: WakeUp) -> None:
        raise ConnectionError("no broker")

    Reconciler(units, refuse, EngineSettings()).run_once()
    Reconciler(units, sent.append, EngineSettings()).run_once()
    assert len(sent) == 1
    assert "wake-up not sent" in caplog.text


def test_what_will_be_due_is_waited_for(database: Database, jobs: JobService) -> None:
    """However long the pause between two passes is: of a lost worker's lease, and of the rest that follows it."""
    engine = QUICK.model_copy(update={"reap_seconds": 3600.0, "retry_backoff_seconds": 1.0})
    units = UnitService(database, engine)
    job, _ = jobs.submit(spec())
    (unit_id,) = units.take_due()
    assert units.claim(unit_id, "dead") is not None
    sent: list[WakeUp] = []
    reconciler = Reconciler(units, sent.append, engine)
    reconciler.start()
    try:
        wait_until(lambda: bool(sent), "the wake-up after the lease and the rest")
    finally:
        reconciler.stop()
    assert [t.status.value for t in jobs.get(job.id).transitions] == ["queued", "starting", "queued"]
    assert sent[0].unit_id == unit_id


def test_the_next_moment_at_which_something_is_due(database: Database, jobs: JobService) -> None:
    units = UnitService(database, EngineSettings())
    assert units.seconds_until_due() is None
    jobs.submit(spec())
    assert units.seconds_until_due() is None, "a unit that is ready is announced by the pass at hand"
    lease = units.claim_next(("default",), "w")
    assert lease is not None
    due = units.seconds_until_due()
    assert due is not None
    assert 0 < due <= 60
    units.release(lease, reason="child_crashed", error={"code": "child_crashed", "message": "it fell", "hint": None})
    due = units.seconds_until_due()
    assert due is not None
    assert 0 < due <= 5


def test_reapers_at_once_put_a_unit_back_once(database: Database, jobs: JobService, units: UnitService) -> None:
    job, _ = jobs.submit(spec())
    (unit_id,) = units.take_due()
    assert units.claim(unit_id, "dead") is not None
    with database.write() as session:
        session.execute(text("UPDATE unit SET lease_until = NULL, created_at = '2000-01-01 00:00:00.000000+00'"))
    reaped: list[int] = []
    threads = [threading.Thread(target=lambda: reaped.append(units.reap())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(reaped) == 1
    assert [t.status.value for t in jobs.get(job.id).transitions] == ["queued", "starting", "queued"]


def test_after_sleep_leases_get_one_lease_of_grace(database: Database, jobs: JobService) -> None:
    engine = EngineSettings()
    units = UnitService(database, engine)
    clock = Clock()
    reconciler = Reconciler(units, lambda _: None, engine, clock=clock)
    jobs.submit(spec())
    (unit_id,) = units.take_due()
    assert units.claim(unit_id, "asleep") is not None
    reconciler.run_once()
    with database.write() as session:
        session.execute(text("UPDATE unit SET lease_until = '2000-01-01 00:00:00.000000+00'"))
    clock.moment += 3600.0
    reconciler.run_once()
    assert jobs.list_jobs().data[0].status is JobStatus.STARTING
    for _ in range(7):
        clock.moment += 10.0
        reconciler.run_once()
    assert jobs.list_jobs().data[0].status is JobStatus.QUEUED


def test_a_clock_set_back_does_not_stop_the_reaper(database: Database, jobs: JobService) -> None:
    engine = EngineSettings()
    units = UnitService(database, engine)
    clock = Clock()
    reconciler = Reconciler(units, lambda _: None, engine, clock=clock)
    jobs.submit(spec())
    (unit_id,) = units.take_due()
    assert units.claim(unit_id, "dead") is not None
    with database.write() as session:
        session.execute(text("UPDATE unit SET lease_until = '2000-01-01 00:00:00.000000+00'"))
    reconciler.run_once()
    assert jobs.list_jobs().data[0].status is JobStatus.QUEUED
    clock.moment += 3600.0
    reconciler.run_once()
    clock.moment -= 7200.0
    with database.write() as session:
        session.execute(text("UPDATE unit SET state = 'ready', run_after = '2000-01-01 00:00:00.000000+00'"))
    assert units.claim(unit_id, "dead again") is not None
    with database.write() as session:
        session.execute(text("UPDATE unit SET lease_until = '2000-01-01 00:00:00.000000+00'"))
    reconciler.run_once()
    assert jobs.list_jobs().data[0].status is JobStatus.QUEUED
