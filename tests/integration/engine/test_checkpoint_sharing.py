"""Checkpoints in the artifact store: what counts, what another machine gets, what stays behind."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from core.artifacts import ArtifactStore
from core.errors import LeaseLostError
from core.events import encode
from core.jobs.lease import Lease
from core.jobs.service import JobService
from core.jobs.shared_checkpoint import SharedCheckpoint
from core.jobs.state import JobStatus
from core.jobs.units import UnitService
from core.persistence import Database
from core.persistence.orm import CheckpointRow
from core.persistence.repositories import UnitRepository
from core.settings import EngineSettings
from tests.integration.engine.checker import problems
from tests.integration.engine.conftest import CHILD, QUICK
from tests.integration.engine.samples import completed, run, spec
from tests.s3_server import S3Server
from tests.servers import wait_until
from worker.checkpoint_fetching import NotWantedError, fetch_newest
from worker.checkpoint_sharing import CheckpointSharing, is_shared
from worker.devices import Slots
from worker.rundir import RunDirectory
from worker.supervisor import Supervisor

SHARED = QUICK.model_copy(update={"share_checkpoints": "always", "lease_seconds": 30.0, "self_fence_seconds": 20.0})

ENTRIES = run(20)


def _claim(jobs: JobService, units: UnitService) -> Lease:
    jobs.submit(spec())
    (unit_id,) = units.take_due()
    lease = units.claim(unit_id, "a-test")
    assert lease is not None
    return lease


def _again(units: UnitService, lease: Lease) -> Lease:
    """The next attempt at the same unit."""
    units.release(lease, reason="worker_shutdown")
    claimed = units.claim(lease.unit_id, "another")
    assert claimed is not None
    return claimed


class Machine:
    """A worker's disk, and what its supervisor does around one attempt."""

    def __init__(self, disk: Path, store: ArtifactStore, units: UnitService) -> None:
        self.runs = disk / "runs"
        self.store = store
        self.units = units
        self.run: RunDirectory

    def begin(self, lease: Lease) -> list[Path]:
        """Fetch and prepare; returns what the training would be told to resume from."""
        fetched = fetch_newest(
            lease, self.runs, store=self.store, units=self.units, engine=SHARED, shutting_down=lambda: False
        )
        self.run = RunDirectory.create(self.runs, lease, {}, fetched=fetched)
        told = json.loads((self.run.path / "spec.json").read_text())["resume_from"]
        return [Path(path) for path in told]

    def train(self, number: int, content: str = "parameters", *, done: int = 0) -> None:
        """Publish entries up to `number`, and write its checkpoint as `core.training.checkpoint` does, or the one
        `done` steps later."""
        have = len(self.run.journal.read_bytes().splitlines()) if self.run.journal.exists() else 0
        with self.run.journal.open("ab") as journal:
            journal.write(b"".join(encode(entry) for entry in ENTRIES[have:number]))
        folder = self.run.path / "checkpoints"
        name = f"{number:08d}.{done:08d}" if done else f"{number:08d}"
        temporary = folder / f".{name}"
        temporary.mkdir(parents=True)
        (temporary / "state.json").write_text(json.dumps({"number": number}))
        (temporary / "tensors.safetensors").write_text(content * 1000)
        temporary.rename(folder / name)
        for old in sorted(folder.iterdir())[:-2]:
            shutil.rmtree(old)

    def share(self, lease: Lease) -> None:
        """Share what is new, as at the end of an attempt."""
        shared = CheckpointSharing(lease, self.run, store=self.store, checkpoints=self.units.checkpoints)
        shared.start()
        shared.finish(lambda: None, seconds=30)
        shared.stop()


@pytest.fixture
def machine(tmp_path: Path, store: ArtifactStore, units: UnitService) -> Callable[[str], Machine]:
    """Makes machines that have nothing in common but the store and the database."""
    return lambda name: Machine(tmp_path / name, store, units)


