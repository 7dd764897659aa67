"""`watch` as a flow, without any network: whatever the connections do, the caller sees each event once, in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gblend_client._flow import Answer, Close, Effect, Emit, Lost, Open, Read, Request, Send, Sleep
from gblend_client._retry import Backoff, Policy
from gblend_client._watching import watch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.client.service import event, sse

POLICY = Policy(calls=Backoff(retries=3), streams=Backoff(retries=3))
STREAM = {"content-type": "text/event-stream; charset=utf-8"}


@dataclass
class Connection:
    """How one connection misbehaves."""

    chunk: int
    """Bytes per read."""
    cut: int | None
    """Bytes after which it ends."""
    clean: bool
    """Whether that end looks like an ordinary one."""
    repeat: int
    """Events that it sends again, from before the cursor."""
    missing: frozenset[int]
    """Events that it leaves out."""


@dataclass
class Simulation:
    """Performs the effects of one flow against a log of `count` events."""

    count: int
    connections: list[Connection]
    seen: list[int] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    log_requests: int = 0
    _reads: Iterator[bytes | Lost | None] = field(default_factory=lambda: iter(()))

    def run(self, after: int) -> None:
        flow = watch("job_01", after, POLICY)
        reply: Any = None
        while True:
            try:
                effect = flow.send(reply)
            except StopIteration:
                return
            reply = self._perform(effect)

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Emit(item):
                self.seen.append(item.seq)
            case Sleep(seconds):
                self.slept.append(seconds)
            case Open(request):
                self._reads = self._connect(request)
                return Answer(status=200, headers=STREAM)
            case Read():
                return next(self._reads)
            case Send(request):
                return self._log(request)
            case Close():
                self._reads = iter(())
        return None

    def _connect(self, request: Request) -> Iterator[bytes | Lost | None]:
        last = int(request.headers.get("last-event-id", "0"))
        if not self.connections:  # at last one that behaves
            yield sse([event(seq) for seq in range(last + 1, self.count + 1)], self.count)
            return
        how = self.connections.pop(0)
        first = max(1, last + 1 - how.repeat)
        body = sse([event(seq) for seq in range(first, self.count + 1) if seq not in how.missing], self.count)
        body = body[: how.cut]
        yield from (body[start : start + how.chunk] for start in range(0, len(body), how.chunk))
        yield None if how.clean else Lost(reason="cut")

    def _log(self, request: Request) -> Answer:
        self.log_requests += 1
        query = dict(request.params)
        first, limit = int(query["after"]) + 1, min(2, int(query["limit"]))
        rows = [event(seq) for seq in range(first, min(first + limit, self.count + 1))]
        more = first + len(rows) <= self.count
        body = {"data": rows, "has_more": more, "next_after": str(rows[-1]["seq"]) if rows else None}
        return Answer(status=200, headers={"content-type": "application/json"}, body=json.dumps(body).encode())


_connections = st.builds(
    Connection,
    chunk=st.integers(1, 300),
    cut=st.none() | st.integers(0, 2500),
    clean=st.booleans(),
    repeat=st.integers(0, 3),
    missing=st.frozensets(st.integers(1, 8), max_size=4),
)


@settings(deadline=None, max_examples=100)
@given(count=st.integers(0, 8), after=st.integers(0, 8), connections=st.lists(_connections, max_size=3))
def test_each_event_once_and_in_order(count: int, after: int, connections: list[Connection]) -> None:
    after = min(after, count)
    simulation = Simulation(count, connections)
    simulation.run(after)
    assert simulation.seen == list(range(after + 1, count + 1))


def test_a_stream_without_holes_never_asks_the_log() -> None:
    simulation = Simulation(8, [Connection(chunk=50, cut=900, clean=False, repeat=0, missing=frozenset())])
    simulation.run(0)
    assert simulation.seen == [1, 2, 3, 4, 5, 6, 7, 8]
    assert simulation.log_requests == 0
    assert len(simulation.slept) == 1


def test_the_streams_own_retry_is_the_shortest_pause() -> None:
    simulation = Simulation(1, [])
    slow = iter([b"retry: 7000\n\n", Lost(reason="cut")])
    usual = simulation._connect
    simulation._connect = lambda request: slow if not simulation.slept else usual(request)  # type: ignore[method-assign]
    simulation.run(0)
    assert simulation.slept == [7.0]
