"""The next batch is made while the one before it is worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")
_LOOK_SECONDS = 0.1
"""How often the thread looks whether anybody still wants what it has."""


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """The same items in the same order, each made by a thread while its consumer has the one before.

    One is ready and one in the making, no more. What the iterator raises is raised here, in its place. Whoever takes no
    more of them closes this generator, and with it the thread; of the items that were made ahead nobody hears.
    """
    ahead = _Ahead(items)
    try:
        yield from ahead
    finally:
        ahead.close()


class _Ahead(Generic[T]):
    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._made: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(maxsize=1)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._make, name="prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while (made := self._made.get()) is not None:
            if isinstance(made, BaseException):
                raise made
            yield made[0]

    def close(self) -> None:
        """Ends the thread, once it is done with the item that it makes."""
        self._closed.set()
        self._thread.join()

    def _make(self) -> None:
        end: BaseException | None = None
        try:
            for item in self._items:
                self._put((item,))
                if self._closed.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised in the consumer's thread
            end = error
        self._put(end)

    def _put(self, made: tuple[T] | BaseException | None) -> None:
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._made.put(made, timeout=_LOOK_SECONDS)
                return
