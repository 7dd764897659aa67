"""The schema is made by the migrations, and the tables in code agree with it. On both databases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic import command
from sqlalchemy import Column, MetaData, Table, insert, select, text
from sqlalchemy.exc import StatementError

from core.jobs.experiments import ExperimentService
from core.jobs.lease import StoredArtifact
from core.jobs.service import JobService
from core.jobs.state import JobStatus
from core.jobs.units import UnitService
from core.jobs.worker_views import WorkerFacts
from core.jobs.workers import WorkerService
from core.persistence import Database
from core.persistence.engine import build_engine, now
from core.persistence.migrate import _config, differences, is_current, main, upgrade
from core.persistence.orm import Base, CheckpointRow, CounterRow, JobRow, LogChunkRow
from core.persistence.schema import SchemaError, revisions
from core.settings import EngineSettings
from core.spec.experiment import ExperimentSpec
from tests.integration.engine.samples import completed, run, spec
from tests.servers import PostgresServer

CLOCKS = EngineSettings(retry_backoff_seconds=0.0)
UPGRADE = "import sys; from core.persistence.migrate import upgrade; upgrade(sys.argv[1])"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'empty.sqlite3'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.create_database()


def test_migrations_make_the_tables_of_the_code(empty_url: str) -> None:
    assert not is_current(empty_url)
    upgrade(empty_url)
    assert is_current(empty_url)
    assert differences(empty_url) == []
    upgrade(empty_url)


def test_the_check_finds_a_difference(database: Database) -> None:
    """Negative control: a column that the code does not know, and one that the schema lacks."""
    with database.write() as session:
        session.execute(text("ALTER TABLE job ADD COLUMN surprise INTEGER"))
        session.execute(text("ALTER TABLE artifact DROP COLUMN kind"))
    found = differences(database.url)
    assert {(kind[0], kind[3].name) for kind in found} == {("remove_column", "surprise"), ("add_column", "kind")}


def test_migrations_do_not_go_back(empty_url: str) -> None:
    upgrade(empty_url)
    engine = build_engine(empty_url)
    for revision in ("-1", "base"):
        with pytest.raises(NotImplementedError, match="forward only"), engine.begin() as connection:
            command.downgrade(_config(connection), revision)
    engine.dispose()
    assert is_current(empty_url)
    assert differences(empty_url) == []


def test_a_schema_from_the_future_is_left_alone(empty_url: str) -> None:
    upgrade(empty_url)
    database = Database(empty_url)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert not is_current(empty_url)
    with pytest.raises(SchemaError, match=r"schema\.ahead"):
        upgrade(empty_url)
    database.close()


@pytest.fixture(scope="module")
def in_use(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database at the newest revision with rows in every table that an older one has: a run that is finished, one
    that is not, an experiment."""
    url = f"sqlite:///{tmp_path_factory.mktemp('in-use') / 'new.sqlite3'}"
    upgrade(url)
    database = Database(url)
    jobs, units, workers = JobService(database), UnitService(database, CLOCKS), WorkerService(database, CLOCKS)
    facts = WorkerFacts(host="box", pid=1, version="0", queues=("default",), slots=1, gpus=())
    worker_id = workers.register(facts)
    for _ in range(2):
        jobs.submit(spec(name="old", metadata={"team": "speech"}), idempotency_key=uuid4().hex)
        lease = units.claim_next(["default"], "worker", worker_id)
        assert lease is not None
        units.record(lease, run(3))
    written = completed().artifacts[0]
    stored = StoredArtifact(
        name=written.name, kind=written.kind, bytes=written.bytes, sha256=written.sha256, uri="jobs/x/1/model.bin"
    )
    units.succeed(lease, completed(), [stored])
    body = {"job": spec().resolved(), "strategies": ["naive", "online"], "seeds": [0, 1]}
    ExperimentService(database).submit(ExperimentSpec.model_validate(body))
    with database.write() as session:
        moment = now(session)
        session.add(CounterRow(name="leases_lost", label="", value=1))
        session.add(LogChunkRow(job_id=lease.job_id, seq=1, attempt=1, text="hello\n", created_at=moment))
        session.add(
            CheckpointRow(
                job_id=lease.job_id,
                fence=1,
                name="00000004",
                bytes=1,
                uri="c",
                files=[{"name": "a"}],
                created_at=moment,
            )
        )
    database.close()
    return url


