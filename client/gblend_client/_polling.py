"""Following what has no log: asked again and again, cheaply (`If-None-Match`), until it has ended."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from gblend_client._calls import call, parse_json
from gblend_client._decode import decode
from gblend_client._flow import Answer, Emit, Flow, Request, Sleep, send
from gblend_client._problems import error_of
from gblend_client._retry import Policy, retry_after
from gblend_client.errors import WaitTimeout

_POLL_SECONDS = 1.0
_SHORTEST_POLL_SECONDS = 0.1
_LONGEST_POLL_SECONDS = 10.0
_NOT_MODIFIED = 304


class Ending(Protocol):
    """Something that ends one day."""

    @property
    def is_terminal(self) -> bool:
        """Whether it has."""


E = TypeVar("E", bound=Ending)
T = TypeVar("T")


def poll(cls: type[E], path: str, name: str, timeout: float | None, policy: Policy) -> Flow[E]:
    """Emits the object at `path` whenever it has changed and returns it once it has ended.

    Asks as often as the service likes. Raises `WaitTimeout` after `timeout` seconds; `name` is for its message.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    request = Request(method="GET", path=path)
    failures = 0
    answer = yield from call(request, policy.calls)
    while True:
        found = decode(cls, parse_json(answer.body))
        yield Emit(found)
        if found.is_terminal:
            return found
        tag = answer.headers.get("etag")
        asking = request if tag is None else replace(request, headers={"if-none-match": tag})
        pause = _pause(answer)
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise WaitTimeout(f"{name} has not ended after {timeout:g} s", hint="it goes on")
            yield Sleep(pause if left is None else min(pause, left))
            reply = yield from send(asking)
            if isinstance(reply, Answer) and reply.ok:
                answer, failures = reply, 0
                break
            if isinstance(reply, Answer) and reply.status == _NOT_MODIFIED:
                pause, failures = _pause(reply), 0
                continue
            failures += 1
            error = error_of(reply)
            again = policy.streams.pause(failures, error)
            if again is None:
                raise error
            pause = again


def silently(flow: Flow[T]) -> Flow[T]:
    """The flow's result alone; what it emits is dropped."""
    reply: Any = None
    while True:
        try:
            effect = flow.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result
        reply = None if isinstance(effect, Emit) else (yield effect)


def _pause(answer: Answer) -> float:
    asked = retry_after(answer.headers)
    return _POLL_SECONDS if asked is None else min(max(asked, _SHORTEST_POLL_SECONDS), _LONGEST_POLL_SECONDS)
