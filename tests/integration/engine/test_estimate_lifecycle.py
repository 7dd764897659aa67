"""A job in several units and its owner: cancel, pause, retry, progress, log, checkpoints. On both databases."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from core.errors import ConflictError, LeaseLostError, SpecError
from core.events import Progress
from core.jobs.lease import Lease
from core.jobs.lifecycle import Lifecycle
from core.jobs.logs import LogReader
from core.jobs.service import JobService
from core.jobs.shared_checkpoint import SharedCheckpoint, StoredFile
from core.jobs.state import JobStatus
from core.jobs.submission import WakeUps
from core.jobs.units import UnitService
from core.persistence import Database
from tests.integration.engine.conftest import QUICK
from tests.integration.engine.samples import completed, estimate, run, spec
from tests.integration.engine.spread_jobs import (
    DEFAULT,
    ERROR,
    claim,
    claim_all,
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


@pytest.fixture
def lifecycle(database: Database, jobs: JobService) -> Lifecycle:
    return Lifecycle(database, jobs, WakeUps(database, None))


# Its owner


@pytest.mark.parametrize("end", ["release", "crash", "reap", "fail", "finish"])
def test_a_cancelled_job_ends_when_its_last_unit_is_back(
    database: Database, jobs: JobService, units: UnitService, end: str
) -> None:
    job_id = submit(jobs)
    leases = claim_all(units)
    for lease in leases:
        units.record(lease, estimate(lease.head or "")[:2])
    jobs.cancel(job_id)
    assert [units.desired(lease) for lease in leases] == ["cancel"] * 3
    for position, lease in enumerate(leases):
        assert jobs.get(job_id).status is JobStatus.CANCELLING, position
        _end(database, units, lease, end)
    job = jobs.get(job_id)
    assert (job.status, statuses(job)) == (
        JobStatus.CANCELLED,
        ["queued", "starting", "running", "cancelling", "cancelled"],
    )
    assert set(states(database, job_id).values()) <= {"cancelled", "done", "failed"}
    assert units.take_due() == []


def _end(database: Database, units: UnitService, lease: Lease, end: str) -> None:
    if end == "release":
        assert not units.release(lease, reason="cancel_requested")
    elif end == "crash":
        units.release(lease, reason="child_crashed", error=ERROR)
    elif end == "fail":
        units.fail(lease, ERROR, reason="data.invalid")
    elif end == "finish":
        assert finish(units, lease) == []
    else:
        lose(database, lease)
        assert units.reap() == 1


def test_a_job_that_was_cancelled_between_two_estimates_ends_at_once(
    database: Database, jobs: JobService, units: UnitService
) -> None:
    job_id = submit(jobs)
    finish(units, claim(units))
    assert jobs.cancel(job_id).status is JobStatus.CANCELLED
    assert states(database, job_id) == {
        "estimate2": "done",
        "estimate1": "cancelled",
        "estimate0": "cancelled",
        "run0": "cancelled",
    }


def test_a_pause_holds_everything_until_it_is_resumed(
    database: Database, jobs: JobService, units: UnitService, lifecycle: Lifecycle
) -> None:
    """One head at work, one about to be done, one that waits."""
    job_id = submit(jobs)
    fused, image = claim(units), claim(units)
    units.record(fused, estimate("fused")[:2])
    assert lifecycle.pause(job_id).status is JobStatus.PAUSING
    assert units.claim_next(DEFAULT, "w") is None, "nothing new begins"
    assert finish(units, image) == []
    assert jobs.get(job_id).status is JobStatus.PAUSING
    units.release(fused, reason="pause_requested")
    assert jobs.get(job_id).status is JobStatus.PAUSED
    assert states(database, job_id) == {
        "estimate2": "paused",
        "estimate1": "done",
        "estimate0": "paused",
        "run0": "waiting",
    }
    assert lifecycle.resume(job_id).status is JobStatus.QUEUED
    leases = [claim(units), claim(units)]
    assert [(lease.head, lease.recorded) for lease in leases] == [("fused", 2), ("audio", 0)]
    for lease in leases:
        last = finish(units, lease)
    assert len(last) == 1


def test_a_pause_taken_back_while_some_units_are_stopped_already(
    database: Database, jobs: JobService, units: UnitService, lifecycle: Lifecycle
) -> None:
    job_id = submit(jobs)
    fused, image, audio = claim_all(units)
    lifecycle.pause(job_id)
    units.release(image, reason="pause_requested")
    assert lifecycle.resume(job_id).status is JobStatus.STARTING
    assert states(database, job_id)["estimate1"] == "ready"
    assert units.release(audio, reason="pause_requested"), "it had heard of the pause; it goes on"
    assert jobs.get(job_id).status is JobStatus.STARTING
    assert [lease.head for lease in (claim(units), claim(units))] == ["image", "audio"]
    units.record(fused, estimate("fused"))
    assert jobs.get(job_id).status is JobStatus.RUNNING


def test_the_last_estimate_of_a_pausing_job_leaves_a_paused_run(
    database: Database, jobs: JobService, units: UnitService, lifecycle: Lifecycle
) -> None:
    job_id = submit(jobs)
    leases = claim_all(units)
    lifecycle.pause(job_id)
    for lease in leases:
        assert finish(units, lease) == []
    assert jobs.get(job_id).status is JobStatus.PAUSED
    assert states(database, job_id)["run0"] == "paused"
    lifecycle.resume(job_id)
    lease = claim(units)
    assert (lease.head, len(lease.estimates)) == (None, 3)
    assert jobs.cancel(job_id).status is JobStatus.CANCELLING


def test_a_retry_may_estimate_together_what_was_spread_and_the_other_way_round(
    database: Database, jobs: JobService, units: UnitService, lifecycle: Lifecycle
) -> None:
    spread = submit(jobs)
    jobs.cancel(spread)
    together, _ = lifecycle.retry(spread, scheduling={"spread_estimates": False})
    assert states(database, together.id) == {"run0": "ready"}
    jobs.cancel(together.id)
    again, _ = lifecycle.retry(together.id, scheduling={"spread_estimates": True})
    assert claim(units).retry_of == (together.id, spread)
    assert again.spec_fingerprint == jobs.get(spread).spec_fingerprint
    other, _ = jobs.submit(spec())
    jobs.cancel(other.id)
    with pytest.raises(SpecError, match=r"scheduling\.spread_estimates is for the strategy 'offline'") as refused:
        lifecycle.retry(other.id, scheduling={"spread_estimates": True})
    assert "leave that field" in (refused.value.hint or "")


# What people see


def test_progress_is_that_of_all_heads_together(jobs: JobService, units: UnitService) -> None:
    job_id = submit(jobs)
    fused, image, _ = claim_all(units)

    def at(step: int, eta: float | None) -> Progress:
        return Progress(
            phase="estimating",
            percent=0.0,
            eta_seconds=eta,
            super_epoch=0,
            epoch=0,
            epochs=3,
            step=step,
            steps=1000,
            updated_at=float(step),
        )

    encoding = at(0, None).model_copy(update={"phase": "encoding", "steps": 0, "detail": "features", "updated_at": 9e9})
    units.heartbeat(image, encoding)
    told = jobs.get(job_id)
    assert told.progress is not None
    assert (told.phase, told.progress["detail"]) == ("encoding", "features")
    units.heartbeat(fused, at(200, 80.0))  # 10 a second
    told = jobs.get(job_id)
    assert told.progress is not None
    assert (told.progress["step"], told.progress["detail"]) == (200, None)
    units.heartbeat(image, at(100, 180.0))  # 5 a second
    progress = jobs.get(job_id).progress
    assert progress is not None
    assert (progress["step"], progress["percent"], progress["eta_seconds"]) == (300, 30.0, round(700 / 15, 1))
    units.finish_estimate(image, stored(image), at(150, 170.0))
    progress = jobs.get(job_id).progress
    assert progress is not None
    assert (progress["step"], progress["phase"]) == (350, "estimating")
    version = jobs.get(job_id).version
    units.heartbeat(fused, at(200, 80.0))
    assert jobs.get(job_id).version == version


def test_all_units_write_to_one_log(database: Database, jobs: JobService, units: UnitService) -> None:
    job_id = submit(jobs)
    fused, image, _ = claim_all(units)
    assert units.logs.append(fused, ["a\n", "b\n"], after=0) == 2
    assert units.logs.append(image, ["c\n"], after=0) == 1
    assert units.logs.append(image, ["c\n"], after=0) == 1, "an answer that was lost"
    assert units.logs.append(fused, ["d\n"], after=2) == 3
    with pytest.raises(ValueError, match="ends at 1, not at 3"):
        units.logs.append(image, ["e\n"], after=3)
    assert (units.logs.end(image).seq, units.logs.end(image).bytes) == (1, 8)
    chunks = LogReader(database).page(job_id).data
    assert [(chunk.seq, chunk.text) for chunk in chunks] == [(1, "a\n"), (2, "b\n"), (3, "c\n"), (4, "d\n")]


def test_shared_checkpoints_are_each_heads_own(jobs: JobService, units: UnitService) -> None:
    job_id = submit(jobs)
    leases = claim_all(units)
    files = (StoredFile(name="events.jsonl", bytes=1, sha256="0" * 64),)
    for lease in leases:
        for name in ("00000002", "00000003", "00000004"):
            units.checkpoints.record(
                lease,
                SharedCheckpoint(
                    job_id=job_id,
                    part=lease.part,
                    fence=lease.fence,
                    name=name,
                    uri=f"jobs/{job_id}/{lease.folder}/checkpoints/{name}",
                    files=files,
                ),
            )
    found = units.checkpoints.of_jobs([job_id], "e1")
    assert [(each.folder, each.name) for each in found] == [("e1.1", "00000004"), ("e1.1", "00000003")]
    assert units.checkpoints.of_jobs([job_id]) == (), "the run has none"
    assert len(units.checkpoints.of_jobs([job_id], None)) == 6
    shown = units.checkpoints.page(job_id, project="default").data
    assert [(each.head, each.name) for each in shown][:3] == [
        ("audio", "00000004"),
        ("audio", "00000003"),
        ("image", "00000004"),
    ]


@pytest.mark.parametrize(
    "write",
    [
        lambda units, stale: units.heartbeat(stale),
        lambda units, stale: units.record(stale, estimate("fused")),
        lambda units, stale: units.finish_estimate(stale, stored(stale)),
        lambda units, stale: units.logs.append(stale, ["x\n"], after=0),
    ],
    ids=["heartbeat", "record", "finish", "log"],
)
def test_a_stale_lease_of_one_unit_writes_nothing_though_others_hold(
    jobs: JobService, units: UnitService, write: Callable[[UnitService, Lease], object]
) -> None:
    job_id = submit(jobs)
    fused, *_ = claim_all(units)
    units.release(fused, reason="worker_shutdown")
    assert claim(units).head == "fused"
    before = jobs.get(job_id)
    with pytest.raises(LeaseLostError):
        write(units, fused)
    assert jobs.get(job_id) == before


# Anything at all


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_in_whatever_order_the_job_and_its_units_fit(
    database: Database, jobs: JobService, units: UnitService, lifecycle: Lifecycle, seed: int
) -> None:
    """Workers and the owner act at random; after every step the job is what its units are. In the end it ends."""
    chance = random.Random(seed)
    job_id = submit(jobs)
    wishes = [lifecycle.pause, lifecycle.resume, lifecycle.resume, *([jobs.cancel] if seed % 3 == 0 else [])]
    held: list[Lease] = []
    ended: str | None = None
    for step in range(90):
        calm = step >= 40  # from here on everybody does their work
        act = chance.choice(["claim", "claim", "end"] if calm else ["claim", "claim", "end", "lose", "owner", "stale"])
        if act == "claim":
            lease = units.claim_next(DEFAULT, "w")
            held += [lease] if lease is not None else []
        elif act == "owner":
            with _refused():
                chance.choice(wishes)(job_id)
        elif held and act == "stale":
            with _refused():
                units.heartbeat(replace(held[0], fence=held[0].fence + 1))
        elif held:
            lease = held.pop(chance.randrange(len(held)))
            with _refused():
                _act(database, units, lease, act, chance, calm=calm)
        if calm:
            with _refused():
                lifecycle.resume(job_id)
        job, found = jobs.get(job_id), states(database, job_id)
        leased = [name for name, state in found.items() if state == "leased"]
        at_work = job.status.value in ("starting", "running", "pausing", "cancelling")
        assert at_work == bool(leased), (seed, step, act, job.status, found)
        estimates_done = all(state == "done" for name, state in found.items() if name != "run0")
        assert estimates_done or found["run0"] in ("waiting", "cancelled"), (seed, step, act, found)
        assert ended in (None, job.status.value), "terminal states never change"
        ended = job.status.value if job.status.is_terminal else None
        if job.status is JobStatus.PAUSED:
            assert "ready" not in found.values()
        if ended:
            assert set(found.values()) <= {"done", "failed", "cancelled"}
    events = jobs.events(job_id, limit=1000).data
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert ended is not None, states(database, job_id)


def _refused() -> contextlib.suppress:
    """A write that comes too late is refused, and changes nothing."""
    return contextlib.suppress(LeaseLostError, ConflictError)


def _act(database: Database, units: UnitService, lease: Lease, act: str, chance: random.Random, *, calm: bool) -> None:
    """What a worker does with its lease, or what becomes of it."""
    if act == "lose":
        lose(database, lease)
        units.reap()
    elif not calm and chance.random() < 0.5:
        units.release(lease, reason="worker_shutdown", error=ERROR if chance.random() < 0.2 else None)
    elif lease.head is not None:
        finish(units, lease)
    else:
        units.record(lease, run(3))
        units.succeed(lease, completed(), [])
