"""Following a job's log through dropped connections: every event once, in order, none missing.

The stream is only a fast way to learn of events; the log (`GET /jobs/{id}/events`) is the truth. The last `seq` handed
out decides: older events are dropped, and a hole is filled from the log before anything after it is handed out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from gblend_client._calls import call, event_items, job_path, parse_json
from gblend_client._decode import decode
from gblend_client._flow import Answer, Close, Emit, Flow, Lost, Request, Sleep, open_stream, read, send
from gblend_client._problems import error_of
from gblend_client._retry import Backoff, Policy, retry_after
from gblend_client.errors import GblendError, InvalidInput, ProtocolError, WaitTimeout
from gblend_client.sse import Comment, EventStreamParser, Message
from gblend_client.types import Event, Job

_LONGEST_RETRY_MS = 60_000
_POLL_SECONDS = 1.0
_SHORTEST_POLL_SECONDS = 0.1
_LONGEST_POLL_SECONDS = 10.0


@dataclass(slots=True)
class _Watch:
    """What outlives a connection."""

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
    if after < 0:
        raise InvalidInput(f"after={after}: events are counted from 1")
    state = _Watch(job_id=job_id, seq=after, backoff=policy.calls)
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
    deadline = None if timeout is None else time.monotonic() + timeout
    request = Request(method="GET", path=job_path(job_id))
    failures = 0
    answer = yield from call(request, policy.calls)
    while True:
        job = decode(Job, parse_json(answer.body))
        if job.is_terminal:
            return job
        asked = retry_after(answer.headers)
        pause = _POLL_SECONDS if asked is None else min(max(asked, _SHORTEST_POLL_SECONDS), _LONGEST_POLL_SECONDS)
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise WaitTimeout(f"job {job_id} has not ended after {timeout:g} s", hint="it goes on")
            yield Sleep(pause if left is None else min(pause, left))
            reply = yield from send(request)
            if isinstance(reply, Answer) and reply.ok:
                answer, failures = reply, 0
                break
            failures += 1
            error = error_of(reply)
            again = policy.streams.pause(failures, error)
            if again is None:
                raise error
            pause = again


def _request(state: _Watch) -> Request:
    headers = {"accept": "text/event-stream", "accept-encoding": "identity", "cache-control": "no-store"}
    if state.seq > 0:
        headers["last-event-id"] = str(state.seq)
    return Request(method="GET", path=job_path(state.job_id, "events", "stream"), headers=headers)


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
    """Hands out the event in a message, unless it was before, after whatever is missing in front of it."""
    body = parse_json(message.data.encode())
    if not isinstance(body, dict) or "seq" not in body:
        return  # not of the log: something that only the moment needs
    event = decode(Event, body)
    if event.seq > state.seq + 1:
        yield from _fill(state, event.seq - 1)
    if event.seq == state.seq + 1:
        yield from _hand_out(state, event)


def _complete(state: _Watch, message: Message) -> Flow[None]:
    """`done` says how long the log is: nothing of it may be missing."""
    body = parse_json(message.data.encode())
    last = body.get("last_seq") if isinstance(body, dict) else None
    if isinstance(last, int) and last > state.seq:
        yield from _fill(state, last)


def _fill(state: _Watch, last: int) -> Flow[None]:
    """Hands out the events up to `last` from the log."""
    flow = event_items(state.job_id, state.seq, (), state.backoff, limit=last - state.seq)
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


def _hand_out(state: _Watch, event: Event) -> Flow[None]:
    if event.seq != state.seq + 1:
        raise ProtocolError(f"the log of job {state.job_id} lacks event {state.seq + 1}")
    state.seq = event.seq
    state.failures = 0
    yield Emit(event)