def _names(units: UnitService, job_id: str) -> list[tuple[int, str]]:
    return [(checkpoint.fence, checkpoint.name) for checkpoint in units.checkpoints.of_jobs([job_id])]


def _stored(tmp_path: Path) -> list[str]:
    root = tmp_path / "artifacts" / "jobs"
    return sorted("/".join(path.relative_to(root).parts[1:]) for path in root.rglob("*") if path.is_file())


def test_the_newest_two_count_and_the_files_of_others_go(
    jobs: JobService, units: UnitService, machine: Callable[[str], Machine], tmp_path: Path
) -> None:
    lease, first = _claim(jobs, units), machine("first")
    assert first.begin(lease) == []
    for number in (4, 8, 12):
        first.train(number)
        first.share(lease)
    first.share(lease)
    assert _names(units, lease.job_id) == [(1, "00000012"), (1, "00000008")]
    assert _stored(tmp_path) == [
        f"1/checkpoints/{name}/{file}"
        for name in ("00000008", "00000012")
        for file in ("events.jsonl", "state.json", "tensors.safetensors")
    ]
    newest = units.checkpoints.of_jobs([lease.job_id])[0]
    assert newest.bytes == sum(
        path.stat().st_size for path in (tmp_path / "artifacts").rglob("*") if path.parent.name == "00000012"
    )


def test_another_machine_gets_the_checkpoint_and_the_journal_that_it_refers_to(
    jobs: JobService, units: UnitService, machine: Callable[[str], Machine]
) -> None:
    lease, first, second = _claim(jobs, units), machine("first"), machine("second")
    first.begin(lease)
    first.train(8)
    with first.run.journal.open("ab") as journal:
        journal.write(b'{"number": 9, "eve')  # a line that is being written
    first.share(lease)
    shutil.rmtree(first.runs)

    lease = _again(units, lease)
    (folder,) = second.begin(lease)
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["00000008"]
    assert (folder / "checkpoints/00000008/tensors.safetensors").read_text() == "parameters" * 1000
    assert (folder / "events.jsonl").read_bytes() == b"".join(encode(entry) for entry in ENTRIES[:8])

    second.train(12)
    second.share(lease)
    assert _names(units, lease.job_id) == [(2, "00000012"), (1, "00000008")]
    third = _again(units, lease)
    resumed = machine("second").begin(third)
    assert [path.name for path in resumed] == ["2", f"{lease.job_id}.1"], "nothing is fetched that is here"


def test_checkpoints_within_an_epoch_are_newer_than_the_one_before_it(
    jobs: JobService, units: UnitService, machine: Callable[[str], Machine]
) -> None:
    lease, first, second = _claim(jobs, units), machine("first"), machine("second")
    first.begin(lease)
    for number, done in ((8, 0), (8, 9), (8, 10)):
        first.train(number, done=done)
        first.share(lease)
    assert _names(units, lease.job_id) == [(1, "00000008.00000010"), (1, "00000008.00000009")]
    lease = _again(units, lease)
    (folder,) = second.begin(lease)
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["00000008.00000010"]
    assert (folder / "events.jsonl").read_bytes() == b"".join(encode(entry) for entry in ENTRIES[:8])
    second.train(12)
    second.share(lease)
    assert _names(units, lease.job_id) == [(2, "00000012"), (1, "00000008.00000010")]
    assert [path.name for path in second.begin(_again(units, lease))] == ["2", f"{lease.job_id}.1"]


def test_a_machine_that_has_it_fetches_nothing(
    jobs: JobService, units: UnitService, machine: Callable[[str], Machine], tmp_path: Path
) -> None:
    lease, first = _claim(jobs, units), machine("first")
    first.begin(lease)
    first.train(8)
    first.share(lease)
    shutil.rmtree(tmp_path / "artifacts")  # whoever looked would find that it is gone, and forget it
    assert [path.name for path in first.begin(_again(units, lease))] == ["1"]
    assert _names(units, lease.job_id) == [(1, "00000008")]


