"""Doing something slow without falling silent: it runs in a thread of its own, while this one renews the lease."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from core.errors import GblendError

T = TypeVar("T")

TICK_SECONDS = 0.05


class GivenUpError(GblendError):
    """Nobody waits for this work any more."""


class _Work(Generic[T]):
    """One piece of work, its thread and what came of it."""

    def __init__(self, work: Callable[[Callable[[], None]], T]) -> None:
        self._work = work
        self._given_up = threading.Event()
        self._result: list[T] = []
        self._error: BaseException | None = None
        # A daemon: a call that hangs in somebody's client library must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="slow-work", daemon=True)
        self._thread.start()

    def is_over(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result[0]

    def give_up(self) -> None:
        self._given_up.set()

    def _check(self) -> None:
        if self._given_up.is_set():
            raise GivenUpError("nobody waits for it any more")

    def _run(self) -> None:
        try:
            self._result.append(self._work(self._check))
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            self._error = error


def while_waiting(work: Callable[[Callable[[], None]], T], meanwhile: Callable[[], None]) -> T:
    """What `work` returns or raises; until then `meanwhile` is called, twenty times a second, in the calling thread.

    Where `meanwhile` raises, that is passed on at once. The work is then given up: the function that it got as its
    argument raises `GivenUpError` when it is called next; a call that hangs is left behind.
    """
    running = _Work(work)
    try:
        while not running.is_over(TICK_SECONDS):
            meanwhile()
    except BaseException:
        running.give_up()
        raise
    return running.result()
