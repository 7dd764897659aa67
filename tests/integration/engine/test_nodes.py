"""A job on several workers as the tables see it: who may come when, and what becomes of all when one goes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from core.errors import LeaseLostError
from core.jobs.lease import Lease, Node
from core.jobs.lifecycle import Lifecycle
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.submission import WakeUps
from core.jobs.units import UnitService
from core.persistence import Database
from core.persistence.repositories import UnitRepository
from tests.integration.engine.conftest import QUICK
from tests.integration.engine.samples import completed, run, spec
from tests.integration.engine.spread_jobs import DEFAULT, ERROR, claim, lose, states, statuses

MEETING = "10.0.0.7:4711"


@pytest.fixture
def units(database: Database) -> UnitService:
    """The worker's side, with leases that end only where a test says so."""
    return UnitService(database, QUICK.model_copy(update={"lease_seconds": 600.0, "retry_backoff_seconds": 0.0}))


def submit(jobs: JobService, **scheduling: Any) -> str:
    return jobs.submit(spec(scheduling={"nodes": 3, **scheduling}))[0].id


def run_of(database: Database, job_id: str) -> str:
    with database.read() as session:
        return next(unit.id for unit in UnitRepository(session).of_job(job_id) if unit.kind == "run")


def at_work(jobs: JobService, units: UnitService) -> tuple[str, Lease, Lease, Lease]:
    """A job whose three workers all have their leases."""
    job_id = submit(jobs)
    first = claim(units)
    units.open_nodes(first, MEETING)
    return job_id, first, claim(units), claim(units)


def assert_lost(units: UnitService, *leases: Lease) -> None:
    for lease in leases:
        with pytest.raises(LeaseLostError):
            units.heartbeat(lease)


def test_the_other_workers_may_come_once_they_know_where(
    database: Database, jobs: JobService, units: UnitService
) -> None:
    job_id = submit(jobs)
    assert states(database, job_id) == {"run0": "ready", "node1": "waiting", "node2": "waiting"}
    first = claim(units)
    token = f"{first.unit_id}.1"
    assert (first.part, first.is_helper, first.node) == ("", False, Node(count=3, number=0, token=token, meeting=None))
    assert units.claim_next(DEFAULT, "w") is None, "there is no place to come to yet"
    opened = units.open_nodes(first, MEETING)
    assert units.open_nodes(first, MEETING) == [], "once is enough"
    assert set(units.take_due()) == {wake_up.unit_id for wake_up in opened}
    helpers = [claim(units), claim(units)]
    assert [lease.node for lease in helpers] == [
        Node(count=3, number=number, token=token, meeting=MEETING) for number in (1, 2)
    ]
    assert [(lease.part, lease.folder, lease.is_helper) for lease in helpers] == [
        ("n1", "n1.1", True),
        ("n2", "n2.1", True),
    ]
    job = jobs.get(job_id)
    assert (statuses(job), job.attempt) == (["queued", "starting"], 1)
    assert units.claim_next(DEFAULT, "w") is None


def test_a_job_on_one_worker_knows_of_no_others(database: Database, jobs: JobService, units: UnitService) -> None:
    job_id = submit(jobs, nodes=1)
    assert states(database, job_id) == {"run0": "ready"}
    assert claim(units).node is None


def test_the_runs_success_ends_all(database: Database, jobs: JobService, units: UnitService) -> None:
    job_id, first, *helpers = at_work(jobs, units)
    units.record(first, run(1))
    assert not units.release(helpers[0], reason="worker_shutdown"), "its process ended a little earlier"
    units.succeed(first, completed(), [])
    assert jobs.get(job_id).status is JobStatus.SUCCEEDED
    assert states(database, job_id) == {"run0": "done", "node1": "done", "node2": "done"}
    assert_lost(units, *helpers)
    assert not units.release(helpers[1], reason="worker_shutdown"), "that it ended as well is no news"
    assert jobs.get(job_id).status is JobStatus.SUCCEEDED