@pytest.mark.parametrize("harm", ["cut", "changed", "gone"])
def test_a_damaged_checkpoint_is_forgotten_and_the_one_before_it_taken(
    jobs: JobService, units: UnitService, machine: Callable[[str], Machine], tmp_path: Path, harm: str
) -> None:
    lease, first, second = _claim(jobs, units), machine("first"), machine("second")
    first.begin(lease)
    for number in (4, 8):
        first.train(number)
        first.share(lease)
    folder = tmp_path / "artifacts" / "jobs" / lease.job_id / "1" / "checkpoints"

    def damage(name: str) -> None:
        path = folder / name / "tensors.safetensors"
        text = path.read_text()
        path.write_text({"cut": text[:-1], "changed": "P" + text[1:], "gone": ""}[harm])
        if harm == "gone":
            path.unlink()

    damage("00000008")
    lease = _again(units, lease)
    (fetched,) = second.begin(lease)
    assert [path.name for path in (fetched / "checkpoints").iterdir()] == ["00000004"]
    assert _names(units, lease.job_id) == [(1, "00000004")]
    damage("00000004")
    lease = _again(units, lease)
    assert machine("third").begin(lease) == [], "nothing is left: from the beginning"
    assert _names(units, lease.job_id) == []


def test_a_run_that_could_not_use_an_earlier_checkpoint_does_not_lose_its_own(
    jobs: JobService, units: UnitService, machine: Callable[[str], Machine]
) -> None:
    """The second attempt began anew, so its names are lower: they still are the newest."""
    lease, first, second = _claim(jobs, units), machine("first"), machine("second")
    first.begin(lease)
    for number in (36, 40):
        first.train(number)
        first.share(lease)
    lease = _again(units, lease)
    second.begin(lease)
    second.train(4)
    second.share(lease)
    assert _names(units, lease.job_id) == [(2, "00000004"), (1, "00000040")]


def test_a_stale_lease_writes_nothing_and_takes_its_files_along(
    jobs: JobService, units: UnitService, machine: Callable[[str], Machine], tmp_path: Path
) -> None:
    stale, first = _claim(jobs, units), machine("first")
    first.begin(stale)
    first.train(4)
    current = _again(units, stale)
    first.share(stale)
    assert _names(units, stale.job_id) == []
    assert _stored(tmp_path) == []
    with pytest.raises(LeaseLostError):
        units.checkpoints.record(
            stale, SharedCheckpoint(job_id=stale.job_id, fence=1, name="1", uri="jobs/x", files=())
        )
    units.fail(current, {"code": "x", "message": "x", "hint": None}, reason="x")
    with pytest.raises(LeaseLostError):
        units.checkpoints.forget(
            current, SharedCheckpoint(job_id=stale.job_id, fence=1, name="1", uri="jobs/x", files=())
        )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_checkpoints_that_vanish_while_they_are_shared_do_no_harm(
    jobs: JobService, units: UnitService, machine: Callable[[str], Machine], tmp_path: Path
) -> None:
    """A training that writes and removes checkpoints as fast as it can; whatever counts is whole."""
    lease, first = _claim(jobs, units), machine("first")
    first.begin(lease)
    first.train(1)
    ended = threading.Event()

    def train() -> None:
        for number in range(2, 400):
            first.train(number, f"{number:08d}")
        ended.set()

    training = threading.Thread(target=train)
    training.start()
    seen = set()
    while not ended.is_set():
        first.share(lease)
        for fence, name in _names(units, lease.job_id):
            seen.add(name)
            folder = tmp_path / "artifacts" / "jobs" / lease.job_id / str(fence) / "checkpoints" / name
            if name != "00000001":
                assert (folder / "tensors.safetensors").read_text() == name * 1000
            assert len((folder / "events.jsonl").read_bytes().splitlines()) >= min(int(name), len(ENTRIES))
    training.join()
    assert len(seen) > 5


