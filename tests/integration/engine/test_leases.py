"""Claims, fences, records: what holds when several workers, or a stale one, write at once. On both databases."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.errors import LeaseLostError
from core.events import Progress
from core.jobs.lease import Lease
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.units import UnitService
from core.persistence import Database
from core.settings import EngineSettings
from tests.integration.engine.checker import problems
from tests.integration.engine.samples import completed, run, spec

CLAIM_ALL = """
import json, sys
from core.jobs.units import UnitService
from core.persistence import Database
from core.settings import EngineSettings
url, owner, *ids = sys.argv[1:]
units = UnitService(Database(url), EngineSettings())
units.take_due()
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps([unit for unit in ids if units.claim(unit, owner) is not None]))
"""

ERROR = {"code": "child_crashed", "message": "it crashed", "hint": None}


@pytest.fixture
def lease(jobs: JobService, units: UnitService) -> Lease:
    """The lease of a fresh job."""
    jobs.submit(spec())
    (unit_id,) = units.take_due()
    taken = units.claim(unit_id, "first")
    assert taken is not None
    return taken


def _progress(percent: float) -> Progress:
    return Progress(
        phase="training",
        percent=percent,
        eta_seconds=None,
        super_epoch=None,
        epoch=1,
        epochs=3,
        step=1,
        steps=2,
        updated_at=0.0,
    )


def _sql(database: Database, statement: str) -> None:
    with database.write() as session:
        session.execute(text(statement))


def _age(database: Database) -> None:
    _sql(database, "UPDATE unit SET lease_until = '2000-01-01 00:00:00.000000+00'")


def test_of_many_processes_exactly_one_claims_each_unit(
    database: Database, jobs: JobService, units: UnitService
) -> None:
    for seed in range(20):
        jobs.submit(spec(seed=seed))
    ids = list(units.take_due())
    assert len(ids) == 20
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM_ALL, database.url, f"racer-{n}", *ids],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(4)
    ]
    claimed: list[str] = []
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        answer, _ = racer.communicate(timeout=60)
        claimed += json.loads(answer)
    assert sorted(claimed) == sorted(ids)
    assert {job.attempt for job in jobs.list_jobs().data} == {1}


def test_recording_a_journal_again_changes_nothing(
    database: Database, jobs: JobService, units: UnitService, lease: Lease
) -> None:
    entries = run(3)
    units.record(lease, entries[:4])
    units.record(lease, entries[2:7])
    before = jobs.get(lease.job_id)
    units.record(lease, entries[:7])
    assert jobs.get(lease.job_id) == before
    units.record(lease, entries)
    assert problems(database, lease.job_id, entries) == []


def test_a_missing_number_is_refused_and_nothing_stored(jobs: JobService, units: UnitService, lease: Lease) -> None:
    entries = run(3)
    units.record(lease, entries[:2])
    before = jobs.last_seq(lease.job_id)
    with pytest.raises(ValueError, match="entry 5 follows 3"):
        units.record(lease, [entries[2], entries[4]])
    assert jobs.last_seq(lease.job_id) == before


@pytest.mark.parametrize(
    "write",
    [
        lambda units, stale: units.heartbeat(stale, _progress(99.0)),
        lambda units, stale: units.desired(stale),
        lambda units, stale: units.record(stale, run(3)),
        lambda units, stale: units.succeed(stale, completed(), []),
        lambda units, stale: units.fail(stale, ERROR, reason="data.invalid"),
        lambda units, stale: units.release(stale, reason="child_crashed", error=ERROR),
    ],
    ids=["heartbeat", "desired", "record", "succeed", "fail", "release"],
)
def test_a_stale_lease_writes_nothing(
    database: Database,
    jobs: JobService,
    units: UnitService,
    lease: Lease,
    write: Callable[[UnitService, Lease], object],
) -> None:
    units.record(lease, run(3)[:3])
    _age(database)
    assert units.reap() == 1
    (unit_id,) = units.take_due()
    second = units.claim(unit_id, "second")
    assert second is not None
    assert (second.fence, second.attempt, second.recorded) == (2, 2, 3)
    before = jobs.get(lease.job_id)
    with pytest.raises(LeaseLostError, match=r"lease\.lost"):
        write(units, lease)
    assert jobs.get(lease.job_id) == before
    units.record(second, run(3))
    units.succeed(second, completed(), [])
    assert problems(database, lease.job_id, run(3)) == []


def test_without_the_fence_the_checker_finds_the_damage(
    database: Database, jobs: JobService, units: UnitService, lease: Lease
) -> None:
    """Negative control: take fence, counter and unique key away, and a second worker's events are doubled."""
    units.record(lease, run(3)[:5])
    if database.is_postgresql:
        _sql(database, "ALTER TABLE event DROP CONSTRAINT uq_event_job_id_dedupe_key")
    else:
        _sql(database, "UPDATE event SET dedupe_key = 'old:' || seq")
    _sql(database, "UPDATE unit SET recorded = 0")
    _sql(database, "UPDATE unit SET fence = 2")
    with pytest.raises(LeaseLostError):
        units.record(lease, run(3)[:2])
    units.record(replace(lease, fence=2), run(3)[:2])
    assert problems(database, lease.job_id, run(3)[:5]) != []


