"""`watch` and `wait` against a service that drops, repeats, withholds and stumbles."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from gblend_client import AsyncGblend, ConnectionFailed, Gblend, InvalidInput, NotFound, ProtocolError, WaitTimeout

from tests.unit.client.service import JOB_ID, Reply, Service, event, job, problem, sse

STREAM = f"GET /v1/jobs/{JOB_ID}/events/stream"


@pytest.fixture(autouse=True)
def _seven_events(service: Service) -> None:
    service.events = [event(seq) for seq in range(1, 8)]


def seqs(events: Any) -> list[int]:
    return [item.seq for item in events]


def test_every_event_then_the_end(jobs: Any, service: Service) -> None:
    events = list(jobs.watch(JOB_ID))
    assert seqs(events) == [1, 2, 3, 4, 5, 6, 7]
    assert events[0].message == "event number 1: größer ☃"
    assert len(service.seen(STREAM)) == 1
    assert "last-event-id" not in service.requests[0].headers
    assert service.requests[0].headers["accept"] == "text/event-stream"


def test_after_asks_for_the_rest_only(jobs: Any, service: Service) -> None:
    assert seqs(jobs.watch(JOB_ID, after=5)) == [6, 7]
    assert service.requests[0].headers["last-event-id"] == "5"


def test_a_stream_cut_at_any_byte_loses_and_doubles_nothing(service: Service) -> None:
    body = sse(service.events, 7)
    with Gblend(service.url, timeout=5.0, stream_timeout=5.0, backoff=0.0001) as client:
        for place in range(0, len(body), 13):
            service.cuts = [place]
            assert seqs(client.jobs.watch(JOB_ID)) == [1, 2, 3, 4, 5, 6, 7], place


def test_many_cuts_in_a_row(jobs: Any, service: Service) -> None:
    service.cuts = [300, 0, 500, 30, 700, 12, 261, 290, 310, 0]
    assert seqs(jobs.watch(JOB_ID)) == [1, 2, 3, 4, 5, 6, 7]
    resumed = [request.headers.get("last-event-id") for request in service.seen(STREAM)]
    assert resumed[0] is None
    assert resumed == sorted(resumed, key=lambda seq: int(seq or 0))


def test_a_stream_that_ends_cleanly_is_not_the_end_of_the_job(jobs: Any, service: Service) -> None:
    body = sse(service.events[:3])
    service.script(STREAM, Reply(200, body, {"content-type": "text/event-stream"}))
    assert seqs(jobs.watch(JOB_ID)) == [1, 2, 3, 4, 5, 6, 7]
    assert [request.headers.get("last-event-id") for request in service.seen(STREAM)] == [None, "3"]


def test_repeated_events_come_once(jobs: Any, service: Service) -> None:
    one, two, three = service.events[:3]
    service.streamed = [one, two, one, two, three, two, *service.events[3:]]
    assert seqs(jobs.watch(JOB_ID)) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("kept", [[1, 2, 6, 7], [7], [1, 2, 3, 4, 5], []])
def test_holes_are_filled_from_the_log(jobs: Any, service: Service, kept: list[int]) -> None:
    service.streamed = [service.events[seq - 1] for seq in kept]
    assert seqs(jobs.watch(JOB_ID)) == [1, 2, 3, 4, 5, 6, 7]
    assert len(service.seen(STREAM)) == 1


def test_a_hole_is_filled_at_once_not_at_the_end(service: Service) -> None:
    service.streamed = [service.events[seq - 1] for seq in (1, 2, 6)]
    service.hold_stream.clear()
    with Gblend(service.url, timeout=5.0) as client:
        watching = client.jobs.watch(JOB_ID)
        assert seqs(next(watching) for _ in range(6)) == [1, 2, 3, 4, 5, 6]
        watching.close()
    assert len(service.seen(STREAM)) == 1


def test_a_log_with_a_hole_is_an_error(jobs: Any, service: Service) -> None:
    del service.events[3]
    with pytest.raises(ProtocolError, match="lacks event 4"):
        list(jobs.watch(JOB_ID))


def test_messages_outside_the_log_are_passed_over(jobs: Any, service: Service) -> None:
    extra = b'event: progress\ndata: {"percent": 3}\n\ndata: [1]\n\n'
    service.script(STREAM, Reply(200, extra + sse(service.events, 7), {"content-type": "text/event-stream"}))
    assert seqs(jobs.watch(JOB_ID)) == [1, 2, 3, 4, 5, 6, 7]


def test_stumbles_between_connections(jobs: Any, service: Service) -> None:
    service.cuts = [400]
    service.script(
        STREAM,
        problem(503, "not_ready", headers={"retry-after": "0"}),
        problem(429, "stream.too_many", headers={"retry-after": "0"}),
        Reply(502, b"<html>bad gateway</html>", {"content-type": "text/html"}),
        Reply(cut=0),
    )
    assert seqs(jobs.watch(JOB_ID)) == [1, 2, 3, 4, 5, 6, 7]
    assert len(service.seen(STREAM)) == 6


def test_an_unknown_job_is_an_error_at_once(jobs: Any, service: Service) -> None:
    service.script(STREAM, problem(404, "job.not_found"))
    with pytest.raises(NotFound):
        list(jobs.watch(JOB_ID))
    assert len(service.requests) == 1


def test_a_job_that_vanishes_while_watched_is_an_error(jobs: Any, service: Service) -> None:
    service.script(STREAM, Reply(200, sse(service.events[:2]), {"content-type": "text/event-stream"}))
    service.script(STREAM, problem(404, "job.not_found"))
    with pytest.raises(NotFound):
        list(jobs.watch(JOB_ID))


def test_an_answer_that_is_no_stream(jobs: Any, service: Service) -> None:
    service.script(STREAM, Reply(200, b"<html>log in</html>", {"content-type": "text/html"}))
    with pytest.raises(ProtocolError, match="instead of an event stream"):
        list(jobs.watch(JOB_ID))


def test_gives_up_when_the_service_stays_away_and_says_how_to_go_on(service: Service) -> None:
    stream = {"content-type": "text/event-stream"}
    service.script(STREAM, Reply(200, sse(service.events[:2]), stream), *[Reply(200, b"", stream)] * 100)
    with Gblend(service.url, timeout=5.0, backoff=0.0) as client, pytest.raises(ConnectionFailed) as caught:
        list(client.jobs.watch(JOB_ID))
    assert caught.value.hint == "the job goes on; watch it further with after=2"
    assert len(service.seen(STREAM)) == 61  # the one that brought something, and 60 more


def test_a_silent_stream_counts_as_dropped(service: Service) -> None:
    service.hold_stream.clear()
    with Gblend(service.url, stream_timeout=0.2, backoff=0.001) as client:
        watching = client.jobs.watch(JOB_ID)
        assert seqs(next(watching) for _ in range(7)) == [1, 2, 3, 4, 5, 6, 7]
        service.events.append(event(8))
        assert next(watching).seq == 8  # only a new connection can bring it
        watching.close()
    assert len(service.seen(STREAM)) >= 2


def test_leaving_early_closes_the_connection_and_keeps_the_client(service: Service) -> None:
    service.hold_stream.clear()
    with Gblend(service.url, timeout=5.0) as client:
        watching = client.jobs.watch(JOB_ID)
        assert next(watching).seq == 1
        watching.close()
        assert client.jobs.get(JOB_ID).id == JOB_ID


def test_leaving_early_async(service: Service) -> None:
    service.hold_stream.clear()

    async def main() -> None:
        async with AsyncGblend(service.url, timeout=5.0) as client:
            async with aclosing(client.jobs.watch(JOB_ID)) as watching:
                assert (await anext(watching)).seq == 1
            assert (await client.jobs.get(JOB_ID)).id == JOB_ID

    asyncio.run(main())


def test_cancelling_the_watching_task_gives_the_connection_back(service: Service) -> None:
    service.hold_stream.clear()

    async def main() -> None:
        async with AsyncGblend(service.url, timeout=5.0) as client:
            seen: list[int] = []

            async def watch() -> None:
                async for item in client.jobs.watch(JOB_ID):
                    seen.append(item.seq)  # noqa: PERF401 - looked at while it grows

            task = asyncio.create_task(watch())
            while len(seen) < 7:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await client.jobs.get(JOB_ID)).id == JOB_ID

    asyncio.run(main())


def test_a_negative_start_is_refused(jobs: Any) -> None:
    with pytest.raises(InvalidInput):
        list(jobs.watch(JOB_ID, after=-1))


def test_wait_polls_until_the_end(jobs: Any, service: Service) -> None:
    route = f"GET /v1/jobs/{JOB_ID}"
    running = Reply(200, job("running"), {"retry-after": "0"})
    service.script(route, running, running, Reply(cut=0), problem(503, "not_ready"), running)
    assert jobs.wait(JOB_ID).status == "succeeded"
    assert len(service.seen(route)) == 6


def test_wait_gives_up_in_time(jobs: Any, service: Service) -> None:
    service.job = job("running")
    with pytest.raises(WaitTimeout, match="has not ended after 0 s"):
        jobs.wait(JOB_ID, timeout=0)
