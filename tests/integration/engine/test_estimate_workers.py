"""Estimates spread over slots with real child processes: joined, killed, cancelled, failed. The scripted child."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from core.artifacts import ArtifactStore
from core.jobs.lifecycle import Lifecycle
from core.jobs.logs import LogReader
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.submission import WakeUps
from core.jobs.units import UnitService
from core.jobs.views import JobView
from core.persistence import Database
from core.spec import JobSpec
from tests.integration.engine.checker import problems
from tests.integration.engine.conftest import MakeSupervisor
from tests.integration.engine.samples import HEADS, estimate, losses_of, run, spec
from tests.servers import is_running, wait_until
from worker.supervisor import Supervisor

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def _spec(**script: str) -> JobSpec:
    return spec(blending={"strategy": "offline"}, scheduling={"spread_estimates": True}, metadata=script)


class Slots:
    """A worker with three slots, each of which hears one wake-up."""

    def __init__(self, units: UnitService, supervisor: Supervisor) -> None:
        self._threads = [threading.Thread(target=supervisor.work, args=(unit_id,)) for unit_id in units.take_due()]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Until none of them finds anything to do."""
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)


def _statuses(job: JobView) -> list[str]:
    return [transition.status.value for transition in job.transitions]


def _told(database: Database, jobs: JobService, job_id: str, epochs: int = 3) -> None:
    """Every head's events and the run's are there once, each journal in its order; the run's are last."""
    events = jobs.events(job_id, limit=1000).data
    by_head = {head: [event for event in events if event.data.get("head") == head] for head in HEADS}
    for head, found in by_head.items():
        types = [event.type for event in found if event.type != "estimate.interrupted"]
        assert types == [entry.event.type for entry in estimate(head, epochs)]
    rest = [entry for head in HEADS for entry in estimate(head, epochs)]
    told = [event for event in events if not event.type.startswith("job.") and event.type != "estimate.interrupted"]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in told[len(rest) :]] == [entry.event.type for entry in run(epochs)]


def test_from_three_estimates_at_once_to_a_run(
    database: Database,
    jobs: JobService,
    units: UnitService,
    supervisor_of: MakeSupervisor,
    store: ArtifactStore,
    tmp_path: Path,
) -> None:
    pids = tmp_path / "pids"
    job, _ = jobs.submit(_spec(pids=str(pids), pause="0.05", prints="about to work"))
    Slots(units, supervisor_of(units)).wait()
    job = jobs.get(job.id)
    assert _statuses(job) == ["queued", "starting", "running", "queued", "starting", "running", "succeeded"]
    _told(database, jobs, job.id)
    assert len(pids.read_text().split()) == 4
    # Of the files only the result's are left, and no run directory.
    assert jobs.artifact(job.id, "model.bin").uri == f"jobs/{job.id}/1/model.bin"
    assert store.children(f"jobs/{job.id}") == ("1",)
    assert not (tmp_path / "runs" / job.id).exists()
    log = "".join(chunk.text for chunk in LogReader(database).page(job.id).data)
    assert log == "about to work\n" * 4


@ON_SQLITE
def test_a_child_that_is_killed_goes_on_from_its_own_checkpoint_and_the_others_stay(
    database: Database, jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor, tmp_path: Path
) -> None:
    diary, resumed = tmp_path / "diary", tmp_path / "resumed"
    script = {"only": "image", "crash_at": "6", "diary": str(diary), "resumed": str(resumed)}
    job, _ = jobs.submit(_spec(epochs="6", **script))
    supervisor = supervisor_of(units)
    Slots(units, supervisor).wait()
    job = jobs.get(job.id)
    assert job.status is JobStatus.SUCCEEDED
    _told(database, jobs, job.id, 6)
    interrupted = jobs.events(job.id, types={"estimate.interrupted"}).data
    assert [event.data for event in interrupted] == [{"head": "image", "reason": "child_crashed", "attempt": 1}]
    assert sorted(resumed.read_text().split()) == ["0", "0", "0", "0", "4"], "fused, image, audio, run; image again"
    assert len(diary.read_text().splitlines()) == 5


