"""Wake-ups for readers of the event log: "this job may have something new". Hints, never the data.

PostgreSQL: LISTEN, fed by the NOTIFY inside each recording transaction, with a periodic wake-up of everybody as
fallback (a listener's connection may be lost at any moment). SQLite: `PRAGMA data_version` on a connection of our own
changes whenever any process commits.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from sqlalchemy.engine import URL, make_url

from core.persistence.repositories.events import NOTIFY_CHANNEL

log = logging.getLogger(__name__)

SQLITE_POLL_SECONDS = 0.1
POSTGRES_FALLBACK_SECONDS = 1.0
_RECONNECT_SECONDS = 1.0

Callback = Callable[[], None]


class _ListenerLostError(Exception):
    """The connection that listens is gone."""


class Notifier:
    """One thread that listens for all readers of this process.

    Callbacks run in that thread: they must be quick and must not raise. They may be called without anything new.
    """

    def __init__(self, database_url: str) -> None:
        self._url = make_url(database_url)
        self._listeners: dict[str | None, set[Callback]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="notify", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop listening; callbacks are not called any more once this returns."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def subscribe(self, job_id: str | None, callback: Callback) -> Callback:
        """Call `callback` when `job_id` (or any job, for `None`) may have new events; returns how to end that."""
        with self._lock:
            self._listeners.setdefault(job_id, set()).add(callback)

        def unsubscribe() -> None:
            with self._lock:
                callbacks = self._listeners.get(job_id, set())
                callbacks.discard(callback)
                if not callbacks:
                    self._listeners.pop(job_id, None)

        return unsubscribe

    def _wake(self, job_id: str | None) -> None:
        """Those who wait for this job; everybody, for `None`."""
        with self._lock:
            keys = list(self._listeners) if job_id is None else [job_id, None]
            callbacks = [callback for key in keys for callback in self._listeners.get(key, ())]
        for callback in callbacks:
            callback()

    def _loop(self) -> None:
        hints = _postgres_hints if self._url.get_backend_name() == "postgresql" else _sqlite_hints
        while not self._stopping.is_set():
            try:
                for job_id in hints(self._url, self._stopping):
                    self._wake(job_id)
            except (_ListenerLostError, sqlite3.Error) as error:
                reason = type(error.__cause__ or error).__name__
                log.warning("listener lost its database; polling until it is back: %s", reason)
                self._wake(None)
                self._stopping.wait(_RECONNECT_SECONDS)


def _sqlite_hints(url: URL, stopping: threading.Event) -> Iterator[str | None]:
    with closing(sqlite3.connect(url.database or "", isolation_level=None)) as connection:
        seen: Any = None
        while not stopping.wait(SQLITE_POLL_SECONDS):
            version = connection.execute("PRAGMA data_version").fetchone()[0]
            if version != seen:
                seen = version
                yield None


def _postgres_hints(url: URL, stopping: threading.Event) -> Iterator[str | None]:
    import psycopg  # only where PostgreSQL is: it takes a process on SQLite 70 ms for nothing

    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10, application_name="gblend-listen") as connection:
            connection.execute(f"LISTEN {NOTIFY_CHANNEL}")
            while not stopping.is_set():
                yield None  # what was committed before LISTEN, or while nothing was heard
                for notification in connection.notifies(timeout=POSTGRES_FALLBACK_SECONDS):
                    yield notification.payload
                    if stopping.is_set():
                        return
    except psycopg.Error as error:
        raise _ListenerLostError from error
