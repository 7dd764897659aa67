"""The schema, made only by the revisions in `migrations/`.

python -m core.persistence.migrate upgrade    bring the service's database to the newest revision
python -m core.persistence.migrate check      upgrade an empty SQLite and tell where it differs from the tables
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from core.persistence.engine import build_engine
from core.persistence.orm import Base
from core.persistence.schema import MIGRATIONS, Schema, SchemaError, state_of
from core.settings import Settings

_ADVISORY_LOCK = 0x67626C656E64  # "gblend": one process migrates, the others wait and find nothing to do


def upgrade(database_url: str) -> None:
    """Bring the database to the newest revision, if it is not there yet. Safe from many processes at once.

    Raises `SchemaError` where it is at a revision that this code does not know: it is newer.
    """
    engine = build_engine(database_url, pool_size=1)
    try:
        with engine.begin() as connection:
            _serialise(connection)
            if state_of(connection) is Schema.AHEAD:
                raise SchemaError(Schema.AHEAD)
            command.upgrade(_config(connection), "head")
    finally:
        engine.dispose()


def is_current(database_url: str) -> bool:
    """Whether the database is at the newest revision."""
    engine = build_engine(database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            return state_of(connection) is Schema.CURRENT
    finally:
        engine.dispose()


def differences(database_url: str) -> list[Any]:
    """Where the migrated schema and the tables in `core.persistence.orm` disagree; empty when they agree."""
    engine = build_engine(database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            return list(compare_metadata(context, Base.metadata))
    finally:
        engine.dispose()


def _serialise(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # SQLite's BEGIN IMMEDIATE has done it already
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    match arguments:
        case ["upgrade"]:
            upgrade(Settings().database_url)
            return 0
        case ["check"]:
            with tempfile.TemporaryDirectory() as folder:
                url = f"sqlite:///{folder}/check.sqlite3"
                upgrade(url)
                found = differences(url)
            for difference in found:
                print(difference, file=sys.stderr)
            print(f"migrations: {'ok' if not found else f'{len(found)} differences'}")
            return 1 if found else 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
