"""Which revision a database is at, and whether this code fits it. Cheap: no alembic, one small SELECT.

Migrations go forward only. While a fleet is upgraded, old and new processes are at work together, and none of them may
write to a schema that it was not made for: a process looks before it starts, and workers look at every heartbeat.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.orm import Session

from core.errors import GblendError

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


class Schema(Enum):
    """A database's schema, seen from this code."""

    CURRENT = "current"
    BEHIND = "behind"
    """The database waits for a migration that this code brings."""
    AHEAD = "ahead"
    """The database is at a revision that this code has never heard of: the code is the older one."""


_SAYS = {
    Schema.BEHIND: (
        "schema.behind",
        "the database is at an older revision than this version of gblend",
        "run `gblend-server migrate`",
    ),
    Schema.AHEAD: (
        "schema.ahead",
        "the database was migrated by a newer version of gblend than this one",
        "start the newer version here; migrations cannot be undone",
    ),
}


class SchemaError(GblendError):
    """This code and the database do not fit; the hint says which of them has to move."""

    def __init__(self, state: Schema) -> None:
        code, detail, hint = _SAYS[state]
        super().__init__(detail, code=code, hint=hint)
        self.state = state


@cache
def revisions() -> tuple[str, ...]:
    """The revisions that this code knows, oldest first: the first parts of their files' names."""
    return tuple(sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py")))


def state_of(connection: Connection | Session) -> Schema:
    """How the database's schema stands to this code; a database without tables is behind. Raises `DBAPIError`."""
    bind = connection.connection() if isinstance(connection, Session) else connection
    if not inspect(bind).has_table("alembic_version"):
        return Schema.BEHIND
    found = bind.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    if found == [revisions()[-1]]:
        return Schema.CURRENT
    return Schema.BEHIND if set(found) <= set(revisions()) else Schema.AHEAD


def check(session: Session) -> None:
    """Raises `SchemaError` where the database is at another revision than the newest of this code."""
    state = state_of(session)
    if state is not Schema.CURRENT:
        raise SchemaError(state)


def forward_only() -> NotImplementedError:
    """What every revision raises when it is asked to go back."""
    return NotImplementedError("gblend's migrations go forward only; to go back, restore the backup from before")
