"""Estimates spread over workers as the tables see them: claims, the join, lost workers. On both databases."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import text

from core.errors import LeaseLostError
from core.jobs.lease import Lease
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.units import MAX_RUNTIME, UnitService
from core.persistence import Database
from tests.integration.engine.checker import problems
from tests.integration.engine.conftest import QUICK
from tests.integration.engine.samples import completed, estimate, run, spec
from tests.integration.engine.spread_jobs import (
    DEFAULT,
    ERROR,
    OFFLINE,
    claim,
    claim_all,
    data_of,
    finish,
    lose,
    states,
    statuses,
    stored,
    submit,
)


@pytest.fixture
def units(database: Database) -> UnitService:
    """The worker's side, with leases that end only where a test says so."""
    return UnitService(database, QUICK.model_copy(update={"lease_seconds": 600.0}))


# Submission and claims


def test_a_job_begins_with_a_unit_per_head_and_a_run_that_waits(
    database: Database, jobs: JobService, units: UnitService
) -> None:
    told: list[str] = []
    job_id = (
        JobService(database, announce=lambda wake_up: told.append(wake_up.unit_id))
        .submit(spec(blending=OFFLINE, scheduling={"spread_estimates": True}))[0]
        .id
    )
    assert states(database, job_id) == {
        "estimate2": "ready",
        "estimate1": "ready",
        "estimate0": "ready",
        "run0": "waiting",
    }
    assert len(told) == 3
    assert units.take_due() == [], "who was told is not told again by the next pass"
    assert jobs.get(job_id).queue_position == 1
    leases = claim_all(units)
    # The fused head, which takes the longest, then images, then sound.
    assert [lease.head for lease in leases] == ["fused", "image", "audio"]
    assert [lease.folder for lease in leases] == ["e2.1", "e1.1", "e0.1"]
    assert [lease.unit_id for lease in leases] == told
    job = jobs.get(job_id)
    assert (statuses(job), job.attempt, job.queue_position) == (["queued", "starting"], 1, None)


def test_another_job_waits_behind_all_estimates_and_the_run_goes_before_it(
    jobs: JobService, units: UnitService
) -> None:
    first = submit(jobs)
    second = jobs.submit(spec())[0].id
    assert [jobs.get(each).queue_position for each in (first, second)] == [1, 4]
    for lease in [claim(units) for _ in range(3)]:
        finish(units, lease)
    assert [(lease.job_id, lease.head) for lease in (claim(units), claim(units))] == [(first, None), (second, None)]


def test_a_claim_waits_for_a_job_that_another_unit_is_writing_to(
    database: Database, jobs: JobService, units: UnitService
) -> None:
    """A job that is locked may still have a unit for somebody: passing it over would leave that until a dispatcher."""
    submit(jobs)
    locked, claimed = threading.Event(), threading.Event()

    def hold() -> None:
        with database.write() as session:
            session.execute(text("UPDATE job SET version = version + 1"))
            locked.set()
            claimed.wait(0.3)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait()
    lease = units.claim_next(DEFAULT, "w")
    claimed.set()
    holder.join()
    assert lease is not None
    assert lease.head == "fused"


# The join


def test_the_last_estimate_lets_the_run_begin_with_all_files(
    database: Database, jobs: JobService, units: UnitService
) -> None:
    job_id = submit(jobs)
    fused, image, audio = claim_all(units)
    assert finish(units, image) == []
    assert finish(units, fused) == []
    assert jobs.get(job_id).status is JobStatus.RUNNING, "one head is still at work"
    assert units.claim_next(DEFAULT, "w") is None
    (run_id,) = finish(units, audio)
    assert [wake_up.unit_id for wake_up in units.finish_estimate(audio, stored(audio))] == [run_id], "a lost answer"
    job = jobs.get(job_id)
    assert (job.status, job.status_reason, job.queue_position) == (JobStatus.QUEUED, "estimated", 1)
    lease = claim(units)
    assert (lease.unit_id, lease.head, lease.folder) == (run_id, None, "1")
    assert lease.estimates == (stored(audio), stored(image), stored(fused)), "in the order of the heads"
    units.record(lease, run(3))
    units.succeed(lease, completed(), [])
    job = jobs.get(job_id)
    assert statuses(job) == ["queued", "starting", "running", "queued", "starting", "running", "succeeded"]
    assert job.attempt == 1
    assert units.fence_of_result(job_id) == 1
    told = [*estimate("image"), *estimate("fused"), *estimate("audio"), *run(3)]
    assert problems(database, job_id, told) == []


