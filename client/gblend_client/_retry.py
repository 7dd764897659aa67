"""When to try again, and after how long: pure decisions."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from gblend_client.errors import APIError, ConnectionFailed, GblendError

IN_FLIGHT = "idempotency.in_flight"
"""The code of a 409 that means "the first use of this key is not over": worth another try, unlike other conflicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential back-off with jitter."""

    retries: int = 4
    """After the first try, and since the last success."""
    first: float = 0.5
    cap: float = 8.0
    """Seconds; doubling stops here."""
    longest: float = 120.0
    """A server that asks for a longer pause gets none: the caller should decide."""

    def pause(self, failures: int, error: GblendError) -> float | None:
        """Seconds before the next try after `failures` (>= 1) in a row, the last of them `error`; `None`: give up."""
        if failures > self.retries or not is_retryable(error):
            return None
        # Half fixed, half random: clients that a restart threw off together do not come back together.
        pause = min(self.cap, self.first * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)
        asked = error.retry_after if isinstance(error, APIError) else None
        if asked is None:
            return pause
        return None if asked > self.longest else max(asked, pause)


def is_retryable(error: GblendError) -> bool:
    """408, 409 while in flight, 429, 5xx (but 501) and lost connections."""
    if isinstance(error, ConnectionFailed):
        return True
    if not isinstance(error, APIError):
        return False
    if error.status == 409:
        return error.code == IN_FLIGHT
    return error.status in (408, 429) or (error.status >= 500 and error.status != 501)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """The header `Retry-After` (seconds or an HTTP date) in seconds from now; `None` without one that makes sense."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A client's patience."""

    calls: Backoff
    streams: Backoff
    """For a stream that was open before: through a restart of the service, and a train's tunnel."""


def policy(retries: int, first: float) -> Policy:
    """The patience that a client's arguments ask for."""
    return Policy(calls=Backoff(retries=retries, first=first), streams=Backoff(retries=60, first=first, cap=15.0))
