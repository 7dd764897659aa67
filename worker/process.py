"""A worker process: a Celery app tied to a runtime.

Celery carries wake-ups and nothing else. One thread per slot: the training is a child process, so a prefork pool would
only add the hazards of a fork. On SIGTERM the children write checkpoints and end, their units go back to the table, and
the process ends; on SIGKILL the children end with it and the leases expire.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from celery import Celery, signals
from structlog.typing import EventDict, WrappedLogger

from core import logs
from core.jobs.broker import READY_FILE_VARIABLE, RUN_UNIT, WakeUp, celery_options, is_redis, prepare, queue_name
from core.persistence.schema import SchemaError
from core.settings import Settings
from worker import embedded_transport
from worker.child import TRAINING
from worker.runtime import WorkerRuntime, slots
from worker.tasks import run_unit


class WorkerProcess:
    """Ties a Celery app to a runtime, which is built only when a worker really starts."""

    def __init__(self, settings: Settings, *, command: Sequence[str] = TRAINING) -> None:
        self._settings = settings
        self._command = command
        self._runtime: WorkerRuntime | None = None
        self.app = Celery("gblend", set_as_current=False)
        self.app.conf.update(celery_options(settings), **_worker_options(settings))
        run_unit.register(self.app, self._run)
        signals.setup_logging.connect(self._on_logging, weak=False)
        signals.celeryd_init.connect(self._on_celeryd_init, weak=False)
        signals.worker_init.connect(self._on_init, weak=False)
        signals.worker_ready.connect(self._on_ready, weak=False)
        signals.worker_shutting_down.connect(self._on_shutting_down, weak=False)
        signals.worker_shutdown.connect(self._on_shutdown, weak=False)

    def send(self, wake_up: WakeUp) -> None:
        """Send a wake-up to the workers of its class."""
        self.app.send_task(RUN_UNIT, args=[wake_up.unit_id], queue=queue_name(self._settings, wake_up.queue))

    def _run(self, unit_id: str) -> None:
        if self._runtime is None:
            raise RuntimeError("the task runs only in a worker process")
        self._runtime.supervisor.work(unit_id)

    def _on_logging(self, **_: Any) -> None:
        logs.configure(self._settings.log, also=[self._name_worker])

    def _name_worker(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        """Which worker a line is from: its id in the registry, before it has one (and for ever without) its process."""
        known = None if self._runtime is None else self._runtime.registration.worker_id
        event.setdefault("worker", known or f"{socket.gethostname()}:{os.getpid()}")
        return event

    def _on_celeryd_init(self, options: dict[str, Any] | None = None, **_: Any) -> None:
        """Listen on the queues of the settings, however the worker was started."""
        self._on_logging()  # Celery warns of things (a worker of root) before it asks for its logging
        self.app.amqp.queues.select([queue_name(self._settings, queue) for queue in self._settings.worker.queues])

    def _on_init(self, **_: Any) -> None:
        prepare(self._settings)
        self._runtime = WorkerRuntime(self._settings, self.send, outdated=_end_in_good_order, command=self._command)
        try:
            self._runtime.check_schema()
        except SchemaError as error:
            # Celery's signals swallow exceptions, but not this one: nothing was started that would have to be stopped.
            print(f"gblend worker: {error.detail}: {error.hint}", file=sys.stderr, flush=True)
            raise SystemExit(os.EX_CONFIG) from None

    def _on_ready(self, **_: Any) -> None:
        if self._runtime is not None:
            self._runtime.start()
        ready_file = os.environ.get(READY_FILE_VARIABLE)
        if ready_file:
            Path(ready_file).touch()

    def _on_shutting_down(self, **_: Any) -> None:
        if self._runtime is not None:
            self._runtime.supervisor.stop()

    def _on_shutdown(self, **_: Any) -> None:
        if self._runtime is not None:
            self._runtime.close()


def _end_in_good_order() -> None:
    """As if somebody had asked us to: children write checkpoints, units go back."""
    os.kill(os.getpid(), signal.SIGTERM)


def _worker_options(settings: Settings) -> dict[str, Any]:
    embedded = settings.broker.url is None
    if embedded:
        embedded_transport.register()
    return {
        **({"broker_url": f"{embedded_transport.SCHEME}://localhost//"} if embedded else {}),
        "worker_pool": "threads",
        "worker_concurrency": slots(settings).count,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": is_redis(settings),
        # After a lost connection Celery would take less at first, and more again with each task that begins: by an AMQP
        # call of the pool's thread, on the channel that the consumer's thread reads. Both then wait for ever.
        "worker_enable_prefetch_count_reduction": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,
        "worker_timer_precision": 0.25,  # how long Celery's timer thread sleeps on when told to stop
        "task_acks_late": False,
    }
