"""This process's entry in the registry of workers, kept alive by a thread of its own.

An outage costs nothing but an old heartbeat: the thread tries again. What it looks for at every heartbeat is a database
that was migrated under us: then this worker must not write any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from sqlalchemy.exc import DBAPIError

from core.jobs.worker_views import WorkerFacts
from core.jobs.workers import WorkerService
from core.persistence.schema import SchemaError

log = structlog.stdlib.get_logger(__name__)

_UNREGISTERED_SECONDS = 1.0
"""Between two tries to get into the registry."""


class Registration:
    """Registers, says every `heartbeat_seconds` that the worker is alive, and at the end that it has stopped."""

    def __init__(
        self,
        workers: WorkerService,
        *,
        facts: WorkerFacts,
        heartbeat_seconds: float,
        outdated: Callable[[SchemaError], None],
    ) -> None:
        self._workers = workers
        self._facts = facts
        self._heartbeat_seconds = heartbeat_seconds
        self._outdated = outdated
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="registration", daemon=True)
        self.worker_id: str | None = None
        """`wrk_...`, sortable by start; `None` as long as the database was never in reach."""

    def start(self) -> None:
        """Register at once if the database answers, else as soon as it does."""
        if self._beat():
            self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread and say that the worker has stopped. May be repeated."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        if self.worker_id is None:
            return
        try:
            self._workers.stop(self.worker_id)
        except DBAPIError as error:  # it will look lost, which it is soon after
            log.warning("not marked as stopped: the database does not answer", error=type(error.orig).__name__)

    def _loop(self) -> None:
        while not self._stopping.wait(self._heartbeat_seconds if self.worker_id else _UNREGISTERED_SECONDS):
            if not self._beat():
                return

    def _beat(self) -> bool:
        """One sign of life; false when there shall be no further one."""
        try:
            if self.worker_id is None:
                self.worker_id = self._workers.register(self._facts)
            else:
                self._workers.beat(self.worker_id, self._facts)
        except SchemaError as error:
            self._outdated(error)
            return False
        except DBAPIError as error:
            log.warning("no sign of life: the database does not answer", error=type(error.orig).__name__)
        except Exception:  # a beat that fails must not end all later ones
            log.exception("no sign of life")
        return True
