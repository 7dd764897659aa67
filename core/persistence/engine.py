"""One database, SQLite or PostgreSQL, behind two doors: `read()` and `write()`.

SQLite: WAL, and `BEGIN IMMEDIATE` for writers. A deferred BEGIN that later turns into a write fails with "database is
locked" at once, busy_timeout or not; taking the write lock first makes writers queue. Readers begin deferred and so
never wait for a writer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from core.persistence.orm.types import database_now

SQLITE_BUSY_SECONDS = 10
_POSTGRES = {
    "application_name": "gblend",
    "connect_timeout": 10,
    # A peer that vanished without a word must be noticed before a lease runs out.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_READ_ONLY = "gblend_read_only"

_dump_json = partial(json.dumps, allow_nan=False, separators=(",", ":"))


def build_engine(url: str, *, pool_size: int = 10) -> Engine:
    """An engine for `url` (`sqlite:///path` or `postgresql://...`, psycopg 3) with the recipe of its dialect.

    Raises `ValueError` for any other dialect and for an in-memory SQLite, which processes could not share.
    """
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        return create_engine(
            parsed,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            json_serializer=_dump_json,
            connect_args=_POSTGRES,
        )
    if backend != "sqlite":
        raise ValueError(f"database.url: {backend!r} is not supported; use sqlite:///path or postgresql://...")
    if not parsed.database or parsed.database == ":memory:":
        raise ValueError("database.url: an in-memory SQLite cannot be shared by processes; name a file")
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=pool_size,
        json_serializer=_dump_json,
        connect_args={"timeout": SQLITE_BUSY_SECONDS},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(dbapi_connection: Any, _: ConnectionPoolEntry) -> None:
    dbapi_connection.isolation_level = None  # the driver's own BEGINs off: `_begin_sqlite` emits them
    cursor = dbapi_connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


class Database:
    """Sessions on one database. Thread-safe; one per process, never carried over a fork."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = url
        self.engine = build_engine(url, pool_size=pool_size)
        self._reader = self.engine.execution_options(**{_READ_ONLY: True})

    @property
    def is_postgresql(self) -> bool:
        """Whether LISTEN/NOTIFY and SKIP LOCKED are to be had."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads. Rows are detached when it ends."""
        with Session(self._reader, expire_on_commit=False, autoflush=False) as session, session.begin():
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session in one write transaction: committed at the end of the block, rolled back by an exception."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def ping(self) -> None:
        """One round trip; raises SQLAlchemy's `DBAPIError` when the database does not answer."""
        with self.read() as session:
            session.execute(select(1))

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()


def is_outage(error: DBAPIError) -> bool:
    """Whether the database was away or busy, rather than the statement wrong.

    SQLite calls a missing table operational, too, under the code that it has for whatever has no other.
    """
    if getattr(error.orig, "sqlite_errorname", None) == "SQLITE_ERROR":
        return False
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)


def now(session: Session) -> datetime:
    """The database's clock, UTC: the only one that leases and times of record are measured with."""
    moment: datetime = session.execute(select(database_now())).scalar_one()
    return moment
