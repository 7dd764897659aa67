"""A supervisor with a real child process, on both databases."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from core.artifacts import ArtifactStore
from core.jobs.lease import Lease
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.units import UnitService
from core.jobs.views import JobView
from core.persistence import Database
from tests.integration.engine.checker import problems
from tests.integration.engine.conftest import CHILD, QUICK, MakeSupervisor
from tests.integration.engine.samples import MODEL, run, spec
from tests.servers import PostgresServer, is_running, wait_until
from worker.devices import Slots
from worker.supervisor import Supervisor

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what the database has no part in."""


def _statuses(job: JobView) -> list[str]:
    return [transition.status.value for transition in job.transitions]


def _run_until_ended(jobs: JobService, units: UnitService, supervisor: Supervisor, job_id: str) -> JobView:
    """What a dispatcher and a worker do: announce and run until the job has ended."""

    def step() -> bool:
        for unit_id in units.take_due():
            supervisor.run(unit_id)
        return jobs.get(job_id).status.is_terminal

    wait_until(step, "the job to end")
    return jobs.get(job_id)


def test_a_run_from_wake_up_to_artifact(
    database: Database,
    jobs: JobService,
    units: UnitService,
    supervisor_of: MakeSupervisor,
    store: ArtifactStore,
    tmp_path: Path,
) -> None:
    job, _ = jobs.submit(spec(metadata={"epochs": "5"}))
    job = _run_until_ended(jobs, units, supervisor_of(units), job.id)
    assert _statuses(job) == ["queued", "starting", "running", "succeeded"]
    assert problems(database, job.id, run(5)) == []
    assert job.progress is not None
    assert job.progress["percent"] == 100.0
    artifact = jobs.artifact(job.id, "model.bin")
    assert artifact.uri == f"jobs/{job.id}/1/model.bin"
    with store.open(artifact.uri) as file:
        assert file.read() == MODEL
    assert not (tmp_path / "runs" / job.id).exists()


def test_a_crash_is_retried_from_the_checkpoint_and_leaves_no_trace_in_the_history(
    database: Database, jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor, tmp_path: Path
) -> None:
    diary = tmp_path / "diary"
    job, _ = jobs.submit(spec(metadata={"epochs": "5", "crash_at": "10", "diary": str(diary)}))
    job = _run_until_ended(jobs, units, supervisor_of(units), job.id)
    assert job.status is JobStatus.SUCCEEDED
    assert diary.read_text().splitlines() == [f"{job.id} 1", f"{job.id} 2"]
    assert job.attempt == 2
    assert problems(database, job.id, run(5)) == []
    assert _statuses(job) == ["queued", "starting", "running", "queued", "starting", "running", "succeeded"]
    assert job.transitions[3].reason == "child_crashed"


@ON_SQLITE
def test_a_job_that_always_crashes_fails_with_the_end_of_its_log(
    jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor, tmp_path: Path
) -> None:
    job, _ = jobs.submit(spec(metadata={"crash_at": "2", "crash_until": "99"}))
    job = _run_until_ended(jobs, units, supervisor_of(units), job.id)
    assert (job.status, job.status_reason, job.attempt) == (JobStatus.FAILED, "child_crashed", 3)
    assert job.error is not None
    assert job.error["code"] == "child_crashed"
    assert "SIGKILL" in job.error["message"]
    assert job.error["log"] == ["about to crash"]
    left = sorted(path.relative_to(tmp_path / "runs" / job.id).as_posix() for path in (tmp_path / "runs").glob("*/*/*"))
    assert left == ["1/child.log", "2/child.log", "3/child.log"]


@ON_SQLITE
def test_a_permanent_failure_is_not_retried(
    jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor
) -> None:
    job, _ = jobs.submit(spec(metadata={"fail": "data.decode"}))
    job = _run_until_ended(jobs, units, supervisor_of(units), job.id)
    assert (job.status, job.attempt, job.status_reason) == (JobStatus.FAILED, 1, "data.decode")
    assert job.error == {"code": "data.decode", "message": "the data are bad", "hint": "mend them"}