@ON_SQLITE
def test_a_head_that_fails_for_good_stops_its_siblings(
    jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor, store: ArtifactStore, tmp_path: Path
) -> None:
    pids, gate = tmp_path / "pids", tmp_path / "gate"
    bad = {"only": "audio", "fail": "data.decode"}
    job, _ = jobs.submit(_spec(pids=str(pids), pause="0.3", epochs="1000", **bad))
    Slots(units, supervisor_of(units)).wait()
    job = jobs.get(job.id)
    assert (job.status, job.status_reason, job.attempt) == (JobStatus.FAILED, "data.decode", 1)
    assert not gate.exists()
    children = [int(pid) for pid in pids.read_text().split()]
    assert len(children) == 3
    assert not any(is_running(pid) for pid in children)
    assert store.children(f"jobs/{job.id}") == ()


@ON_SQLITE
def test_a_cancel_stops_every_child_and_a_retry_goes_on_from_each_heads_checkpoint(
    database: Database, jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor, tmp_path: Path
) -> None:
    gate, pids, resumed = tmp_path / "gate", tmp_path / "pids", tmp_path / "resumed"
    script = {"gate": str(gate), "gates": "6", "pids": str(pids), "epochs": "6", "resumed": str(resumed)}
    job, _ = jobs.submit(_spec(**script))
    supervisor = supervisor_of(units)
    slots = Slots(units, supervisor)
    wait_until(lambda: jobs.last_seq(job.id) == 3 + 3 * 6, "six events of every head")
    assert jobs.cancel(job.id).status is JobStatus.CANCELLING
    slots.wait()
    job = jobs.get(job.id)
    assert _statuses(job) == ["queued", "starting", "running", "cancelling", "cancelled"]
    assert not any(is_running(int(pid)) for pid in pids.read_text().split())
    kept = sorted(str(path.relative_to(tmp_path / "runs" / job.id)) for path in (tmp_path / "runs").glob("*/*/*"))
    assert kept == [f"e{slot}.1/{name}" for slot in range(3) for name in ("checkpoints", "child.log", "events.jsonl")]

    lifecycle = Lifecycle(database, jobs, WakeUps(database, None))
    retried, _ = lifecycle.retry(job.id)
    resumed.unlink()
    for number in (6,):
        (tmp_path / f"gate.{number}").touch()
    Slots(units, supervisor).wait()
    assert jobs.get(retried.id).status is JobStatus.SUCCEEDED
    _told(database, jobs, retried.id, 6)
    assert sorted(resumed.read_text().split()) == ["0", "4", "4", "4"], "every head, and the run"


@ON_SQLITE
def test_estimates_that_are_gone_from_the_store_fail_the_run_and_name_the_file(
    jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor, store: ArtifactStore
) -> None:
    job, _ = jobs.submit(_spec())
    supervisor = supervisor_of(units)
    for unit_id in units.take_due():
        supervisor.run(unit_id)
    with store.open(f"jobs/{job.id}/e0.1/estimate.safetensors") as file:
        assert file.read() == losses_of("audio")
    store.delete_below(f"jobs/{job.id}/e0.1")

    def step() -> bool:
        for unit_id in units.take_due():
            supervisor.run(unit_id)
        return jobs.get(job.id).status.is_terminal

    wait_until(step, "the job to end", seconds=120)
    ended = jobs.get(job.id)
    assert (ended.status, ended.attempt) == (JobStatus.FAILED, 3)
    assert ended.error is not None
    assert "e0.1/estimate.safetensors is not in the store" in ended.error["message"]


@ON_SQLITE
def test_the_checker_finds_nothing_wrong_where_one_slot_does_everything(
    database: Database, jobs: JobService, units: UnitService, supervisor_of: MakeSupervisor
) -> None:
    job, _ = jobs.submit(_spec())
    supervisor = supervisor_of(units)
    supervisor.work(units.take_due()[0])
    told = [entry for head in ("fused", "image", "audio") for entry in estimate(head)]
    assert problems(database, job.id, [*told, *run(3)]) == []