def test_odd_names_from_the_database_never_become_paths(
    jobs: JobService, units: UnitService, machine: Callable[[str], Machine], database: Database, tmp_path: Path
) -> None:
    lease = _claim(jobs, units)
    for name, file in (("../../../evil", "events.jsonl"), ("00000004", "../evil"), ("4\n", "events.jsonl")):
        with database.write() as session:
            session.add(
                CheckpointRow(
                    job_id=lease.job_id,
                    fence=1,
                    name=name,
                    bytes=0,
                    uri=f"jobs/{lease.job_id}/1/checkpoints/4",
                    files=[
                        {"name": file, "bytes": 0, "sha256": "0" * 64},
                        {"name": "events.jsonl", "bytes": 0, "sha256": "0"},
                    ],
                    created_at=jobs.get(lease.job_id).created_at,
                )
            )
    assert machine("first").begin(_again(units, lease)) == []
    assert len(_names(units, lease.job_id)) == 3, "passed over, not even asked for"


def test_a_retry_goes_on_from_the_checkpoint_of_the_job_it_repeats(
    jobs: JobService, units: UnitService, machine: Callable[[str], Machine]
) -> None:
    failed, first = _claim(jobs, units), machine("first")
    first.begin(failed)
    first.train(8)
    first.share(failed)
    units.fail(failed, {"code": "x", "message": "x", "hint": None}, reason="x")
    retry = dataclasses.replace(_claim(jobs, units), retry_of=(failed.job_id,))
    (folder,) = machine("second").begin(retry)
    assert folder.name == f"{failed.job_id}.1"
    assert (folder / "checkpoints" / "00000008").is_dir()


def test_fetching_ends_when_nobody_wants_the_job_any_more(
    jobs: JobService, units: UnitService, machine: Callable[[str], Machine]
) -> None:
    """The store hangs: a cancel gets through all the same, and the lease is renewed."""
    lease, first, second = _claim(jobs, units), machine("first"), machine("second")
    first.begin(lease)
    first.train(8)
    first.share(lease)
    lease = _again(units, lease)
    second.store = HangingStore(first.store)
    jobs.cancel(lease.job_id)
    try:
        with pytest.raises(NotWantedError):
            second.begin(lease)
    finally:
        second.store.let_go.set()


class HangingStore(ArtifactStore):
    """A real store behind a network that hangs until it is let go."""

    def __init__(self, real: ArtifactStore) -> None:
        self.__dict__.update(real.__dict__)
        self.let_go = threading.Event()
        self.asked = threading.Event()

    def put(self, *arguments: Any, **named: Any) -> str:
        self.asked.set()
        assert self.let_go.wait(60)
        return super().put(*arguments, **named)

    def get(self, *arguments: Any, **named: Any) -> None:
        self.asked.set()
        assert self.let_go.wait(60)
        super().get(*arguments, **named)


