"""Who is streaming: wakes the streams of this process, caps their number, ends them when the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from api.errors import RequestError

Subscribe = Callable[[str, Callable[[], None]], Callable[[], None]]
"""Job id and callback -> how to end it: `core.persistence.notify.Notifier.subscribe`."""

_FULL_RETRY_SECONDS = 5


class Waiter:
    """One stream's alarm clock. It lives in the event loop; `ring` may come from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def ring(self) -> None:
        """There may be something new."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    def rearm(self) -> None:
        """Forget earlier rings. Do it before reading, so that what comes after the read rings again."""
        self._event.clear()

    async def wait(self, seconds: float) -> bool:
        """Whether it rang within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


class StreamHub:
    """The streams of this process. Used from the event loop, apart from `close`."""

    def __init__(self, subscribe: Subscribe, *, limit: int) -> None:
        self._subscribe = subscribe
        self._limit = limit
        self._waiters: set[Waiter] = set()
        self._closing = False

    @property
    def closing(self) -> bool:
        """The server stops: streams end now; their clients come back to another one."""
        return self._closing

    @property
    def count(self) -> int:
        """Streams that are open."""
        return len(self._waiters)

    @contextmanager
    def enter(self, job_id: str) -> Iterator[Waiter]:
        """A place for one stream, woken when the job may have something new; 429 where all places are taken."""
        if len(self._waiters) >= self._limit:
            raise RequestError(
                429,
                "stream.too_many",
                f"{self._limit} streams are open, as many as this server keeps",
                hint="poll the events with If-None-Match, or try again later",
                headers={"retry-after": str(_FULL_RETRY_SECONDS)},
            )
        waiter = Waiter()
        self._waiters.add(waiter)
        unsubscribe = self._subscribe(job_id, waiter.ring)
        try:
            yield waiter
        finally:
            unsubscribe()
            self._waiters.discard(waiter)

    def close(self) -> None:
        """Let every stream end itself."""
        self._closing = True
        for waiter in tuple(self._waiters):
            waiter.ring()