def test_one_worker_alone_estimates_head_after_head(jobs: JobService, units: UnitService) -> None:
    job_id = submit(jobs)
    heads = []
    for _ in range(3):
        lease = claim(units)
        heads.append(lease.head)
        assert jobs.get(job_id).status in (JobStatus.STARTING, JobStatus.RUNNING)
        finish(units, lease)
        assert jobs.get(job_id).status is JobStatus.QUEUED, "nobody holds it"
    assert heads == ["fused", "image", "audio"]
    assert claim(units).head is None


@pytest.mark.parametrize("again", range(5))
def test_two_last_finishers_at_once_join_exactly_once(
    database: Database, jobs: JobService, units: UnitService, again: int
) -> None:
    job_id = submit(jobs)
    fused, *last = claim_all(units)
    finish(units, fused)
    for lease in last:
        assert lease.head is not None
        units.record(lease, estimate(lease.head))
    together, woken = threading.Barrier(2), list[list[Any]]()

    def end(lease: Lease) -> None:
        together.wait()
        woken.append(list(units.finish_estimate(lease, stored(lease))))

    threads = [threading.Thread(target=end, args=(lease,)) for lease in last]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, woken)) == [0, 1], "the run was made ready once, by whoever was last"
    assert statuses(jobs.get(job_id)) == ["queued", "starting", "running", "queued"]
    assert len(claim(units).estimates) == 3
    assert units.claim_next(DEFAULT, "w") is None


def test_a_worker_that_dies_between_the_join_and_its_wake_up_holds_up_nothing(
    jobs: JobService, units: UnitService
) -> None:
    submit(jobs)
    for lease in claim_all(units):
        last = finish(units, lease)  # nobody is told
    assert list(units.take_due()) == last, "the dispatcher's next pass"


# Workers that go away


def test_a_lost_worker_costs_its_own_head_alone(database: Database, jobs: JobService, units: UnitService) -> None:
    job_id = submit(jobs)
    fused, image, _ = claim_all(units)
    units.record(fused, estimate("fused")[:3])
    finish(units, image)
    lose(database, fused)
    assert units.reap() == 1
    assert jobs.get(job_id).status is JobStatus.RUNNING, "sound is at work"
    assert data_of(jobs, job_id, "estimate.interrupted") == [{"head": "fused", "reason": "worker_lost", "attempt": 1}]
    with pytest.raises(LeaseLostError):
        units.record(fused, estimate("fused"))
    again = claim(units)
    assert (again.head, again.folder, again.recorded, again.attempt) == ("fused", "e2.2", 3, 2)
    assert jobs.get(job_id).attempt == 2
    assert states(database, job_id)["estimate1"] == "done"


def test_the_job_waits_only_when_its_last_unit_was_given_back(jobs: JobService, units: UnitService) -> None:
    job_id = submit(jobs)
    leases = claim_all(units)
    for lease in leases[:2]:
        assert units.release(lease, reason="worker_shutdown")
        assert jobs.get(job_id).status is JobStatus.STARTING
    units.release(leases[2], reason="child_crashed", error=ERROR)
    job = jobs.get(job_id)
    assert (job.status, job.status_reason) == (JobStatus.QUEUED, "child_crashed")
    assert [event["reason"] for event in data_of(jobs, job_id, "estimate.interrupted")] == [
        "worker_shutdown",
        "worker_shutdown",
        "child_crashed",
    ]
    assert [lease.attempt for lease in claim_all(units)] == [2, 2, 2]


@pytest.mark.parametrize("how", ["fail", "too often", "max_runtime"])
def test_one_head_that_fails_for_good_ends_the_job_and_its_siblings(
    database: Database, jobs: JobService, units: UnitService, how: str
) -> None:
    job_id = submit(jobs, **({"max_runtime_seconds": 3600.0} if how == "max_runtime" else {}))
    fused, image, audio = claim_all(units)
    finish(units, audio)
    if how == "fail":
        units.fail(image, ERROR, reason="data.invalid")
    elif how == "max_runtime":
        assert not units.release(image, reason=MAX_RUNTIME)
    else:
        for _ in range(3):
            units.release(image, reason="child_crashed", error=ERROR)
            image = units.claim(image.unit_id, "w") or image
    job = jobs.get(job_id)
    assert (job.status, job.error is not None) == (JobStatus.FAILED, True)
    assert states(database, job_id) == {
        "estimate2": "cancelled",
        "estimate1": "failed",
        "estimate0": "done",
        "run0": "cancelled",
    }
    for late in (lambda: units.desired(fused), lambda: units.heartbeat(fused), lambda: finish(units, fused)):
        with pytest.raises(LeaseLostError):  # its worker kills the child
            late()
    assert not units.release(fused, reason="worker_shutdown")
    assert jobs.get(job_id) == job, "terminal states never change"
    assert units.claim_next(DEFAULT, "w") is None
    assert units.take_due() == []
