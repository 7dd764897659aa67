"""From what a child prints to the rows of `log_chunk`: under the lease, in order, without gaps, once, bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import LeaseLostError, NotFoundError
from core.jobs.lease import Lease
from core.jobs.logs import CHUNK_BYTES, LogReader
from core.jobs.service import JobService
from core.jobs.units import UnitService
from core.persistence import Database
from core.persistence.repositories import UnitRepository
from tests.integration.engine.conftest import QUICK, MakeSupervisor
from tests.integration.engine.samples import spec
from tests.servers import wait_until
from worker.log_shipping import LogShipper

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def logs(database: Database) -> LogReader:
    """The owner's side."""
    return LogReader(database)


@pytest.fixture
def lease(database: Database, jobs: JobService, units: UnitService) -> Lease:
    """Of a job that was claimed a moment ago."""
    job, _ = jobs.submit(spec())
    return _claim(database, units, job.id)


def _claim(database: Database, units: UnitService, job_id: str) -> Lease:
    with database.read() as session:
        unit_id = UnitRepository(session).of_job(job_id)[0].id
    lease = units.claim(unit_id, "a-test")
    assert lease is not None
    return lease


def _text(logs: LogReader, job_id: str) -> str:
    page = logs.page(job_id, limit=1000)
    assert not page.has_more
    assert [chunk.seq for chunk in page.data] == list(range(1, len(page.data) + 1))
    return "".join(chunk.text for chunk in page.data)


def _run(units: UnitService, supervisor_of: MakeSupervisor, jobs: JobService, job_id: str, **engine: int) -> None:
    supervisor = supervisor_of(units, QUICK.model_copy(update=engine))

    def step() -> bool:
        for unit_id in units.take_due():
            supervisor.run(unit_id)
        return jobs.get(job_id).status.is_terminal

    wait_until(step, "the job to end")


def test_chunks_are_numbered_and_stored_once(units: UnitService, logs: LogReader, lease: Lease) -> None:
    assert units.logs.append(lease, ["a\n", "b\n"], after=0) == 2
    assert units.logs.append(lease, ["a\n", "b\n"], after=0) == 2  # the answer to the commit was lost
    assert units.logs.append(lease, ["\N{SNOWMAN}\n"], after=2) == 3
    assert _text(logs, lease.job_id) == "a\nb\n\N{SNOWMAN}\n"
    end = units.logs.end(lease)
    assert (end.seq, end.bytes) == (3, 8)
    with pytest.raises(ValueError, match="ends at 3, not at 7"):
        units.logs.append(lease, ["c\n"], after=7)
    chunk = logs.page(lease.job_id, after=2).data[0]
    assert (chunk.attempt, chunk.job_id, chunk.text) == (1, lease.job_id, "\N{SNOWMAN}\n")


def test_a_worker_that_lost_its_lease_stores_nothing(
    database: Database, units: UnitService, logs: LogReader, lease: Lease
) -> None:
    units.release(lease, reason="worker_shutdown")
    with pytest.raises(LeaseLostError):
        units.logs.append(lease, ["too late\n"], after=0)
    newer = _claim(database, units, lease.job_id)
    with pytest.raises(LeaseLostError):
        units.logs.append(lease, ["too late\n"], after=0)
    assert units.logs.append(newer, ["in time\n"], after=0) == 1
    assert [(chunk.attempt, chunk.text) for chunk in logs.page(lease.job_id).data] == [(2, "in time\n")]


def test_pages_and_last_lines(units: UnitService, logs: LogReader, lease: Lease) -> None:
    units.logs.append(lease, [f"{n}a\n{n}b\n" for n in range(1, 121)], after=0)
    page = logs.page(lease.job_id, after=118, limit=1)
    assert ([chunk.seq for chunk in page.data], page.has_more, page.next_after) == ([119], True, "119")
    tail = logs.tail(lease.job_id, 3)
    assert [(chunk.seq, chunk.text) for chunk in tail] == [(119, "119b\n"), (120, "120a\n120b\n")]
    assert "".join(chunk.text for chunk in logs.tail(lease.job_id, 201)).splitlines()[0] == "20b"
    assert len(logs.tail(lease.job_id, 1000)) == 120
    assert [chunk.seq for chunk in logs.tail(lease.job_id, 1000, after=118)] == [119, 120]
    with pytest.raises(NotFoundError):
        logs.tail("job_nope", 3)
    with pytest.raises(NotFoundError):
        logs.page(lease.job_id, project="another")


