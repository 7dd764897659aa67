"""The schema is made by the migrations, and the tables in code agree with it. On both databases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import inspect, text
from sqlalchemy.exc import StatementError

from core.jobs.service import JobService
from core.persistence import Database
from core.persistence.engine import build_engine
from core.persistence.migrate import _config, differences, is_current, main, upgrade
from core.persistence.orm import Base, JobRow
from tests.integration.engine.samples import spec
from tests.servers import PostgresServer

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


def test_migrations_go_down_again(empty_url: str) -> None:
    upgrade(empty_url)
    engine = build_engine(empty_url)
    with engine.begin() as connection:
        command.downgrade(_config(connection), "base")
    with engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}
    engine.dispose()
    upgrade(empty_url)


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
