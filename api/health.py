"""Whether this process can take a job: database, schema, broker; each checked for real, each within a second or two."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from api.queue import UnitQueue
from api.schemas.problem import ProblemError
from core.errors import GblendError

if TYPE_CHECKING:
    from core.persistence import Database

log = logging.getLogger(__name__)

_HINTS = {
    "database": "is GBLEND_DATABASE__URL right, and is the database up?",
    "migrations": "run `gblend-server migrate`",
    "broker": "is GBLEND_BROKER__URL right, and is the broker up?",
}


class Readiness:
    """The checks behind `/readyz`. Thread-safe."""

    def __init__(self, database: Database, queue: UnitQueue) -> None:
        self._database = database
        self._checks: dict[str, Callable[[], None]] = {
            "database": database.ping,
            "migrations": self._check_migrations,
            "broker": queue.ping,
        }

    @property
    def names(self) -> tuple[str, ...]:
        """What is checked."""
        return tuple(self._checks)

    def failures(self) -> list[ProblemError]:
        """What is not in order; empty when a job can be taken."""
        found: list[ProblemError] = []
        for name, check in self._checks.items():
            if name == "migrations" and found:  # no database, no opinion about its schema
                continue
            try:
                check()
            except Exception as error:  # noqa: BLE001 - any driver's or broker's error means: not ready
                log.warning("not ready", extra={"check": name, "error": f"{type(error).__name__}: {error}"})
                # The error's own text may hold a host or a password: the log has it, the client does not.
                detail = f"{name}: {type(error).__name__}"
                hint = (error.hint if isinstance(error, GblendError) else None) or _HINTS[name]
                found.append(ProblemError(code=f"not_ready.{name}", detail=detail, hint=hint))
        return found

    def _check_migrations(self) -> None:
        """At every question: a newer version's migration may have run while we do."""
        from core.persistence import schema  # SQLAlchemy: not before somebody asks

        with self._database.read() as session:
            schema.check(session)