@ON_SQLITE
def test_a_file_is_followed_line_by_line(units: UnitService, logs: LogReader, lease: Lease, tmp_path: Path) -> None:
    path = tmp_path / "child.log"
    shipper = LogShipper(path, lease, units.logs, limit=10**6)
    shipper.ship(last=False)  # there is no file yet
    with path.open("ab", buffering=0) as file:
        for written, shown in (
            (b"whole\nhalf", "whole\n"),
            (b" a line\r", "whole\n"),
            (b"\nbar\rbar", "whole\nhalf a line\nbar\n"),
        ):
            file.write(written)
            shipper._due = 0.0  # a second later
            shipper.ship()
            assert _text(logs, lease.job_id) == shown
        file.write(b"\xff and the end")
        shipper.ship(last=True)
    assert _text(logs, lease.job_id) == "whole\nhalf a line\nbar\nbar\ufffd and the end\n"
    shipper.ship(last=True)
    assert logs.last_seq(lease.job_id) == 3


@ON_SQLITE
def test_an_endless_line_is_not_waited_for(units: UnitService, logs: LogReader, lease: Lease, tmp_path: Path) -> None:
    path = tmp_path / "child.log"
    path.write_bytes(b"x" * (CHUNK_BYTES + 5))
    shipper = LogShipper(path, lease, units.logs, limit=10**6)
    shipper.ship()
    shipper.ship(last=True)
    assert [len(chunk.text) for chunk in logs.page(lease.job_id).data] == [CHUNK_BYTES, 5, 1]
    assert _text(logs, lease.job_id).endswith("xx\n")  # the next attempt begins a line of its own


def test_a_full_log_says_so_once_over_all_attempts(
    database: Database, units: UnitService, logs: LogReader, lease: Lease, tmp_path: Path
) -> None:
    path = tmp_path / "child.log"
    path.write_text("0123456789\n" * 1000)
    LogShipper(path, lease, units.logs, limit=2001).ship(last=True)
    said = "[the log of this job has reached its limit of 2001 bytes; what follows is not kept]\n"
    whole = "0123456789\n" * 181 + "0123456789\n" + said
    assert _text(logs, lease.job_id) == whole
    units.release(lease, reason="worker_shutdown")
    LogShipper(path, _claim(database, units, lease.job_id), units.logs, limit=2001).ship(last=True)
    assert _text(logs, lease.job_id) == whole


@ON_SQLITE
def test_a_log_of_no_bytes_is_not_kept(units: UnitService, logs: LogReader, lease: Lease, tmp_path: Path) -> None:
    (tmp_path / "child.log").write_text("hush\n")
    LogShipper(tmp_path / "child.log", lease, units.logs, limit=0).ship(last=True)
    assert _text(logs, lease.job_id) == ""


def test_a_child_that_crashes_has_said_its_last_words(
    jobs: JobService, units: UnitService, logs: LogReader, supervisor_of: MakeSupervisor
) -> None:
    job, _ = jobs.submit(spec(metadata={"crash_at": "5", "prints": r"one\x00\x1b[2J\ntwo\xff"}))
    _run(units, supervisor_of, jobs, job.id)
    assert jobs.get(job.id).status == "succeeded"
    said = "one\ufffd\ufffd[2J\ntwo\ufffd\n"
    attempts = [(chunk.attempt, chunk.text) for chunk in logs.page(job.id).data]
    assert "".join(text for attempt, text in attempts if attempt == 1) == f"{said}about to crash\n"
    assert "".join(text for attempt, text in attempts if attempt == 2) == said


@ON_SQLITE
def test_a_childs_environment_holds_nothing_of_the_services(
    jobs: JobService,
    units: UnitService,
    logs: LogReader,
    supervisor_of: MakeSupervisor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GBLEND_DATABASE__URL", "postgresql://gblend:hunter2@db/gblend")
    monkeypatch.setenv("BROKER", "redis://:hunter2@broker:6379/0")
    job, _ = jobs.submit(spec(metadata={"environment": "yes"}))
    _run(units, supervisor_of, jobs, job.id)
    said = _text(logs, job.id)
    assert "BROKER=redis://:***@broker:6379/0\n" in said
    assert "hunter2" not in said
    assert "GBLEND_" not in said
