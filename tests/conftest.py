"""Fixtures for everybody: databases with the real migrations, and real PostgreSQL and Redis servers.

Where a server's binaries are missing its tests are skipped, and the end of the run says so in capitals.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Before anything imports torch: two spinning OpenMP threads on busy cores slow a step down a hundredfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest

from core.persistence import Database
from core.persistence.migrate import upgrade
from tests.rabbit_server import RabbitServer, rabbitmq_script
from tests.servers import PostgresServer, RedisServer, postgres_binaries

if TYPE_CHECKING:
    from tests.s3_server import S3Server

_missing: set[str] = set()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested."""
    for name in sorted(_missing):
        terminalreporter.write_line(f"NOT TESTED: {name} is not installed here", red=True, bold=True)


def skip_without(name: str) -> None:
    _missing.add(name)
    pytest.skip(f"{name} is not installed here")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL that runs. A test that stops it starts it again."""
    binaries = postgres_binaries()
    if binaries is None:
        skip_without("PostgreSQL")
    else:
        server = PostgresServer(binaries)
        try:
            server.start()
            yield server
        finally:
            server.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis that runs. A test that stops it starts it again."""
    if shutil.which("redis-server") is None:
        skip_without("Redis")
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def rabbit_server() -> Iterator[RabbitServer]:
    """A RabbitMQ that runs. A test that stops it starts it again."""
    script = rabbitmq_script()
    if script is None or shutil.which("epmd") is None:
        skip_without("RabbitMQ")
    else:
        server = RabbitServer(script)
        try:
            server.start()
            yield server
        finally:
            server.close()


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[S3Server]:
    from tests.s3_server import S3Server  # moto takes half a second to import

    server = S3Server()
    server.start()
    yield server
    server.close()


@pytest.fixture
def s3_server(_s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """An S3 that runs, with an empty bucket; this process's environment leads to it. A test that stops it starts it
    again."""
    _s3_server.empty()
    for name, value in _s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return _s3_server


@pytest.fixture(scope="session")
def server_binaries() -> None:
    """For tests that start a PostgreSQL and a Redis of their own: skips where there are none."""
    if postgres_binaries() is None:
        skip_without("PostgreSQL")
    if shutil.which("redis-server") is None:
        skip_without("Redis")


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """An empty Redis."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture(scope="session")
def _migrated_postgres(postgres_server: PostgresServer) -> str:
    url = postgres_server.create_database()
    upgrade(url)
    return url.rpartition("/")[2]


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "gblend.sqlite3"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, _migrated_postgres: str) -> Iterator[str]:
    """A migrated, empty PostgreSQL database of this test's own."""
    url = postgres_server.create_database(template=_migrated_postgres)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def sqlite_url(_migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated, empty SQLite database of this test's own."""
    path = tmp_path / "gblend.sqlite3"
    shutil.copyfile(_migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated, empty database of this test's own: each test runs on both."""
    name = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """`database_url`, opened."""
    opened = Database(database_url)
    yield opened
    opened.close()
