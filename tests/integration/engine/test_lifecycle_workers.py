"""Pause, resume, retry, run time and priorities with real child processes, and with workers that are killed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.jobs.lifecycle import Lifecycle
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.submission import WakeUps
from core.jobs.units import UnitService
from core.jobs.views import JobView
from core.persistence import Database
from tests.integration.engine.checker import history, problems
from tests.integration.engine.conftest import QUICK, MakeSupervisor
from tests.integration.engine.samples import run, spec
from tests.integration.engine.workers import Deployment
from tests.servers import is_running, wait_until
from worker.rundir import sweep_disposable
from worker.supervisor import Supervisor

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def lifecycle(database: Database, jobs: JobService) -> Lifecycle:
    return Lifecycle(database, jobs, WakeUps(database, None))


def _statuses(job: JobView) -> list[str]:
    return [transition.status.value for transition in job.transitions]


def _work(units: UnitService, supervisor: Supervisor) -> threading.Thread:
    """A slot of a worker that hears one wake-up."""
    (unit_id,) = units.take_due()
    thread = threading.Thread(target=supervisor.work, args=(unit_id,))
    thread.start()
    return thread


def _finish(units: UnitService, supervisor: Supervisor) -> None:
    thread = _work(units, supervisor)
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("database_url", "stubborn"), [("sqlite", False), ("postgresql", True)], indirect=["database_url"]
)
def test_a_paused_and_resumed_job_has_the_history_of_an_undisturbed_one(
    database: Database,
    jobs: JobService,
    units: UnitService,
    lifecycle: Lifecycle,
    supervisor_of: MakeSupervisor,
    tmp_path: Path,
    stubborn: bool,
) -> None:
    """`stubborn`: the process ignores SIGTERM, and is killed when its grace is over."""
    supervisor = supervisor_of(units)
    undisturbed, _ = jobs.submit(spec(metadata={"epochs": "10"}))
    _finish(units, supervisor)
    gate, resumed, pids = tmp_path / "gate", tmp_path / "resumed", tmp_path / "pids"
    script = {"epochs": "10", "gate": str(gate), "gates": "14", "resumed": str(resumed), "pids": str(pids)}
    job, _ = jobs.submit(spec(metadata=script | ({"stubborn": "yes"} if stubborn else {})))
    thread = _work(units, supervisor)
    wait_until(lambda: jobs.last_seq(job.id) == 1 + 2 + 14, "14 events of the run")
    assert lifecycle.pause(job.id).status is JobStatus.PAUSING
    thread.join(30)
    assert not thread.is_alive()
    paused = jobs.get(job.id)
    assert (paused.status, paused.attempt, paused.run_seconds > 0.0) == (JobStatus.PAUSED, 1, True)
    assert not is_running(int(pids.read_text()))
    assert units.take_due() == []
    gate.with_suffix(".14").touch()
    lifecycle.resume(job.id)
    _finish(units, supervisor)
    job = jobs.get(job.id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
    assert _statuses(job) == [
        *("queued", "starting", "running", "pausing", "paused"),
        *("queued", "starting", "running", "succeeded"),
    ]
    assert resumed.read_text().split() == ["0", "12"], "it went on from its last checkpoint"
    assert problems(database, job.id, run(10)) == []
    assert history(database, job.id) == history(database, undisturbed.id)


@ON_SQLITE
def test_one_slot_takes_what_waits_in_the_order_of_priority(
    jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor, tmp_path: Path
) -> None:
    """One wake-up, for the least of them: who ends a unit looks for the next one itself."""
    diary = tmp_path / "diary"
    low, middle, high, elsewhere = (
        jobs.submit(spec(metadata={"epochs": "1", "diary": str(diary)}, scheduling=scheduling))[0].id
        for scheduling in ({"priority": -1}, {}, {"priority": 5}, {"priority": 9, "queue": "big"})
    )
    due = dict(zip([elsewhere, high, middle, low], units.take_due(), strict=True))
    thread = threading.Thread(target=supervisor_of(units).work, args=(due[low],))
    thread.start()
    thread.join(60)
    assert diary.read_text().split("\n")[:-1] == [f"{job_id} 1" for job_id in (high, middle, low)]
    assert jobs.get(elsewhere).status is JobStatus.QUEUED


@ON_SQLITE
@pytest.mark.parametrize("stubborn", [False, True])
def test_a_run_that_takes_too_long_is_stopped_and_a_retry_goes_on_from_its_checkpoint(
    database: Database,
    jobs: JobService,
    units: UnitService,
    lifecycle: Lifecycle,
    supervisor_of: MakeSupervisor,
    tmp_path: Path,
    stubborn: bool,
) -> None:
    gate, resumed, pids = tmp_path / "gate", tmp_path / "resumed", tmp_path / "pids"
    script = {"epochs": "4", "gate": str(gate), "gates": "9", "resumed": str(resumed), "pids": str(pids)}
    body = spec(metadata=script | ({"stubborn": "yes"} if stubborn else {}), scheduling={"max_runtime_seconds": 5.0})
    job, _ = jobs.submit(body)
    _finish(units, supervisor_of(units))
    failed = jobs.get(job.id)
    assert (failed.status, failed.status_reason, failed.attempt) == (JobStatus.FAILED, "max_runtime", 1)
    assert failed.run_seconds >= 5.0
    assert not is_running(int(pids.read_text()))
    checkpoints = (tmp_path / "runs" / job.id).glob("*/checkpoints/*")
    last = max((int(path.name) for path in checkpoints), default=0)  # 8, unless this machine is very busy
    gate.with_suffix(".9").touch()
    again, _ = lifecycle.retry(job.id, scheduling={"max_runtime_seconds": None})
    _finish(units, supervisor_of(units))
    assert jobs.get(again.id).status is JobStatus.SUCCEEDED
    assert resumed.read_text().split() == ["0", str(last)]
    assert problems(database, again.id, run(4)) == [], "the new job's log is whole from the start"


def test_a_retry_of_a_retry_goes_on_from_the_newest_checkpoint_of_the_line(
    database: Database,
    jobs: JobService,
    units: UnitService,
    lifecycle: Lifecycle,
    supervisor_of: MakeSupervisor,
    tmp_path: Path,
) -> None:
    """The first job crashes until it fails, the second fails before it has a checkpoint of its own."""
    supervisor, runs = supervisor_of(units), tmp_path / "runs"
    undisturbed, _ = jobs.submit(spec(metadata={"epochs": "5"}))
    _finish(units, supervisor)
    resumed, mended = tmp_path / "resumed", tmp_path / "mended"
    script = {"epochs": "5", "crash_at": "10", "crash_until": "99", "resumed": str(resumed), "mended": str(mended)}
    first, _ = jobs.submit(spec(metadata=script))
    _finish(units, supervisor)
    assert jobs.get(first.id).status_reason == "child_crashed"
    second, _ = lifecycle.retry(first.id)
    _finish(units, supervisor)
    assert jobs.get(second.id).status_reason == "child_crashed"
    mended.touch()
    third, _ = lifecycle.retry(second.id)
    _finish(units, supervisor)
    job = jobs.get(third.id)
    assert (job.status, job.attempt, job.retry_of) == (JobStatus.SUCCEEDED, 1, second.id)
    assert resumed.read_text().split() == ["0", "8", "8", *["8"] * 3, "8"]
    assert problems(database, third.id, run(5)) == []
    assert history(database, third.id) == history(database, undisturbed.id)
    left = sorted(path.name for path in runs.iterdir())
    assert left == sorted([first.id, second.id]), "what failed keeps what a retry needs"
    assert sorted(path.name for path in (runs / first.id).glob("*/checkpoints/*")) == ["00000004", "00000008"]
    lifecycle.delete(first.id)
    sweep_disposable(runs, units.disposable)
    assert [path.name for path in runs.iterdir()] == [second.id], "logs and all"


@ON_SQLITE
def test_a_cancelled_job_may_be_retried_too(
    database: Database,
    jobs: JobService,
    units: UnitService,
    lifecycle: Lifecycle,
    supervisor_of: MakeSupervisor,
    tmp_path: Path,
) -> None:
    gate, resumed = tmp_path / "gate", tmp_path / "resumed"
    job, _ = jobs.submit(spec(metadata={"epochs": "3", "gate": str(gate), "gates": "6", "resumed": str(resumed)}))
    thread = _work(units, supervisor_of(units))
    wait_until(lambda: jobs.last_seq(job.id) == 1 + 2 + 6, "6 events of the run")
    jobs.cancel(job.id)
    thread.join(30)
    gate.with_suffix(".6").touch()
    again, _ = lifecycle.retry(job.id)
    _finish(units, supervisor_of(units))
    assert (jobs.get(job.id).status, jobs.get(again.id).status) == (JobStatus.CANCELLED, JobStatus.SUCCEEDED)
    assert resumed.read_text().split() == ["0", "4"]
    assert problems(database, again.id, run(3)) == []


SHORT = QUICK.model_copy(update={"slots": 1, "lease_seconds": 2.0, "redispatch_seconds": 1.0, "sweep_seconds": 0.2})


@pytest.fixture
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of the kind that the test asks for."""
    embedded = request.param == "embedded"
    database_url = request.getfixturevalue("sqlite_url" if embedded else "postgres_url")
    broker_url = None if embedded else request.getfixturevalue("redis_url")
    made = Deployment(tmp_path, database_url=database_url, broker_url=broker_url, engine=SHORT)
    yield made
    made.close()


