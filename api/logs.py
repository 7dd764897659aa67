"""The API process's logs: those of `core.logs`, with the request's id on every line, and uvicorn's among them."""

from __future__ import annotations

import logging

from structlog.typing import EventDict, WrappedLogger

from api.middleware import REQUEST_ID
from core import logs
from core.settings import LogSettings


def configure(settings: LogSettings) -> None:
    """Called where the process starts."""
    logs.configure(settings, also=[_tidy])
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Our own access lines have the request id; uvicorn's have the query string.
    logging.getLogger("uvicorn.access").disabled = True


def _tidy(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn's line again, with escape sequences
    request_id = REQUEST_ID.get()
    if request_id is not None:
        event["request_id"] = request_id
    return event
