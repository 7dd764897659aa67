"""Asking a database again that does not answer, for as long as the lease is surely ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError

from core.errors import GblendError
from core.persistence.engine import is_outage

T = TypeVar("T")
log = structlog.stdlib.get_logger(__name__)

_LONGEST_PAUSE_SECONDS = 2.0


class SelfFencedError(GblendError):
    """No success with the database for so long that the lease may be another worker's by now."""


def insist(operation: Callable[[], T], *, renewed: Callable[[], float], seconds: float) -> T:
    """Repeat `operation` over a database that is away or busy until `seconds` after `renewed()`, the monotonic time of
    the lease's last renewal; then raises `SelfFencedError`. Any other error of a database is passed on."""
    pause = 0.1
    while True:
        try:
            return operation()
        except DBAPIError as error:
            if not is_outage(error):
                raise
            if time.monotonic() - renewed() > seconds:
                raise SelfFencedError("the database did not answer for too long", code="lease.self_fenced") from error
            log.warning("database does not answer; trying again", error=type(error.orig).__name__)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