def _supervisor(folder: Path, store: ArtifactStore, units: UnitService, engine: EngineSettings = SHARED) -> Supervisor:
    return Supervisor(
        units,
        store,
        runs=folder / "runs",
        roots={"data": folder, "models": folder},
        engine=engine,
        slots=Slots(1, ()),
        send=lambda _: None,
        command=CHILD,
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_store_that_hangs_delays_neither_heartbeat_nor_cancel(
    jobs: JobService, units: UnitService, store: ArtifactStore, tmp_path: Path
) -> None:
    engine = QUICK.model_copy(update={"share_checkpoints": "always"})  # a lease of 1.5 s
    hanging = HangingStore(store)
    job, _ = jobs.submit(spec(metadata={"epochs": "20", "gate": str(tmp_path / "gate"), "gates": "8"}))
    (unit_id,) = units.take_due()
    thread = threading.Thread(target=_supervisor(tmp_path, hanging, units, engine).run, args=(unit_id,))
    thread.start()
    try:
        assert hanging.asked.wait(30)
        first = _heartbeat(units, unit_id)
        wait_until(lambda: (_heartbeat(units, unit_id) - first).total_seconds() > 2.0, "heartbeats beyond one lease")
        assert units.reap() == 0
        jobs.cancel(job.id)
        wait_until(lambda: jobs.get(job.id).status is JobStatus.CANCELLED, "the end of the job", seconds=10)
    finally:
        hanging.let_go.set()
        thread.join(30)
    wait_until(lambda: _stored(tmp_path) == [], "the late upload to be removed again", seconds=10)
    assert _names(units, job.id) == []


def _heartbeat(units: UnitService, unit_id: str) -> datetime:
    with units._database.read() as session:
        unit = UnitRepository(session).get(unit_id)
    assert unit is not None
    assert unit.heartbeat_at is not None
    return unit.heartbeat_at


def test_a_job_that_succeeds_leaves_no_checkpoint_and_one_that_fails_keeps_its_newest(
    jobs: JobService, units: UnitService, store: ArtifactStore, tmp_path: Path
) -> None:
    """Each attempt on a machine of its own; the second goes on where the first was."""
    resumed = tmp_path / "resumed"
    job, _ = jobs.submit(spec(metadata={"epochs": "4", "crash_at": "9", "resumed": str(resumed)}))
    for name in ("first", "second"):
        (unit_id,) = units.take_due()
        _supervisor(tmp_path / name, store, units).run(unit_id)
        if name == "first":
            assert _names(units, job.id) == [(1, "00000008")]
    assert jobs.get(job.id).status is JobStatus.SUCCEEDED
    assert resumed.read_text().split() == ["0", "8"]
    assert problems(units._database, job.id, run(4)) == []
    assert _names(units, job.id) == []
    assert _stored(tmp_path) == ["2/model.bin"]

    failing, _ = jobs.submit(spec(metadata={"epochs": "4", "crash_at": "9", "crash_until": "9"}))
    for name in ("first", "second", "third"):
        (unit_id,) = units.take_due()
        _supervisor(tmp_path / name, store, units).run(unit_id)
    assert jobs.get(failing.id).status is JobStatus.FAILED
    assert _names(units, failing.id) == [(1, "00000008")]
    kept = [key for key in _stored(tmp_path) if key != "2/model.bin"]
    assert kept == ["1/checkpoints/00000008/events.jsonl", "1/checkpoints/00000008/state.json"]


def test_whether_checkpoints_are_shared(store: ArtifactStore, s3_server: S3Server) -> None:
    remote = ArtifactStore(f"s3://{s3_server.BUCKET}/x")
    decided = {
        mode: [is_shared(EngineSettings(share_checkpoints=mode), where) for where in (store, remote)]
        for mode in ("auto", "always", "never")
    }
    assert decided == {"auto": [False, True], "always": [True, True], "never": [False, False]}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_store_that_is_away_at_the_end_fails_the_attempt_and_registers_nothing(
    jobs: JobService, units: UnitService, s3_server: S3Server, tmp_path: Path
) -> None:
    job, _ = jobs.submit(spec(metadata={"epochs": "2"}))
    store = ArtifactStore(f"s3://{s3_server.BUCKET}")
    s3_server.stop()
    try:
        (unit_id,) = units.take_due()
        _supervisor(tmp_path / "first", store, units).run(unit_id)
        seen = jobs.get(job.id)
        assert (seen.status, seen.status_reason) == (JobStatus.QUEUED, "worker_error")
        assert jobs.artifacts(job.id) == ()
    finally:
        s3_server.start()
    (unit_id,) = units.take_due()
    _supervisor(tmp_path / "second", store, units).run(unit_id)
    assert jobs.get(job.id).status is JobStatus.SUCCEEDED
    assert s3_server.stored() == [f"jobs/{job.id}/2/model.bin"]
    (stored,) = jobs.artifacts(job.id)
    assert (stored.uri, stored.bytes) == (f"jobs/{job.id}/2/model.bin", completed().artifacts[0].bytes)