@pytest.mark.parametrize("deployment", ["servers"], indirect=True)
def test_a_worker_killed_while_a_job_is_pausing_leaves_it_paused(deployment: Deployment, tmp_path: Path) -> None:
    jobs = deployment.jobs
    lifecycle = Lifecycle(deployment.database, jobs, WakeUps(deployment.database, deployment.queue.send))
    worker = deployment.start_worker()
    gate, pids = tmp_path / "gate", tmp_path / "pids"
    # Stubborn, and a grace that does not end before the worker does: it stays in `pausing`.
    script = {"epochs": "5", "gate": str(gate), "gates": "9", "pids": str(pids), "stubborn": "yes", "pause": "0.01"}
    job, _ = jobs.submit(spec(metadata=script))
    wait_until(lambda: jobs.last_seq(job.id) == 1 + 2 + 9, "9 events of the run")
    worker.process.send_signal(signal.SIGSTOP)  # so that it cannot act on the pause before it dies
    assert lifecycle.pause(job.id).status is JobStatus.PAUSING
    worker.end(signal.SIGKILL)
    second = deployment.start_worker()
    wait_until(lambda: jobs.get(job.id).status is JobStatus.PAUSED, "the lease to run out")
    assert not is_running(int(pids.read_text()))
    gate.with_suffix(".9").touch()
    lifecycle.resume(job.id)
    deployment.wait_until_ended(job.id)
    job = jobs.get(job.id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2), second.log
    assert _statuses(job)[3:5] == ["pausing", "paused"]
    assert problems(deployment.database, job.id, run(5)) == []


@pytest.mark.parametrize("deployment", ["embedded"], indirect=True)
def test_a_workers_own_sweep_removes_deleted_jobs_files_and_run_directories(
    deployment: Deployment, tmp_path: Path
) -> None:
    lifecycle = Lifecycle(deployment.database, deployment.jobs, WakeUps(deployment.database, deployment.queue.send))
    worker = deployment.start_worker()
    good, _ = deployment.jobs.submit(spec())
    bad, _ = deployment.jobs.submit(spec(metadata={"fail": "data.decode"}))
    deployment.wait_until_ended(good.id, bad.id)
    settings = deployment.settings
    files, logs = settings.state_dir / "artifacts" / "jobs" / good.id, settings.runs_dir / bad.id
    wait_until(lambda: files.exists() and not (logs / "1" / "spec.json").exists(), "both to be tidied up")
    assert (logs / "1" / "child.log").exists()
    for job in (good, bad):
        lifecycle.delete(job.id)
    wait_until(lambda: not files.exists() and not logs.exists(), "the sweep")
    assert worker.end(signal.SIGTERM) == 0
