"""The owner's side of a job, on both databases."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from core.errors import ConflictError, IdempotencyError, Issue, NotFoundError, SpecError
from core.events import Cost, JobEvent, JournalEntry, PhaseStarted, PretrainEpoch
from core.jobs.broker import WakeUp
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.units import UnitService
from core.jobs.views import JobView, MetricPoint
from core.persistence import Database
from core.settings import EngineSettings
from tests.integration.engine.samples import completed, measurement, run, spec


@pytest.fixture
def jobs(database: Database) -> JobService:
    return JobService(database)


@pytest.fixture
def units(database: Database) -> UnitService:
    return UnitService(database, EngineSettings())


def test_a_submitted_job_waits_and_has_its_first_event(jobs: JobService) -> None:
    warning = Issue(code="split.small", detail="few rows", severity="warning")
    job, created = jobs.submit(spec(name="first", seed=7, metadata={"team": "a"}), warnings=[warning])
    assert created
    assert job == jobs.get(job.id)
    assert (job.name, job.seed, job.metadata, job.status) == ("first", 7, {"team": "a"}, JobStatus.QUEUED)
    assert (job.queue_position, job.attempt, job.last_seq, job.version, job.desired) == (1, 0, 1, 1, "run")
    assert job.warnings == (warning.to_json(),)
    assert [t.status for t in job.transitions] == [JobStatus.QUEUED]
    assert job.created_at.utcoffset() is not None
    (event,) = jobs.events(job.id).data
    assert (event.seq, event.type, event.level, event.attempt) == (1, "job.created", "info", 0)
    assert event.id == f"evt_{job.id[4:]}_1"


def test_another_projects_job_is_not_there(jobs: JobService) -> None:
    job, _ = jobs.submit(spec(), project="ours")
    for look in (jobs.get, jobs.events, jobs.super_epochs, jobs.metrics, jobs.artifacts, jobs.last_seq, jobs.cancel):
        with pytest.raises(NotFoundError, match=r"job\.not_found"):
            look(job.id, project="theirs")
    assert jobs.list_jobs(project="theirs").data == ()
    assert jobs.get(job.id, project="ours").id == job.id


def test_pages_are_newest_first_and_complete(jobs: JobService) -> None:
    submitted = [jobs.submit(spec(seed=seed))[0] for seed in range(5)]
    newest_first = sorted((job.id for job in submitted), reverse=True)
    seen: list[str] = []
    after = None
    while True:
        page = jobs.list_jobs(after=after, limit=2)
        seen += [job.id for job in page.data]
        after = page.next_after
        if not page.has_more:
            break
    assert seen == newest_first
    assert {job.queue_position for job in jobs.list_jobs().data} == {1, 2, 3, 4, 5}
    jobs.cancel(newest_first[0])
    assert [job.id for job in jobs.list_jobs(status=JobStatus.CANCELLED).data] == newest_first[:1]


def test_the_same_key_and_body_give_the_first_job(jobs: JobService) -> None:
    first, created = jobs.submit(spec(seed=1), idempotency_key="key-1")
    again, created_again = jobs.submit(spec(seed=1), idempotency_key="key-1")
    assert (created, created_again) == (True, False)
    assert again == first
    with pytest.raises(IdempotencyError, match=r"idempotency\.mismatch"):
        jobs.submit(spec(seed=2), idempotency_key="key-1")
    other_project, created = jobs.submit(spec(seed=2), idempotency_key="key-1", project="other")
    assert created
    assert other_project.id != first.id
    for bad in ("", " ", "a\n", "é", "x" * 256):
        with pytest.raises(SpecError, match=r"idempotency\.key"):
            jobs.submit(spec(), idempotency_key=bad)


def test_of_many_requests_with_one_key_one_creates(jobs: JobService) -> None:
    barrier = threading.Barrier(8)
    answers: list[tuple[JobView, bool]] = []

    def submit() -> None:
        barrier.wait()
        answers.append(jobs.submit(spec(seed=3), idempotency_key="race"))

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(created for _, created in answers) == {True: 1, False: 7}
    assert len({job.id for job, _ in answers}) == 1
    assert len(jobs.list_jobs().data) == 1


def test_the_wake_up_is_sent_after_the_commit(database: Database) -> None:
    seen: list[int] = []
    jobs = JobService(database, announce=lambda _: seen.append(len(JobService(database).list_jobs().data)))
    jobs.submit(spec())
    assert seen == [1]


def test_a_broker_that_is_down_loses_nothing(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(wake_up: WakeUp) -> None:
        raise ConnectionError("no broker")

    units = UnitService(database, EngineSettings())
    JobService(database, announce=lambda _: None).submit(spec())
    assert units.take_due() == []
    JobService(database, announce=refuse).submit(spec())
    assert len(units.take_due()) == 1
    assert units.take_due() == []
    assert "wake-up not sent" in caplog.text


def test_cancel_while_waiting(jobs: JobService, units: UnitService) -> None:
    job, _ = jobs.submit(spec())
    (unit_id,) = units.take_due()
    assert jobs.cancel(job.id).status is JobStatus.CANCELLED
    assert units.claim(unit_id, "w") is None
    with pytest.raises(ConflictError, match=r"job\.state"):
        jobs.cancel(job.id)
    assert jobs.get(job.id).finished_at is not None
    assert jobs.get(job.id).queue_position is None


def test_history_of_a_run(jobs: JobService, units: UnitService) -> None:
    job, _ = jobs.submit(spec())
    (unit_id,) = units.take_due()
    lease = units.claim(unit_id, "w")
    assert lease is not None
    units.record(lease, run(epochs=3))
    units.succeed(lease, completed(), [])
    job = jobs.get(job.id)
    assert [t.status.value for t in job.transitions] == ["queued", "starting", "running", "succeeded"]
    assert job.result is not None
    assert (job.result["answer"], job.result["test_accuracy"]) == ("fused", 0.5)
    assert job.dataset_fingerprint == "sha256:" + "0" * 64
    assert job.environment == {"torch": "2"}
    seqs = [event.seq for event in jobs.events(job.id).data]
    assert seqs == list(range(1, 16))
    only = jobs.events(job.id, after=3, limit=2, types=["epoch.completed"])
    assert ([e.data["epoch"] for e in only.data], only.has_more) == ([1, 2], True)
    assert only.next_after == str(only.data[-1].seq)
    page = jobs.super_epochs(job.id, limit=2)
    assert ([s.super_epoch for s in page.data], page.has_more, page.next_after) == ([0, 1], True, "1")
    (last,) = jobs.super_epochs(job.id, after=1).data
    assert last.weights == {"audio": 0.25, "image": 0.5, "fused": 0.25}
    assert [head["head"] for head in last.heads] == ["audio", "image", "fused"]


def test_the_pre_training_has_a_phase_and_metrics_of_its_own(jobs: JobService, units: UnitService) -> None:
    job, _ = jobs.submit(spec())
    (unit_id,) = units.take_due()
    lease = units.claim(unit_id, "w")
    assert lease is not None
    alone = PretrainEpoch(
        epoch=1, epochs=2, measurements=(measurement("image", "train", 0.5),), cost=Cost(seconds=0.1, samples=160)
    )
    events: list[JobEvent] = [run(1)[0].event, PhaseStarted(phase="pretraining"), alone]
    units.record(lease, [JournalEntry(number=number, event=event) for number, event in enumerate(events, 1)])
    assert jobs.get(job.id).phase == "pretraining"
    (loss,) = jobs.metrics(job.id, scope="pretrain", metric="loss").data
    assert (loss.epoch, loss.head, loss.value) == (1, "image", 0.5)


def test_metrics_are_paged_filtered_and_thinned(jobs: JobService, units: UnitService) -> None:
    job, _ = jobs.submit(spec())
    (unit_id,) = units.take_due()
    lease = units.claim(unit_id, "w")
    assert lease is not None
    units.record(lease, run(epochs=4))
    losses = jobs.metrics(job.id, split="train", metric="loss", scope="epoch", head="image")
    assert [(p.epoch, p.value) for p in losses.data] == [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.25)]
    assert jobs.metrics(job.id, split="holdout", metric="loss").data[0].value is None
    seen: list[MetricPoint] = []
    after = None
    while True:
        page = jobs.metrics(job.id, after=after, limit=5)
        seen += page.data
        after = page.next_after
        if not page.has_more:
            break
    assert tuple(seen) == jobs.metrics(job.id).data
    assert len(seen) == 4 * 4 + 2
    thinned = jobs.metrics(job.id, max_points=2, split="train", metric="loss")
    assert [p.epoch for p in thinned.data] == [2, 4]
    with pytest.raises(SpecError, match=r"cursor\.invalid"):
        jobs.metrics(job.id, after="x")


def test_who_follows_a_job_gets_its_pulse_and_the_next_events_at_once(jobs: JobService) -> None:
    job, _ = jobs.submit(spec())
    pulse, page = jobs.follow(job.id, after=0, limit=10)
    assert (pulse.id, pulse.status, pulse.last_seq) == (job.id, JobStatus.QUEUED, 1)
    assert page == jobs.events(job.id, limit=10)
    jobs.cancel(job.id)
    pulse, page = jobs.follow(job.id, after=1, limit=10)
    assert (pulse.status, pulse.last_seq) == (JobStatus.CANCELLED, page.data[-1].seq)
    assert jobs.pulse(job.id) == pulse
    with pytest.raises(NotFoundError):
        jobs.follow(job.id, project="another", after=0, limit=10)
