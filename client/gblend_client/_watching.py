"""Following a job's log through dropped connections: every event once, in order, none missing.

The stream is only a fast way to learn of events; the log (`GET /jobs/{id}/events`) is the truth. The last `seq` handed
out decides: older events are dropped, and a hole is filled from the log before anything after it is handed out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gblend_client._calls import event_items, job_path, log_items, parse_json
from gblend_client._decode import decode
from gblend_client._flow import Answer, Close, Emit, Flow, Lost, Request, Sleep, open_stream, read
from gblend_client._polling import poll, silently
from gblend_client._problems import error_of
from gblend_client._retry import Backoff, Policy
from gblend_client.errors import GblendError, InvalidInput, ProtocolError
from gblend_client.sse import Comment, EventStreamParser, Message
from gblend_client.types import Event, Job, LogChunk

_LONGEST_RETRY_MS = 60_000


@dataclass(frozen=True, slots=True)
class _Log:
    """Which of a job's two logs is followed."""

    path: str
    """The last part of the list's path; the stream is below it."""
    entry: type[Event] | type[LogChunk]
    noun: str
    read: Callable[[str, int, int, Backoff], Flow[None]]
    """Job id, after, how many -> emits the entries of the list."""


def _events(job_id: str, after: int, count: int, backoff: Backoff) -> Flow[None]:
    return event_items(job_id, after, (), backoff, limit=count)


_EVENTS = _Log("events", Event, "event", _events)
_PRINTED = _Log("logs", LogChunk, "chunk", log_items)


@dataclass(slots=True)
class _Watch:
    """What outlives a connection."""

    log: _Log
    job_id: str
    seq: int
    """Of the last event handed out."""
    backoff: Backoff
    failures: int = 0
    """In a row: connections that brought nothing."""
    reached: bool = False
    """Whether the stream was ever open; before that, failures are those of any call."""
    retry_seconds: float = 0.0
    """What the stream's `retry:` asked for."""


def watch(job_id: str, after: int, policy: Policy) -> Flow[None]:
    """Emits every event after `seq` `after`, until the service says that the log is complete."""
    return _watch(_EVENTS, job_id, after, policy)


def watch_log(job_id: str, after: int, policy: Policy) -> Flow[None]:
    """Emits every chunk of what the training prints after `seq` `after`, until the service says that that is all."""
    return _watch(_PRINTED, job_id, after, policy)


def _watch(log: _Log, job_id: str, after: int, policy: Policy) -> Flow[None]:
    if after < 0:
        raise InvalidInput(f"after={after}: {log.noun}s are counted from 1")
    state = _Watch(log=log, job_id=job_id, seq=after, backoff=policy.calls)
    while True:
        reply = yield from open_stream(_request(state))
        if isinstance(reply, Answer) and reply.ok:
            _check_type(reply)
            state.reached = True
            ended = yield from _consume(state)
            yield Close()
            if ended is None:
                return
            error: GblendError = error_of(ended)
        else:
            error = error_of(reply)
        state.failures += 1
        pause = (policy.streams if state.reached else policy.calls).pause(state.failures, error)
        if pause is None:
            error.hint = f"the job goes on; watch it further with after={state.seq}" if state.reached else error.hint
            raise error
        yield Sleep(max(pause, state.retry_seconds))


def wait(job_id: str, timeout: float | None, policy: Policy) -> Flow[Job]:
    """The job once it has ended. Polls, as often as the service likes: an end is one row, a log may be thousands."""
    return silently(poll(Job, job_path(job_id), f"job {job_id}", timeout, policy))


def _request(state: _Watch) -> Request:
    headers = {"accept": "text/event-stream", "accept-encoding": "identity", "cache-control": "no-store"}
    if state.seq > 0:
        headers["last-event-id"] = str(state.seq)
    return Request(method="GET", path=job_path(state.job_id, state.log.path, "stream"), headers=headers)


def _check_type(answer: Answer) -> None:
    kind = answer.headers.get("content-type", "")
    if answer.status != 200 or not kind.startswith("text/event-stream"):
        raise ProtocolError(
            f"the service answered {answer.status} with {kind or 'no type'!r} instead of an event stream",
            hint="is the address that of a gblend service, and is there a proxy in between?",
        )


def _consume(state: _Watch) -> Flow[Lost | None]:
    """Reads one connection to its end. `None`: the log is complete."""
    parser = EventStreamParser()
    while True:
        chunk = yield from read()
        if chunk is None:
            return Lost(reason="the stream ended before the job did")
        if isinstance(chunk, Lost):
            return chunk
        try:
            found = parser.feed(chunk)
        except ValueError as error:
            raise ProtocolError(f"the service's stream: {error}") from None
        if parser.retry_ms is not None:
            state.retry_seconds = min(parser.retry_ms, _LONGEST_RETRY_MS) / 1000
        for item in found:
            if isinstance(item, Comment):
                state.failures = 0  # a ping: the connection was good for something
            elif item.event == "done":
                yield from _complete(state, item)
                return None
            else:
                yield from _admit(state, item)


def _admit(state: _Watch, message: Message) -> Flow[None]:
    """Hands out the entry in a message, unless it was before, after whatever is missing in front of it."""
    body = parse_json(message.data.encode())
    if not isinstance(body, dict) or "seq" not in body:
        return  # not of the log: something that only the moment needs
    entry = decode(state.log.entry, body)
    if entry.seq > state.seq + 1:
        yield from _fill(state, entry.seq - 1)
    if entry.seq == state.seq + 1:
        yield from _hand_out(state, entry)


def _complete(state: _Watch, message: Message) -> Flow[None]:
    """`done` says how long the log is: nothing of it may be missing."""
    body = parse_json(message.data.encode())
    last = body.get("last_seq") if isinstance(body, dict) else None
    if isinstance(last, int) and last > state.seq:
        yield from _fill(state, last)


def _fill(state: _Watch, last: int) -> Flow[None]:
    """Hands out the entries up to `last` from the log."""
    flow = state.log.read(state.job_id, state.seq, last - state.seq, state.backoff)
    reply: Any = None
    while True:
        try:
            effect = flow.send(reply)
        except StopIteration:
            break
        if isinstance(effect, Emit):
            yield from _hand_out(state, effect.item)
            reply = None
        else:
            reply = yield effect
    if state.seq < last:
        raise ProtocolError(f"the log of job {state.job_id} ends at {state.seq}, the stream is at {last + 1}")


def _hand_out(state: _Watch, entry: Event | LogChunk) -> Flow[None]:
    if entry.seq != state.seq + 1:
        raise ProtocolError(f"the log of job {state.job_id} lacks {state.log.noun} {state.seq + 1}")
    state.seq = entry.seq
    state.failures = 0
    yield Emit(entry)
