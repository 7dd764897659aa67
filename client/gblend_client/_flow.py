"""The vocabulary in which the client's logic is written once, for the sync and the async client alike.

A *flow* is a generator that yields effects ("send this request", "sleep", "here is an event for the caller") and
receives what came of them. Flows hold every decision: retries, reconnects, paging, resuming a download. The shells in
`_drivers` perform the effects, over `httpx.Client` or `httpx.AsyncClient`, and decide nothing.

A flow may have one stream open at a time (`open_stream`, `read`, `close`); plain requests may go beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request, free of any connection."""

    method: str
    path: str
    """Below the service's base URL, already quoted."""
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP response. `body` is empty while a successful stream is open. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the request was granted."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """No answer, or one that broke off."""

    reason: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """Send, read the whole answer. Comes back as `Answer | Lost`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send, read the head only if it is a success. Comes back as `Answer | Lost`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Read:
    """The next bytes of the open stream. Comes back as `bytes`, `None` at its end, or `Lost`."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the open stream, if there is one."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Do:
    """Call something that blocks (files). Comes back as an `Outcome`."""

    action: Callable[[], Any]

    def attempt(self) -> Outcome:
        """Calls it. What it raises is for the flow to handle, not for the shell."""
        try:
            return Outcome(value=self.action())
        except Exception as error:  # noqa: BLE001 - raised again by `do`, inside the flow
            return Outcome(error=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a `Do`."""

    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand an item to the caller, who may take his time, or never come back."""

    item: Any


Effect: TypeAlias = Send | Open | Read | Close | Sleep | Do | Emit
Flow: TypeAlias = Generator[Effect, Any, T]


def send(request: Request) -> Flow[Answer | Lost]:
    """Typed `Send`."""
    reply: Answer | Lost = yield Send(request)
    return reply


def open_stream(request: Request) -> Flow[Answer | Lost]:
    """Typed `Open`."""
    reply: Answer | Lost = yield Open(request)
    return reply


def read() -> Flow[bytes | Lost | None]:
    """Typed `Read`."""
    reply: bytes | Lost | None = yield Read()
    return reply


def do(action: Callable[[], T]) -> Flow[T]:
    """Typed `Do`; raises what the action raised."""
    outcome: Outcome = yield Do(action)
    if outcome.error is not None:
        raise outcome.error
    value: T = outcome.value
    return value
