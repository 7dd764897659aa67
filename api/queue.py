"""Wake-ups for workers: the task by name, a unit id, and nothing else.

The sender knows the worker's code only by the task's name. A wake-up that cannot be sent loses nothing (the table is
the outbox), so a send fails soon rather than hold the request that caused it.
"""

from __future__ import annotations

import tempfile
import threading
from typing import TYPE_CHECKING, Any

from core.jobs import broker
from core.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

_FAIL_SOON = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}
"""kombu's own default is to try to connect for ever."""


_PING_SECONDS = 2


class UnitQueue:
    """Sends wake-ups. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._celery: Celery | None = None

    def send(self, wake_up: broker.WakeUp) -> None:
        """Announce a unit to the workers of its class; raises whatever the broker's client raises."""
        queue = broker.queue_name(self._settings, wake_up.queue)
        self._app().send_task(broker.RUN_UNIT, args=[wake_up.unit_id], queue=queue, retry=False)

    def ping(self) -> None:
        """One round trip to the broker, or its error. The embedded one is there when its folder can be written to."""
        if self._settings.broker.url is None:
            broker.prepare(self._settings)
            with tempfile.TemporaryFile(dir=broker.embedded_folders(self._settings)["messages"]):
                return
        with self._app().connection_for_write() as connection:
            connection.ensure_connection(timeout=_PING_SECONDS, reraise_as_library_errors=False)

    def warm_up(self) -> None:
        """Load Celery. Optional: the first `send` does it as well."""
        self._app()

    def close(self) -> None:
        """Give the pooled connections back."""
        with self._lock:
            if self._celery is not None:
                # `close` only lets go of connections; AMQP has sockets to close.
                self._celery.pool.force_close_all()  # type: ignore[attr-defined]
                self._celery.close()
                self._celery = None

    def _app(self) -> Celery:
        with self._lock:
            if self._celery is None:
                # Here, not above: Celery takes a quarter of a second to import, and no answer need wait for that.
                from celery import Celery

                broker.prepare(self._settings)
                options: dict[str, Any] = broker.celery_options(self._settings)
                options["broker_transport_options"] = {**options["broker_transport_options"], **_FAIL_SOON}
                self._celery = Celery("gblend.api", set_as_current=False)
                self._celery.conf.update(options)
            return self._celery