@pytest.mark.parametrize("revision", revisions()[:-1])
def test_what_an_older_revision_holds_survives(empty_url: str, revision: str, in_use: str) -> None:
    """A database that was in use: its rows as they lie in a new one, less the columns and tables that it had not."""
    held = _copy_rows(in_use, empty_url, revision)
    upgrade(empty_url)
    assert is_current(empty_url)
    assert differences(empty_url) == []
    assert _rows(empty_url, held) == held
    database = Database(empty_url)
    jobs, units = JobService(database), UnitService(database, CLOCKS)
    (finished,) = jobs.list_jobs(status=JobStatus.SUCCEEDED).data
    (running,) = jobs.list_jobs(status=JobStatus.RUNNING).data
    assert len(jobs.super_epochs(finished.id).data) == 3
    assert [artifact.name for artifact in jobs.artifacts(finished.id)] == ["model.bin"]
    assert len(ExperimentService(database).list_experiments().data) == (0 if revision == "0001" else 1)
    with database.write() as session:
        session.execute(text("UPDATE unit SET lease_until = '2000-01-01 00:00:00.000000+00' WHERE state = 'leased'"))
    with database.read() as session:
        running_unit = session.execute(text("SELECT id FROM unit WHERE state = 'leased'")).scalar_one()
    assert units.reap() == 1
    assert jobs.get(running.id).status is JobStatus.QUEUED
    lease = units.claim(running_unit, "a worker of the new version")
    assert lease is not None
    assert lease.recorded == len(run(3))
    database.close()


def _copy_rows(source: str, target: str, revision: str) -> dict[str, list[dict[str, Any]]]:
    """Make `target` of that revision and put into it what `source` holds; returns the rows that it has then."""
    new, old = build_engine(source), build_engine(target)
    with old.begin() as connection:
        command.upgrade(_config(connection), revision)
    tables = MetaData()
    tables.reflect(old)
    held = {}
    with new.connect() as reader, old.begin() as writer:
        for reflected in tables.sorted_tables:
            known = Base.metadata.tables.get(reflected.name)
            if known is None:  # alembic's own
                continue
            columns = [Column(column.name, known.c[column.name].type) for column in reflected.columns]
            table = Table(reflected.name, MetaData(), *columns)
            rows = [
                {column.name: row[column.name] for column in columns}
                for row in reader.execute(select(known)).mappings()
            ]
            assert rows, f"{reflected.name} has no row: add one to `in_use`"
            writer.execute(insert(table), rows)
            held[reflected.name] = rows
    new.dispose()
    old.dispose()
    return held


def _rows(url: str, like: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The rows of these tables with these columns, in the same order."""
    engine = build_engine(url)
    found = {}
    with engine.connect() as connection:
        for name, rows in like.items():
            table = Base.metadata.tables[name]
            columns = [table.c[column] for column in rows[0]]
            stored = [dict(row) for row in connection.execute(select(*columns)).mappings()]
            order = [column.name for column in table.primary_key]
            found[name] = sorted(stored, key=lambda row: [row[column] for column in order])
            rows.sort(key=lambda row: [row[column] for column in order])
    engine.dispose()
    return found


def test_many_processes_may_migrate_at_once(empty_url: str) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", UPGRADE, empty_url]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert differences(empty_url) == []


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GBLEND_STATE_DIR", str(tmp_path / "state"))
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "migrations: ok\n"
    assert main(["upgrade"]) == 0
    assert is_current(f"sqlite:///{tmp_path / 'state' / 'gblend.sqlite3'}")
    assert main([]) == 2


def test_sqlite_is_opened_by_the_recipe(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.read() as session:
        pragmas = {
            name: session.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 1, "busy_timeout": 10_000, "foreign_keys": 1}
    database.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://host/db"])
def test_databases_that_cannot_serve_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"database\.url"):
        build_engine(url)


def test_json_never_holds_nan(database: Database) -> None:
    job, _ = JobService(database).submit(spec())

    def write() -> None:
        with database.write() as session:
            row = session.get(JobRow, job.id)
            assert row is not None
            row.result = {"loss": float("nan")}

    with pytest.raises((StatementError, ValueError), match="JSON compliant"):
        write()
    assert JobService(database).get(job.id).result is None


def test_every_table_has_a_name_for_each_constraint() -> None:
    names = [constraint.name for table in Base.metadata.tables.values() for constraint in table.constraints]
    assert None not in names
