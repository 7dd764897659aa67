"""The calls about workers as flows; see `_calls`."""

from __future__ import annotations

from gblend_client._calls import get, items, path_of
from gblend_client._decode import decode
from gblend_client._flow import Flow
from gblend_client._retry import Backoff
from gblend_client.types import Worker

WORKERS = "/v1/workers"


def get_worker(worker_id: str, backoff: Backoff) -> Flow[Worker]:
    """`GET /workers/{id}`."""
    return decode(Worker, (yield from get(path_of(WORKERS, "worker", worker_id), (), backoff)))


def list_workers(limit: int | None, backoff: Backoff) -> Flow[None]:
    """Emits the workers, newest first."""
    return items(Worker, WORKERS, (), backoff, limit=limit)
