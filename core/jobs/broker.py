"""What the sender (`api.queue`) and the consumer (`worker.celery_app`) must agree on, as plain data.

A message is a wake-up that holds one unit id: it may be lost, doubled or late (the table is the outbox). So there is no
result backend, no redelivery and no countdown anywhere, and a send gives up soon instead of holding a request.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.settings import Settings

RUN_UNIT = "gblend.run_unit"
"""The one task: its only argument is the id of the unit to claim."""

READY_FILE_VARIABLE = "GBLEND_READY_FILE"
"""Names an environment variable: a worker that is given a path there creates that file once it consumes its queue
(Celery's `worker_ready`). `gblend-server up` waits for it before it calls itself ready."""

_KEY_PREFIX = "gblend:"
_SOCKET_TIMEOUT_SECONDS = 5.0
_CONNECT_TIMEOUT_SECONDS = 2.0
_POLL_SECONDS = 0.1
"""Of the embedded transport: half of it is the median delay of a wake-up; it costs 0.3 % of a core when idle."""


def embedded_folders(settings: Settings) -> dict[str, Path]:
    """The folders of the embedded (filesystem) transport; kombu does not make them, `prepare` does."""
    base = settings.state_dir / "broker"
    return {"messages": base / "messages", "control": base / "control"}


def prepare(settings: Settings) -> None:
    """Make what the transport needs to exist. Idempotent; a broker with a URL needs nothing."""
    if settings.broker.url is None:
        for folder in embedded_folders(settings).values():
            folder.mkdir(parents=True, exist_ok=True)


def broker_url(settings: Settings) -> str:
    """The transport's URL. May hold a password: never log it."""
    return "filesystem://localhost//" if settings.broker.url is None else settings.broker.url.get_secret_value()


def transport_options(settings: Settings) -> dict[str, Any]:
    """kombu's options for that transport."""
    if settings.broker.url is None:
        folders = embedded_folders(settings)
        return {
            "data_folder_in": str(folders["messages"]),
            "data_folder_out": str(folders["messages"]),
            "control_folder": str(folders["control"]),
            "polling_interval": _POLL_SECONDS,
        }
    return {
        "global_keyprefix": _KEY_PREFIX,
        "socket_timeout": _SOCKET_TIMEOUT_SECONDS,
        "socket_connect_timeout": _CONNECT_TIMEOUT_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 25,
    }


def celery_options(settings: Settings) -> dict[str, Any]:
    """The Celery configuration that both sides share, for `app.conf.update`."""
    return {
        "broker_url": broker_url(settings),
        "broker_transport_options": transport_options(settings),
        "broker_connection_retry_on_startup": True,
        "task_default_queue": settings.broker.queue,
        "task_create_missing_queues": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "result_backend": None,
        "task_publish_retry": False,
        "enable_utc": True,
    }