def test_what_could_not_be_reached_is_tried_again(
    database: Database, jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor
) -> None:
    job, _ = jobs.submit(spec(metadata={"epochs": "3", "unreachable": "encoder.unreachable"}))
    job = _run_until_ended(jobs, units, supervisor_of(units), job.id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
    assert [each.status.value for each in job.transitions if each.reason == "encoder.unreachable"] == ["queued"]
    assert problems(database, job.id, run(3)) == []


@ON_SQLITE
def test_what_never_can_be_reached_fails_the_job_and_says_what(
    jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor
) -> None:
    job, _ = jobs.submit(spec(metadata={"unreachable": "encoder.unreachable", "unreachable_until": "99"}))
    job = _run_until_ended(jobs, units, supervisor_of(units), job.id)
    assert (job.status, job.attempt, job.status_reason) == (JobStatus.FAILED, 3, "encoder.unreachable")
    message = "the hub cannot be reached (attempt 3)"
    assert job.error == {"code": "encoder.unreachable", "message": message, "hint": "try again", "log": []}


@ON_SQLITE
def test_an_end_without_completion_is_a_crash(
    jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor
) -> None:
    job, _ = jobs.submit(spec(metadata={"quit_at": "3"}))
    job = _run_until_ended(jobs, units, supervisor_of(units), job.id)
    assert (job.status, job.status_reason) == (JobStatus.FAILED, "child_crashed")


@pytest.mark.parametrize("stubborn", [False, True])
def test_cancel_stops_the_process_and_its_children(
    jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor, tmp_path: Path, stubborn: bool
) -> None:
    grandchild = tmp_path / "grandchild"
    script = {"pause": "0.05", "epochs": "1000", "grandchild": str(grandchild)}
    job, _ = jobs.submit(spec(metadata=script | ({"stubborn": "yes"} if stubborn else {})))
    (unit_id,) = units.take_due()
    thread = threading.Thread(target=supervisor_of(units).run, args=(unit_id,))
    thread.start()
    wait_until(lambda: jobs.get(job.id).status is JobStatus.RUNNING, "the job to run")
    assert jobs.cancel(job.id).status is JobStatus.CANCELLING
    assert jobs.cancel(job.id).status is JobStatus.CANCELLING
    thread.join(30)
    job = jobs.get(job.id)
    assert _statuses(job)[-2:] == ["cancelling", "cancelled"]
    wait_until(lambda: not is_running(int(grandchild.read_text())), "the grandchild to be gone")


def test_a_worker_that_shuts_down_gives_its_unit_back_at_once(
    database: Database, jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job, _ = jobs.submit(spec(metadata={"epochs": "20", "gate": str(gate), "gates": "10"}))
    (unit_id,) = units.take_due()
    first = supervisor_of(units)
    thread = threading.Thread(target=first.run, args=(unit_id,))
    thread.start()
    wait_until(lambda: jobs.last_seq(job.id) > 12, "some events")
    first.stop()
    thread.join(30)
    gate.with_suffix(".10").touch()
    given_back = jobs.get(job.id)
    assert (given_back.status, given_back.status_reason) == (JobStatus.QUEUED, "worker_shutdown")
    assert _failures(database) == 0
    job = _run_until_ended(jobs, units, supervisor_of(units), job.id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
    assert problems(database, job.id, run(20)) == []


def test_a_supervisor_whose_lease_is_gone_kills_its_child_and_writes_nothing(
    database: Database, jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor, tmp_path: Path
) -> None:
    pid_file = tmp_path / "grandchild"
    job, _ = jobs.submit(spec(metadata={"pause": "0.02", "epochs": "500", "grandchild": str(pid_file)}))
    (unit_id,) = units.take_due()
    thread = threading.Thread(target=supervisor_of(units).run, args=(unit_id,))
    thread.start()
    wait_until(lambda: jobs.last_seq(job.id) > 5, "some events")
    wait_until(lambda: _reap(database, units), "the lease to be reaped")
    lease = units.claim(unit_id, "the next one")
    assert lease is not None
    written = jobs.last_seq(job.id)
    thread.join(30)
    assert not thread.is_alive()
    assert jobs.last_seq(job.id) == written
    wait_until(lambda: not is_running(int(pid_file.read_text())), "the grandchild to be gone")


@ON_SQLITE
def test_the_run_directory_tells_the_child_what_it_needs_and_no_more(
    jobs: JobService, units: UnitService, tmp_path: Path, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child's environment and `spec.json`, seen by a child that only writes them down."""
    seen = tmp_path / "seen.json"
    program = f"import json, os, sys; json.dump([dict(os.environ), sys.argv], open({str(seen)!r}, 'w'))"
    monkeypatch.setenv("GBLEND_DATABASE__URL", "postgresql://user:secret@db/x")
    job, _ = jobs.submit(spec())
    (unit_id,) = units.take_due()
    runs = tmp_path / "runs"
    supervisor = Supervisor(
        units,
        store,
        runs=runs,
        roots={"data": tmp_path / "d", "models": tmp_path / "m"},
        engine=QUICK.model_copy(update={"checkpoint_seconds": 7.5}),
        slots=Slots(1, ("3",)),
        send=lambda _: None,
        command=("python", "-c", program),
    )
    supervisor.run(unit_id)
    environment, arguments = json.loads(seen.read_text())
    assert environment["CUDA_VISIBLE_DEVICES"] == "3"
    assert (environment["OMP_NUM_THREADS"], environment["OMP_WAIT_POLICY"]) == ("1", "PASSIVE")
    assert not [name for name in environment if name.startswith("GBLEND_")]
    assert arguments[1:] == ["--run-dir", str(runs / job.id / "1")]
    given = json.loads((runs / job.id / "1" / "spec.json").read_text())
    assert given["roots"] == {"data": str(tmp_path / "d"), "models": str(tmp_path / "m")}
    assert (given["spec"], given["resume_from"], given["job_id"]) == (job.spec, [], job.id)
    assert given["checkpoint_seconds"] == 7.5


@ON_SQLITE
def test_a_training_stands_back_for_the_service(
    jobs: JobService, units: UnitService, tmp_path: Path, store: ArtifactStore
) -> None:
    seen = tmp_path / "nice"
    program = f"import os, time; time.sleep(1); open({str(seen)!r}, 'w').write(str(os.getpriority(os.PRIO_PROCESS, 0)))"
    jobs.submit(spec())
    (unit_id,) = units.take_due()
    Supervisor(
        units,
        store,
        runs=tmp_path / "runs",
        roots={"data": tmp_path, "models": tmp_path},
        engine=QUICK.model_copy(update={"nice": 3}),
        slots=Slots(1, ()),
        send=lambda _: None,
        command=("python", "-c", program),
    ).run(unit_id)
    assert int(seen.read_text()) == min(os.getpriority(os.PRIO_PROCESS, 0) + 3, 19)


@ON_SQLITE
@pytest.mark.parametrize("breakage", ["truncated", "garbage"])
def test_an_attempt_that_cannot_be_believed_is_retried_and_then_given_up(
    jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor, breakage: str
) -> None:
    """A model file that is not the announced one; a journal that is none."""
    job, _ = jobs.submit(spec(metadata={breakage: "yes"}))
    job = _run_until_ended(jobs, units, supervisor_of(units), job.id)
    assert (job.status, job.status_reason, job.attempt) == (JobStatus.FAILED, "worker_error", 3)
    assert job.error is not None
    assert ("artifact.mismatch" if breakage == "truncated" else "ValidationError") in job.error["message"]
    assert jobs.artifacts(job.id) == ()


def test_a_database_that_restarts_does_not_lose_the_run(
    postgres_server: PostgresServer, postgres_url: str, supervisor_of: MakeSupervisor, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    engine = QUICK.model_copy(update={"lease_seconds": 60.0, "self_fence_seconds": 45.0})
    database = Database(postgres_url)
    jobs, units = JobService(database), UnitService(database, engine)
    job, _ = jobs.submit(spec(metadata={"epochs": "15", "gate": str(gate), "gates": "10"}))
    (unit_id,) = units.take_due()
    thread = threading.Thread(target=supervisor_of(units, engine).run, args=(unit_id,))
    thread.start()
    wait_until(lambda: jobs.last_seq(job.id) > 8, "some events")
    postgres_server.stop(signal.SIGQUIT)
    gate.with_suffix(".10").touch()
    postgres_server.start()
    thread.join(60)
    job = jobs.get(job.id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert problems(database, job.id, run(15)) == []
    database.close()


def test_a_database_that_restarts_right_after_the_claim_is_no_failed_attempt(
    postgres_server: PostgresServer,
    postgres_url: str,
    supervisor_of: MakeSupervisor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = QUICK.model_copy(update={"lease_seconds": 60.0, "self_fence_seconds": 45.0})
    database = Database(postgres_url)
    jobs, units = JobService(database), UnitService(database, engine)
    job, _ = jobs.submit(spec())
    (unit_id,) = units.take_due()
    restarting = threading.Thread(target=postgres_server.start)

    def claim_and_lose_the_database(*arguments: Any, **named: Any) -> Lease | None:
        lease = UnitService.claim_next(units, *arguments, **named)
        postgres_server.stop(signal.SIGQUIT)
        restarting.start()
        return lease

    monkeypatch.setattr(units, "claim_next", claim_and_lose_the_database)
    supervisor_of(units, engine).run(unit_id)
    restarting.join()
    job = jobs.get(job.id)
    assert (job.status, job.attempt, _failures(database)) == (JobStatus.SUCCEEDED, 1, 0)
    database.close()


def test_a_database_that_stays_away_stops_the_child_before_anybody_else_starts_one(
    postgres_server: PostgresServer, postgres_url: str, supervisor_of: MakeSupervisor, tmp_path: Path
) -> None:
    pids, gate = tmp_path / "pids", tmp_path / "gate"
    database = Database(postgres_url)
    jobs, units = JobService(database), UnitService(database, QUICK)
    job, _ = jobs.submit(spec(metadata={"epochs": "30", "pids": str(pids), "gate": str(gate), "gates": "10"}))
    (unit_id,) = units.take_due()
    supervisor = supervisor_of(units)
    thread = threading.Thread(target=supervisor.run, args=(unit_id,))
    thread.start()
    wait_until(lambda: jobs.last_seq(job.id) > 8, "some events")
    postgres_server.stop()
    try:
        thread.join(30)
        assert not thread.is_alive()
        assert not is_running(int(pids.read_text()))
    finally:
        postgres_server.start()
    gate.with_suffix(".10").touch()
    wait_until(lambda: units.reap() == 1, "the lease to run out")
    job = _run_until_ended(jobs, units, supervisor, job.id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
    assert problems(database, job.id, run(30)) == []
    database.close()


def _failures(database: Database) -> int:
    with database.read() as session:
        return int(session.execute(text("SELECT sum(failures) FROM unit")).scalar_one())


def _reap(database: Database, units: UnitService) -> bool:
    """Make every lease look old and reap; false where its holder was quicker and renewed it."""
    with database.write() as session:
        session.execute(text("UPDATE unit SET lease_until = '2000-01-01 00:00:00.000000+00' WHERE state = 'leased'"))
    return units.reap() == 1


IMPATIENT = QUICK.model_copy(update={"stall_seconds": 3.0, "lease_seconds": 60.0, "self_fence_seconds": 45.0})
"""Patient enough for a child that only starts on a busy machine."""


def test_a_child_that_hangs_with_its_heartbeat_alive_goes_on_from_its_checkpoint(
    database: Database, jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor, tmp_path: Path
) -> None:
    resumed = tmp_path / "resumed"
    job, _ = jobs.submit(spec(metadata={"epochs": "5", "hang_at": "10", "resumed": str(resumed)}))
    job = _run_until_ended(jobs, units, supervisor_of(units, IMPATIENT), job.id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
    assert [t.status.value for t in job.transitions if t.reason == "child_stalled"] == ["queued"]
    assert resumed.read_text().split() == ["0", "8"]
    assert problems(database, job.id, run(5)) == []


@ON_SQLITE
def test_a_child_that_always_hangs_fails_when_its_attempts_are_spent(
    database: Database, units: UnitService, supervisor_of: MakeSupervisor
) -> None:
    jobs = JobService(database, max_attempts=2)
    job, _ = jobs.submit(spec(metadata={"hang_at": "2", "hang_until": "99"}))
    job = _run_until_ended(jobs, units, supervisor_of(units, IMPATIENT), job.id)
    assert (job.status, job.status_reason, job.attempt) == (JobStatus.FAILED, "child_stalled", 2)
    assert job.error is not None
    assert job.error["code"] == "child_stalled"
    assert "no progress for 3 s (attempt 2)" in job.error["message"]
    assert job.error["log"] == ["about to hang"]


def test_a_poison_job_is_given_up_after_its_attempts_whoever_ran_them(
    database: Database, jobs: JobService, units: UnitService, store: ArtifactStore, tmp_path: Path
) -> None:
    """Two workers on machines of their own, in turn; each knows nothing of what happened at the other's."""
    diary = tmp_path / "diary"
    workers = [
        Supervisor(
            units,
            store,
            runs=tmp_path / f"runs-{name}",
            roots={"data": tmp_path, "models": tmp_path},
            engine=QUICK,
            slots=Slots(1, ()),
            send=lambda _: None,
            worker_id=lambda name=name: f"wrk_{name}",  # type: ignore[misc]
            command=CHILD,
        )
        for name in ("a", "b")
    ]
    job, _ = jobs.submit(spec(metadata={"crash_at": "2", "crash_until": "99", "diary": str(diary)}))
    (unit_id,) = units.take_due()
    ran: list[str] = []
    for turn in range(QUICK.max_attempts + 3):
        workers[turn % 2].run(unit_id)
        with database.read() as session:
            ran.append(session.execute(text("SELECT worker_id FROM unit")).scalar_one())
    assert diary.read_text().splitlines() == [f"{job.id} {fence}" for fence in (1, 2, 3)]
    assert ran[:3] == ["wrk_a", "wrk_b", "wrk_a"]
    job = jobs.get(job.id)
    assert (job.status, job.status_reason, job.attempt) == (JobStatus.FAILED, "child_crashed", QUICK.max_attempts)
    assert job.error is not None
    assert "SIGKILL before its end (attempt 3)" in job.error["message"]
    assert job.error["log"] == ["about to crash"]
    assert units.claim(unit_id, "once more") is None
