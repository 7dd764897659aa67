"""Places for streams, and the alarm clocks of those who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from api.errors import RequestError
from api.streaming.hub import StreamHub


class Bell:
    """A notifier in miniature."""

    def __init__(self) -> None:
        self.callbacks: list[tuple[str, Callable[[], None]]] = []

    def subscribe(self, job_id: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Remembers who wants to hear."""
        self.callbacks.append((job_id, callback))
        return lambda: self.callbacks.remove((job_id, callback))


def test_a_ring_from_any_thread_wakes_a_waiter() -> None:
    async def scenario() -> None:
        bell = Bell()
        with StreamHub(bell.subscribe, limit=1).enter("job_1") as waiter:
            ((job_id, ring),) = bell.callbacks
            assert job_id == "job_1"
            assert not await waiter.wait(0.01)
            waiting = asyncio.create_task(waiter.wait(20))
            await asyncio.to_thread(ring)
            assert await waiting
            waiter.rearm()
            assert not await waiter.wait(0.01)
        assert bell.callbacks == []

    asyncio.run(scenario())


def test_places_are_counted_and_given_back() -> None:
    async def scenario() -> None:
        hub = StreamHub(Bell().subscribe, limit=2)
        with hub.enter("a"), hub.enter("b"):
            assert hub.count == 2
            with pytest.raises(RequestError) as refused, hub.enter("c"):
                pass
            assert (refused.value.status_code, refused.value.code) == (429, "stream.too_many")
        assert hub.count == 0

    asyncio.run(scenario())


def test_closing_wakes_everybody() -> None:
    async def scenario() -> None:
        hub = StreamHub(Bell().subscribe, limit=2)
        with hub.enter("a") as one, hub.enter("b") as two:
            assert not hub.closing
            hub.close()
            assert hub.closing
            assert await one.wait(20)
            assert await two.wait(20)

    asyncio.run(scenario())


def test_a_ring_after_the_loop_has_ended_does_nothing() -> None:
    async def scenario() -> Callable[[], None]:
        bell = Bell()
        with StreamHub(bell.subscribe, limit=1).enter("a"):
            return bell.callbacks[0][1]

    asyncio.run(scenario())()
