"""Alembic's entry: runs the revisions on a connection handed in by `core.persistence.migrate`, or on the service's own
database when called from the command line."""

from __future__ import annotations

from typing import Any

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

from core.persistence.engine import build_engine
from core.persistence.orm import Base
from core.persistence.orm.types import UtcDateTime
from core.settings import Settings


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | bool:
    """Write our own column type by its plain name in new revisions."""
    if kind == "type" and isinstance(item, UtcDateTime):
        autogen.imports.add("from core.persistence.orm.types import UtcDateTime")
        return "UtcDateTime()"
    return False


def run(connection: Connection) -> None:
    """All pending revisions in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=render_item,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    engine = build_engine(Settings().database_url)
    with engine.begin() as own:
        run(own)
    engine.dispose()
