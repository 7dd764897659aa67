"""What the sender (`api.queue`) and the consumer (`worker.celery_app`) must agree on, as plain data.

A message is a wake-up that holds one unit id: it may be lost, doubled or late (the table is the outbox). So there is no
result backend, no redelivery and no countdown anywhere, and a send gives up soon instead of holding a request.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, NamedTuple

from core.settings import Settings
from core.spec.scheduling import DEFAULT_QUEUE

RUN_UNIT = "gblend.run_unit"
"""The one task: its only argument is the id of the unit to claim."""

READY_FILE_VARIABLE = "GBLEND_READY_FILE"
"""Names an environment variable: a worker that is given a path there creates that file once it consumes its queue
(Celery's `worker_ready`). `gblend-server up` waits for it before it calls itself ready."""

_KEY_PREFIX = "gblend:"
_SOCKET_TIMEOUT_SECONDS = 5.0
_CONNECT_TIMEOUT_SECONDS = 2.0
_REDIS = ("redis", "rediss")
_AMQP = ("amqp", "amqps", "pyamqp")
_KEEP_ALIVE = (
    ("TCP_KEEPIDLE", 20),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 20_000),
)
_POLL_SECONDS = 0.1
"""Of the embedded transport: half of it is the median delay of a wake-up; it costs 0.3 % of a core when idle."""


class WakeUp(NamedTuple):
    """Somebody thinks that this unit is ready."""

    unit_id: str
    queue: str
    """The class of workers that may run it. It says where the message goes; the message itself is the id alone."""


def queue_name(settings: Settings, queue: str) -> str:
    """The broker's name of a class's queue. That of `default` is the setting itself."""
    return settings.broker.queue if queue == DEFAULT_QUEUE else f"{settings.broker.queue}.{queue}"


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
    if is_redis(settings):
        return {
            "global_keyprefix": _KEY_PREFIX,
            "socket_timeout": _SOCKET_TIMEOUT_SECONDS,
            "socket_connect_timeout": _CONNECT_TIMEOUT_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": 25,
        }
    if _scheme(settings) in _AMQP:
        return {
            "read_timeout": _SOCKET_TIMEOUT_SECONDS,
            "write_timeout": _SOCKET_TIMEOUT_SECONDS,
            "socket_settings": {getattr(socket, name): value for name, value in _KEEP_ALIVE if hasattr(socket, name)},
        }
    return {}


def is_redis(settings: Settings) -> bool:
    """Whether a worker can leave messages with the broker while all its slots are busy. Any other broker hands out one
    per slot in advance; what lies with a busy worker is announced to others after `redispatch_seconds`."""
    return _scheme(settings) in _REDIS


def _scheme(settings: Settings) -> str:
    return broker_url(settings).partition("://")[0].partition("+")[0].lower()


def celery_options(settings: Settings) -> dict[str, Any]:
    """The Celery configuration that both sides share, for `app.conf.update`."""
    return {
        "broker_url": broker_url(settings),
        "broker_transport_options": transport_options(settings),
        "broker_connection_timeout": _CONNECT_TIMEOUT_SECONDS,
        "broker_connection_retry_on_startup": True,
        # Of AMQP: only the connection that consumes would send them, and a broker hangs up on one that sends none.
        # TCP's keep-alive finds a peer that is gone just as well.
        "broker_heartbeat": 0,
        "task_default_queue": settings.broker.queue,
        "task_create_missing_queues": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "result_backend": None,
        "task_publish_retry": False,
        "enable_utc": True,
    }