def test_the_unique_key_stands_behind_the_counter(
    database: Database, jobs: JobService, units: UnitService, lease: Lease
) -> None:
    units.record(lease, run(3)[:5])
    _sql(database, "UPDATE unit SET recorded = 0")
    with pytest.raises(IntegrityError):
        units.record(lease, run(3)[:2])
    assert problems(database, lease.job_id, run(3)[:5]) == []


def test_an_answer_that_was_lost_may_be_asked_for_again(
    database: Database, jobs: JobService, units: UnitService, lease: Lease
) -> None:
    """The commit went through, its answer did not: the same write again is not a lost lease."""
    units.record(lease, run(3))
    units.succeed(lease, completed(), [])
    ended = jobs.get(lease.job_id)
    units.succeed(lease, completed(), [])
    assert jobs.get(lease.job_id) == ended
    with pytest.raises(LeaseLostError):
        units.fail(lease, ERROR, reason="late")


def test_release_and_fail_may_be_repeated(jobs: JobService, units: UnitService, lease: Lease) -> None:
    assert units.release(lease, reason="worker_shutdown")
    before = jobs.get(lease.job_id)
    assert not units.release(lease, reason="worker_shutdown")
    assert jobs.get(lease.job_id) == before
    again = units.claim(lease.unit_id, "second")
    assert again is not None
    units.fail(again, ERROR, reason="data.invalid")
    units.fail(again, ERROR, reason="data.invalid")
    assert jobs.get(lease.job_id).status is JobStatus.FAILED


def test_a_heartbeat_renews_and_tells_what_is_wanted(
    database: Database, jobs: JobService, units: UnitService, lease: Lease
) -> None:
    _age(database)
    assert units.heartbeat(lease, _progress(12.5)) == "run"
    assert units.reap() == 0
    job = jobs.get(lease.job_id)
    assert job.progress is not None
    assert job.progress["percent"] == 12.5
    units.heartbeat(lease, _progress(12.5))
    assert jobs.get(lease.job_id).version == job.version
    jobs.cancel(lease.job_id)
    assert units.desired(lease) == "cancel"
    assert units.heartbeat(lease) == "cancel"
    assert units.record(lease, run(3)[:1]) == "cancel"


def test_failed_attempts_back_off_and_run_out(database: Database, jobs: JobService) -> None:
    units = UnitService(database, EngineSettings(retry_backoff_seconds=60.0))
    job, _ = JobService(database, max_attempts=2).submit(spec())
    (unit_id,) = units.take_due()
    lease = units.claim(unit_id, "w")
    assert lease is not None
    assert units.release(lease, reason="child_crashed", error=ERROR) is False
    assert units.take_due() == []
    assert units.claim(unit_id, "w") is None
    _sql(database, "UPDATE unit SET run_after = '2000-01-01 00:00:00.000000+00'")
    assert list(units.take_due()) == [unit_id]
    lease = units.claim(unit_id, "w")
    assert lease is not None
    units.release(lease, reason="child_crashed", error=ERROR)
    failed = jobs.get(job.id)
    assert (failed.status, failed.status_reason, failed.error) == (JobStatus.FAILED, "child_crashed", ERROR)


def test_a_worker_that_is_lost_too_often_fails_the_job(
    database: Database, jobs: JobService, units: UnitService, lease: Lease
) -> None:
    for attempt in (1, 2, 3):
        _age(database)
        assert units.reap() == 1
        assert units.reap() == 0
        if attempt < 3:
            assert jobs.get(lease.job_id).status_reason == "worker_lost"
            assert units.claim(lease.unit_id, f"worker {attempt}") is not None
    job = jobs.get(lease.job_id)
    assert (job.status, job.status_reason, job.attempt) == (JobStatus.FAILED, "worker_lost", 3)
    assert job.error is not None
    assert job.error["code"] == "worker_lost"


@pytest.mark.parametrize("end", ["release", "crash", "fail", "reap", "succeed"])
def test_a_cancelled_job_ends_however_its_process_ends(
    database: Database, jobs: JobService, units: UnitService, lease: Lease, end: str
) -> None:
    units.record(lease, run(3))
    jobs.cancel(lease.job_id)
    if end == "release":
        assert units.release(lease, reason="cancel_requested") is False
    elif end == "crash":
        units.release(lease, reason="child_crashed", error=ERROR)
    elif end == "fail":
        units.fail(lease, ERROR, reason="data.invalid")
    elif end == "reap":
        _age(database)
        assert units.reap() == 1
    else:
        units.succeed(lease, completed(), [])
    job = jobs.get(lease.job_id)
    expected = JobStatus.SUCCEEDED if end == "succeed" else JobStatus.CANCELLED
    assert job.status is expected
    assert job.finished_at is not None
    assert units.take_due() == []
    assert units.claim(lease.unit_id, "late") is None


def test_a_late_or_doubled_wake_up_claims_nothing(jobs: JobService, units: UnitService, lease: Lease) -> None:
    assert units.claim(lease.unit_id, "doubled") is None
    assert units.claim("unit_of_nobody", "lost") is None
    units.record(lease, run(3))
    units.succeed(lease, completed(), [])
    assert units.claim(lease.unit_id, "late") is None
