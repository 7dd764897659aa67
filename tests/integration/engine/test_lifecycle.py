"""Pause, resume, retry, priorities and limits as the tables see them: no processes. On both databases."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import text

from core.errors import ConflictError, IdempotencyError, LimitError, NotFoundError, SpecError
from core.jobs.experiments import ExperimentService
from core.jobs.lease import Lease
from core.jobs.lifecycle import Lifecycle
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.submission import WakeUps
from core.jobs.units import MAX_RUNTIME, UnitService
from core.jobs.views import JobView
from core.persistence import Database
from core.spec.experiment import ExperimentSpec
from tests.integration.engine.samples import completed, run, spec

ERROR = {"code": "child_crashed", "message": "it crashed", "hint": None}
DEFAULT = ("default",)


@pytest.fixture
def lifecycle(database: Database, jobs: JobService) -> Lifecycle:
    return Lifecycle(database, jobs, WakeUps(database, None))


def _statuses(job: JobView) -> list[str]:
    return [transition.status.value for transition in job.transitions]


def _sql(database: Database, statement: str, **values: Any) -> None:
    with database.write() as session:
        session.execute(text(statement), values)


def _age(database: Database) -> None:
    _sql(database, "UPDATE unit SET lease_until = '2000-01-01 00:00:00.000000+00'")


def _submit(jobs: JobService, **scheduling: Any) -> str:
    return jobs.submit(spec(scheduling=scheduling))[0].id


def _claim(units: UnitService) -> Lease:
    lease = units.claim_next(DEFAULT, "w")
    assert lease is not None
    return lease


def _failed(jobs: JobService, units: UnitService, **scheduling: Any) -> str:
    job_id = _submit(jobs, **scheduling)
    units.fail(_claim(units), ERROR, reason="data.invalid")
    return job_id


# Pause and resume


def test_a_job_that_waits_is_paused_at_once_and_nobody_touches_it(
    jobs: JobService, units: UnitService, lifecycle: Lifecycle
) -> None:
    job_id = _submit(jobs)
    paused = lifecycle.pause(job_id)
    assert (paused.status, paused.status_reason, paused.desired) == (JobStatus.PAUSED, "pause_requested", "pause")
    assert paused.queue_position is None
    assert lifecycle.pause(job_id) == jobs.get(job_id), "doing it twice is fine"
    assert units.take_due() == []
    assert units.claim_next(DEFAULT, "w") is None
    assert units.reap() == 0
    resumed = lifecycle.resume(job_id)
    assert (resumed.status, resumed.desired, resumed.queue_position) == (JobStatus.QUEUED, "run", 1)
    assert lifecycle.resume(job_id).version == resumed.version, "doing it twice is fine"
    assert _claim(units).job_id == job_id
    assert _statuses(jobs.get(job_id)) == ["queued", "paused", "queued", "starting"]


def test_a_resumed_job_is_announced_at_once(database: Database, jobs: JobService, units: UnitService) -> None:
    told: list[str] = []
    lifecycle = Lifecycle(database, jobs, WakeUps(database, lambda wake_up: told.append(wake_up.unit_id)))
    job_id = _submit(jobs)
    (unit_id,) = units.take_due()
    lifecycle.pause(job_id)
    lifecycle.resume(job_id)
    assert told == [unit_id]
    assert units.take_due() == [], "who was told is not told again by the next pass"


@pytest.mark.parametrize("end", ["release", "crash", "reap", "succeed", "fail"])
def test_a_pausing_job_is_paused_however_its_process_ends_but_for_its_own_end(
    database: Database, jobs: JobService, units: UnitService, lifecycle: Lifecycle, end: str
) -> None:
    job_id = _submit(jobs)
    lease = _claim(units)
    units.record(lease, run(3))
    assert lifecycle.pause(job_id).status is JobStatus.PAUSING
    assert lifecycle.pause(job_id).status is JobStatus.PAUSING
    assert (units.desired(lease), units.heartbeat(lease)) == ("pause", "pause")
    if end == "release":
        assert units.release(lease, reason="pause_requested") is False
        assert units.release(lease, reason="pause_requested") is False, "an answer that was lost may be asked for again"
    elif end == "crash":
        units.release(lease, reason="child_crashed", error=ERROR)
    elif end == "reap":
        _age(database)
        assert units.reap() == 1
    elif end == "succeed":
        units.succeed(lease, completed(), [])
    else:
        units.fail(lease, ERROR, reason="data.invalid")
    job = jobs.get(job_id)
    assert job.status.value == {"succeed": "succeeded", "fail": "failed"}.get(end, "paused")
    assert units.claim_next(DEFAULT, "w") is None
    if job.status is JobStatus.PAUSED:
        assert (job.phase, job.finished_at) == (None, None)
        with database.read() as session:
            assert session.execute(text("SELECT failures FROM unit")).scalar_one() == 0, "it was to end"
        lifecycle.resume(job_id)
        again = _claim(units)
        assert (again.fence, again.recorded) == (2, 11)
        units.record(again, run(3))
        units.succeed(again, completed(), [])
        assert jobs.get(job_id).status is JobStatus.SUCCEEDED


@pytest.mark.parametrize("stopped", [True, False])
def test_a_pause_taken_back_lets_the_job_go_on(
    jobs: JobService, units: UnitService, lifecycle: Lifecycle, stopped: bool
) -> None:
    """`stopped`: its process had heard of the pause already."""
    job_id = _submit(jobs)
    lease = _claim(units)
    units.record(lease, run(3)[:3])
    lifecycle.pause(job_id)
    assert lifecycle.resume(job_id).status is JobStatus.STARTING
    if stopped:
        assert units.release(lease, reason="pause_requested") is True
        waiting = jobs.get(job_id)
        assert (waiting.status, waiting.status_reason) == (JobStatus.QUEUED, "resume_requested")
        lease = _claim(units)
    units.record(lease, run(3))
    assert jobs.get(job_id).status is JobStatus.RUNNING
    units.succeed(lease, completed(), [])


def test_cancel_wins_over_pause(database: Database, jobs: JobService, units: UnitService, lifecycle: Lifecycle) -> None:
    waiting = _submit(jobs)
    lifecycle.pause(waiting)
    assert jobs.cancel(waiting).status is JobStatus.CANCELLED
    running = _submit(jobs)
    lease = _claim(units)
    lifecycle.pause(running)
    assert jobs.cancel(running).status is JobStatus.CANCELLING
    with pytest.raises(ConflictError, match="cancelling job cannot be paused") as refused:
        lifecycle.pause(running)
    assert refused.value.hint is not None
    with pytest.raises(ConflictError, match="cancelling job cannot be resumed"):
        lifecycle.resume(running)
    assert units.desired(lease) == "cancel", "a refused action changes nothing"
    _age(database)
    assert units.reap() == 1
    assert jobs.get(running).status is JobStatus.CANCELLED


# Priorities and queues


def test_the_highest_priority_goes_first_then_the_oldest(jobs: JobService, units: UnitService) -> None:
    low, first, second, high = (_submit(jobs, priority=priority) for priority in (-5, 0, 0, 7))
    expected = [high, first, second, low]
    assert [jobs.get(job_id).queue_position for job_id in expected] == [1, 2, 3, 4]
    told = list(units.take_due())
    leases = [_claim(units) for _ in expected]
    assert [lease.job_id for lease in leases] == expected
    assert told == [lease.unit_id for lease in leases], "wake-ups come in the order of claims"
    assert units.claim_next(DEFAULT, "w") is None


def test_queues_keep_to_themselves(jobs: JobService, units: UnitService) -> None:
    here, big = _submit(jobs), _submit(jobs, queue="big-gpu", priority=100)
    small = _submit(jobs, queue="small.gpu", priority=1)
    assert [jobs.get(job_id).queue_position for job_id in (here, big, small)] == [1, 1, 1]
    first = units.claim_next(("default", "small.gpu"), "w", "wrk_1")
    second = units.claim_next(("default", "small.gpu"), "w")
    assert first is not None
    assert second is not None
    assert [first.job_id, second.job_id] == [small, here]
    assert units.claim_next(("default", "small.gpu"), "w") is None
    assert units.claim_next((), "w") is None
    assert jobs.get(big).status is JobStatus.QUEUED


def test_a_unit_that_rests_is_passed_over(database: Database, jobs: JobService, units: UnitService) -> None:
    resting, other = _submit(jobs, priority=9), _submit(jobs)
    _sql(database, "UPDATE unit SET run_after = '2100-01-01 00:00:00.000000+00' WHERE job_id = :job", job=resting)
    assert _claim(units).job_id == other
    assert units.claim_next(DEFAULT, "w") is None


def test_many_threads_claim_each_unit_once_and_in_order(jobs: JobService, units: UnitService) -> None:
    ids = [_submit(jobs, priority=place % 3) for place in range(30)]
    taken: list[list[Lease]] = [[] for _ in range(6)]

    def work(mine: list[Lease]) -> None:
        while len(mine) < 30 and sum(map(len, taken)) < 30:
            lease = units.claim_next(DEFAULT, "w")
            if lease is not None:
                mine.append(lease)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(lease.job_id for mine in taken for lease in mine) == sorted(ids)
    priorities = [[lease.spec["scheduling"]["priority"] for lease in mine] for mine in taken]
    assert priorities == [sorted(each, reverse=True) for each in priorities]


# Run time


def test_leased_time_adds_up_over_attempts_and_ends_the_job(
    database: Database, jobs: JobService, units: UnitService, lifecycle: Lifecycle
) -> None:
    job_id = _submit(jobs, max_runtime_seconds=100.0)
    lease = _claim(units)
    assert lease.runtime_left_seconds == 100.0
    _began(database, seconds_ago=30)
    units.release(lease, reason="worker_shutdown")
    assert jobs.get(job_id).run_seconds == pytest.approx(30, abs=5)
    lease = _claim(units)
    assert lease.runtime_left_seconds == pytest.approx(70, abs=5)
    _began(database, seconds_ago=40)
    _sql(database, "UPDATE unit SET heartbeat_at = leased_at")  # it was never heard of: nothing is known to be used
    _age(database)
    assert units.reap() == 1
    assert jobs.get(job_id).run_seconds == pytest.approx(30, abs=5)
    lease = _claim(units)
    _began(database, seconds_ago=20)
    lifecycle.pause(job_id)
    units.release(lease, reason="pause_requested")
    assert jobs.get(job_id).run_seconds == pytest.approx(50, abs=5)
    lifecycle.resume(job_id)
    lease = _claim(units)
    _began(database, seconds_ago=60)
    units.release(lease, reason="worker_shutdown")
    job = jobs.get(job_id)
    assert (job.status, job.status_reason) == (JobStatus.FAILED, "max_runtime")
    assert job.error is not None
    assert job.error["code"] == "max_runtime"
    assert "scheduling.max_runtime_seconds" in job.error["hint"]


@pytest.mark.parametrize("desired", ["run", "pause", "cancel"])
def test_an_attempt_that_was_stopped_for_its_time_fails_the_job_unless_it_was_cancelled(
    jobs: JobService, units: UnitService, lifecycle: Lifecycle, desired: str
) -> None:
    job_id = _submit(jobs, max_runtime_seconds=100.0)
    lease = _claim(units)
    if desired != "run":
        (lifecycle.pause if desired == "pause" else jobs.cancel)(job_id)
    units.release(lease, reason=MAX_RUNTIME)
    job = jobs.get(job_id)
    expected = ("cancelled", "cancel_requested") if desired == "cancel" else ("failed", "max_runtime")
    assert (job.status.value, job.status_reason) == expected


def _began(database: Database, *, seconds_ago: int) -> None:
    """Make the lease at hand that old."""
    ago = (
        "clock_timestamp() - make_interval(secs => :seconds)"
        if database.is_postgresql
        else "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || :seconds || ' seconds')"
    )
    _sql(database, f"UPDATE unit SET leased_at = {ago} WHERE state = 'leased'", seconds=seconds_ago)


# How many may wait


def test_no_more_jobs_may_wait_than_the_operator_allows(database: Database, units: UnitService) -> None:
    jobs = JobService(database, max_pending=3)
    experiments = ExperimentService(database, max_pending=3)
    lifecycle = Lifecycle(database, jobs, WakeUps(database, None))
    ids = [jobs.submit(spec(), idempotency_key=f"k{n}")[0].id for n in range(3)]
    lifecycle.pause(ids[0])
    with pytest.raises(LimitError, match=r"jobs\.max_pending") as refused:
        jobs.submit(spec())
    assert refused.value.hint is not None
    assert jobs.submit(spec(), idempotency_key="k1")[0].id == ids[1], "what was accepted before is answered as before"
    jobs.submit(spec(), project="another")
    _claim(units)
    jobs.submit(spec())
    _claim(units)
    two = ExperimentSpec.model_validate({"job": spec().resolved(), "strategies": ["naive"], "seeds": [0, 1]})
    with pytest.raises(LimitError):
        experiments.submit(two)
    assert experiments.list_experiments().data == (), "all or nothing"
    assert len(jobs.list_jobs().data) == 4
    jobs.cancel(ids[0])
    experiments.submit(two)


def test_submissions_at_once_do_not_take_the_same_last_place(database: Database) -> None:
    jobs = JobService(database, max_pending=5)
    outcomes: list[str] = []

    def submit() -> None:
        try:
            jobs.submit(spec())
            outcomes.append("accepted")
        except LimitError:
            outcomes.append("refused")

    threads = [threading.Thread(target=submit) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["accepted"] * 5 + ["refused"] * 7


# Retry


def test_a_retry_is_a_new_job_that_knows_where_to_go_on_from(
    jobs: JobService, units: UnitService, lifecycle: Lifecycle
) -> None:
    first = _failed(jobs, units, priority=3, max_runtime_seconds=10.0)
    before = jobs.get(first)
    second, created = lifecycle.retry(first)
    assert created
    assert (second.retry_of, second.status, second.attempt, second.last_seq) == (first, JobStatus.QUEUED, 0, 1)
    assert (second.spec, second.spec_fingerprint) == (before.spec, before.spec_fingerprint)
    assert jobs.get(first) == before, "terminal states never change"
    lease = _claim(units)
    assert (lease.job_id, lease.retry_of, lease.recorded) == (second.id, (first,), 0)
    jobs.cancel(second.id)
    units.release(lease, reason="cancel_requested")
    third, _ = lifecycle.retry(second.id, scheduling={"max_runtime_seconds": None, "queue": "big"})
    assert (third.max_runtime_seconds, third.queue, third.priority) == (None, "big", 3)
    assert third.spec_fingerprint == before.spec_fingerprint, "its checkpoints stay good"
    lease_of_third = units.claim_next(("big",), "w")
    assert lease_of_third is not None
    assert lease_of_third.retry_of == (second.id, first)


def test_a_retry_has_an_idempotency_key_like_a_submission(
    jobs: JobService, units: UnitService, lifecycle: Lifecycle
) -> None:
    failed = _failed(jobs, units)
    made, created = lifecycle.retry(failed, idempotency_key="once")
    again, created_again = lifecycle.retry(failed, idempotency_key="once")
    assert (again.id, created, created_again) == (made.id, True, False)
    with pytest.raises(IdempotencyError, match=r"idempotency\.mismatch"):
        lifecycle.retry(failed, scheduling={"priority": 1}, idempotency_key="once")


def test_what_cannot_be_retried_says_why(jobs: JobService, units: UnitService, lifecycle: Lifecycle) -> None:
    job_id = _submit(jobs)
    with pytest.raises(ConflictError, match="queued job cannot be retried"):
        lifecycle.retry(job_id)
    lease = _claim(units)
    units.record(lease, run(3))
    units.succeed(lease, completed(), [])
    with pytest.raises(ConflictError, match="succeeded job cannot be retried"):
        lifecycle.retry(job_id)
    failed = _failed(jobs, units)
    with pytest.raises(NotFoundError):
        lifecycle.retry(failed, project="another")
    with pytest.raises(SpecError, match=r"spec\.invalid"):
        lifecycle.retry(failed, scheduling={"prio": 1})