def test_a_lost_helper_costs_the_run_an_attempt_and_all_meet_again(
    database: Database, jobs: JobService, units: UnitService
) -> None:
    job_id, first, lost, other = at_work(jobs, units)
    units.record(first, run(1)[:2])
    lose(database, lost)
    assert units.reap() == 1
    job = jobs.get(job_id)
    assert (job.status, job.status_reason) == (JobStatus.QUEUED, "worker_lost")
    assert states(database, job_id) == {"run0": "ready", "node1": "waiting", "node2": "waiting"}
    assert_lost(units, first, lost, other)
    assert not units.release(other, reason="child_crashed", error=ERROR), "it was put back before"

    again = claim(units)
    assert (again.fence, again.attempt, again.recorded) == (2, 2, 2)
    assert units.claim_next(DEFAULT, "w") is None
    units.open_nodes(again, "10.0.0.8:1")
    helper = claim(units)
    assert helper.node == Node(count=3, number=1, token=f"{first.unit_id}.2", meeting="10.0.0.8:1")
    units.record(again, run(1))
    units.succeed(again, completed(), [])
    assert jobs.get(job_id).status is JobStatus.SUCCEEDED


def test_whoever_crashes_first_is_the_one_failure(database: Database, jobs: JobService, units: UnitService) -> None:
    job_id, first, *helpers = at_work(jobs, units)
    assert not units.release(first, reason="child_crashed", error=ERROR)
    for helper in helpers:
        assert_lost(units, helper)
        assert not units.release(helper, reason="child_crashed", error=ERROR)
    assert states(database, job_id) == {"run0": "ready", "node1": "waiting", "node2": "waiting"}
    again = claim(units)
    units.open_nodes(again, MEETING)
    units.release(claim(units), reason="child_crashed", error=ERROR)
    assert not units.release(again, reason="child_crashed", error=ERROR), "counted already"
    assert jobs.get(job_id).status is JobStatus.QUEUED
    with pytest.raises(LeaseLostError):
        units.record(again, run(1))


def test_a_job_whose_helpers_crash_again_and_again_fails(database: Database, units: UnitService) -> None:
    jobs = JobService(database, max_attempts=2)
    job_id = submit(jobs)
    for _ in range(2):
        first = claim(units)
        units.open_nodes(first, MEETING)
        units.release(claim(units), reason="child_crashed", error=ERROR)
    job = jobs.get(job_id)
    assert (job.status, job.status_reason) == (JobStatus.FAILED, "child_crashed")
    assert states(database, job_id) == {"run0": "failed", "node1": "cancelled", "node2": "cancelled"}


def test_a_helper_that_ends_in_good_order_leaves_the_run_alone(
    database: Database, jobs: JobService, units: UnitService
) -> None:
    job_id, first, helper, _ = at_work(jobs, units)
    units.release(helper, reason="worker_shutdown")
    assert states(database, job_id) == {"run0": "leased", "node1": "waiting", "node2": "leased"}
    assert units.heartbeat(first) == "run"
    assert units.release(first, reason="worker_shutdown"), "its process ends with the helper's"
    assert jobs.get(job_id).status is JobStatus.QUEUED
    assert states(database, job_id) == {"run0": "ready", "node1": "waiting", "node2": "waiting"}


def test_helpers_that_do_not_come_are_no_failure(database: Database, jobs: JobService, units: UnitService) -> None:
    job_id = submit(jobs)
    first = claim(units)
    units.open_nodes(first, MEETING)
    assert not units.release(first, reason="nodes_missing", rest_seconds=60.0)
    job = jobs.get(job_id)
    assert (job.status, job.status_reason, job.error) == (JobStatus.QUEUED, "nodes_missing", None)
    assert states(database, job_id) == {"run0": "ready", "node1": "waiting", "node2": "waiting"}
    assert units.claim_next(DEFAULT, "w") is None, "it rests"


@pytest.mark.parametrize("came", [0, 2])
def test_cancelling_and_pausing(database: Database, jobs: JobService, units: UnitService, came: int) -> None:
    lifecycle = Lifecycle(database, jobs, WakeUps(database, None))
    job_id = submit(jobs)
    first = claim(units)
    units.open_nodes(first, MEETING)
    helpers = [claim(units) for _ in range(came)]
    lifecycle.pause(job_id)
    assert units.heartbeat(first) == "pause"
    assert [units.heartbeat(helper) for helper in helpers] == ["pause"] * came
    units.release(first, reason="pause_requested")
    assert jobs.get(job_id).status is JobStatus.PAUSED
    assert states(database, job_id) == {"run0": "paused", "node1": "waiting", "node2": "waiting"}
    assert_lost(units, *helpers)

    lifecycle.resume(job_id)
    again = claim(units)
    units.open_nodes(again, MEETING)
    helpers = [claim(units) for _ in range(came)]
    jobs.cancel(job_id)
    assert units.heartbeat(again) == "cancel"
    for helper in helpers:
        units.release(helper, reason="cancel_requested")
    assert jobs.get(job_id).status is JobStatus.CANCELLING
    units.release(again, reason="cancel_requested")
    assert jobs.get(job_id).status is JobStatus.CANCELLED
    assert states(database, job_id) == {"run0": "cancelled", "node1": "cancelled", "node2": "cancelled"}


def test_what_cannot_be_mended_ends_all(database: Database, jobs: JobService, units: UnitService) -> None:
    job_id, first, *helpers = at_work(jobs, units)
    jobs.cancel(job_id)
    units.fail(first, ERROR, reason="data.invalid")
    assert jobs.get(job_id).status is JobStatus.CANCELLED, "as its owner wanted"
    assert_lost(units, *helpers)


def test_a_second_job_waits_until_the_first_has_all_its_workers(
    database: Database, jobs: JobService, units: UnitService
) -> None:
    first, second = submit(jobs), submit(jobs)
    gathering = claim(units)
    assert gathering.job_id == first
    assert units.devices_of_next(DEFAULT, at_most=8) is None, "nobody waits for slots for what may not be taken"
    assert units.claim_next(DEFAULT, "w") is None, "the second would hold a worker that the first needs"
    assert units.claim(run_of(database, second), "w") is None, "nor by its name"
    units.open_nodes(gathering, MEETING)
    assert [claim(units).job_id, claim(units).job_id] == [first, first]
    assert claim(units).job_id == second


def test_what_the_first_job_lacks_comes_before_a_run_with_any_priority(jobs: JobService, units: UnitService) -> None:
    first = submit(jobs, nodes=2, priority=-100)
    gathering = claim(units)
    second, alone = submit(jobs, nodes=2, priority=100), submit(jobs, nodes=1, priority=50)
    units.open_nodes(gathering, MEETING)
    assert claim(units).job_id == alone, "a job on one worker holds up nobody"
    helper = claim(units)
    assert (helper.job_id, helper.part) == (first, "n1")
    assert claim(units).job_id == second


def test_each_queue_gathers_for_itself(jobs: JobService, units: UnitService) -> None:
    submit(jobs, queue="a")
    other = submit(jobs, queue="b")
    assert units.claim_next(("a", "b"), "w") is not None
    lease = units.claim_next(("a", "b"), "w")
    assert lease is not None
    assert lease.job_id == other
    assert units.claim_next(("a", "b"), "w") is None


def test_a_job_whose_workers_did_not_come_lets_the_next_one_try(jobs: JobService, units: UnitService) -> None:
    submit(jobs)
    second = submit(jobs)
    gathering = claim(units)
    units.open_nodes(gathering, MEETING)
    units.release(gathering, reason="nodes_missing", rest_seconds=60.0)
    assert claim(units).job_id == second


@pytest.mark.parametrize("by_name", [False, True])
def test_two_claims_at_the_same_moment_take_one_run(
    database: Database, jobs: JobService, units: UnitService, monkeypatch: pytest.MonkeyPatch, by_name: bool
) -> None:
    runs = [run_of(database, submit(jobs)) for _ in range(2)]
    has_taken, other_is_done = threading.Event(), threading.Event()
    claim_row = UnitRepository.claim

    def claim_and_hold(self: UnitRepository, unit_id: str, **how: Any) -> Any:
        found = claim_row(self, unit_id, **how)
        if not has_taken.is_set():
            has_taken.set()
            other_is_done.wait(0.3)  # not committed: the other claim has to wait, or goes by what it sees
        return found

    monkeypatch.setattr(UnitRepository, "claim", claim_and_hold)
    leases: list[Lease | None] = []

    def take(unit_id: str) -> None:
        leases.append(units.claim(unit_id, "w") if by_name else units.claim_next(DEFAULT, "w"))

    earlier = threading.Thread(target=take, args=(runs[0],))
    earlier.start()
    assert has_taken.wait(10.0)
    take(runs[1])
    other_is_done.set()
    earlier.join()
    assert sorted(lease is None for lease in leases) == [False, True]
