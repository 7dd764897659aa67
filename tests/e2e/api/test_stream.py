"""The event log as a stream: replay, resume, live, ping, the end, and clients that do not read."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from core.events import JournalEntry, Warned
from tests.e2e.api.live import LiveApi
from tests.e2e.api.sse import Frame, durable, stream
from tests.integration.engine import samples
from tests.servers import wait_until

Start = Callable[..., AbstractContextManager[LiveApi]]
QUICK_PING = {"sse_ping_seconds": 0.2}


def test_the_stream_of_a_finished_job_replays_and_ends(api: LiveApi, tmp_path: Path) -> None:
    job_id = api.finished(tmp_path)
    with stream(api.client, job_id) as frames:
        found = list(frames)
    assert found[0] == Frame(retry="1000")
    log = api.client.get(f"/v1/jobs/{job_id}/events", params={"limit": 1000}).json()["data"]
    assert durable(found) == [event["seq"] for event in log] == list(range(1, len(log) + 1))
    assert [frame.json for frame in found if frame.id is not None] == log
    assert (found[-1].event, found[-1].id) == ("done", None)
    assert found[-1].json == {
        "object": "job.stream_end",
        "job_id": job_id,
        "status": "succeeded",
        "last_seq": len(log),
    }


@pytest.mark.parametrize(
    ("headers", "params", "first"),
    [
        ({"Last-Event-ID": "4"}, {}, 5),
        ({}, {"after": "4"}, 5),
        ({"Last-Event-ID": "6"}, {"after": "2"}, 7),
        ({"Last-Event-ID": "0"}, {"after": "2"}, 1),
    ],
)
def test_a_stream_resumes_where_it_was_cut(
    api: LiveApi, tmp_path: Path, headers: dict[str, str], params: dict[str, str], first: int
) -> None:
    job_id = api.finished(tmp_path)
    with stream(api.client, job_id, headers=headers, params=params) as frames:
        found = list(frames)
    assert durable(found)[0] == first
    assert durable(found)[-1] == found[-1].json["last_seq"]


def test_a_client_that_has_everything_hears_only_of_the_end(api: LiveApi, tmp_path: Path) -> None:
    job_id = api.finished(tmp_path)
    for beyond in ("1000", str(2**53 - 1)):
        with stream(api.client, job_id, headers={"Last-Event-ID": beyond}) as frames:
            found = list(frames)
        assert durable(found) == []
        assert found[-1].event == "done"


def test_events_come_as_they_are_recorded(api: LiveApi, tmp_path: Path) -> None:
    job_id = api.submit()["id"]
    with stream(api.client, job_id) as frames:
        assert next(frames).retry == "1000"
        assert next(frames).json["type"] == "job.created"
        lease = api.claim(job_id)
        assert next(frames).json["data"] == {"status": "starting", "reason": None}
        for entry in samples.run(2):
            api.units.record(lease, [entry])
            if entry.number == 1:
                assert next(frames).json["data"]["status"] == "running"
            assert next(frames).json["type"] == entry.event.type
        api.finish(lease, tmp_path)
        assert next(frames).json["data"]["status"] == "succeeded"
        assert next(frames).event == "done"
        assert list(frames) == []


def test_events_come_over_postgresql_too(start: Start, postgres_url: str, tmp_path: Path) -> None:
    with start(database={"url": postgres_url}) as api:
        assert api.client.get("/readyz").status_code == 200
        job_id = api.submit()["id"]
        with stream(api.client, job_id) as frames:
            assert [next(frames).retry, next(frames).json["type"]] == ["1000", "job.created"]
            api.finish(api.train(job_id), tmp_path)
            found = list(frames)
        assert durable(found) == list(range(2, 16))
        assert found[-1].event == "done"
        for path in ("super-epochs", "metrics", "artifacts"):
            assert api.client.get(f"/v1/jobs/{job_id}/{path}").json()["data"]


def test_a_silent_stream_pings(start: Start) -> None:
    with start(api=QUICK_PING) as api:
        job_id = api.submit()["id"]
        with stream(api.client, job_id) as frames:
            found = [next(frames) for _ in range(4)]
        assert [frame.comments for frame in found[2:]] == [["ping"], ["ping"]]
        assert [frame.id for frame in found[2:]] == [None, None]


def test_an_unknown_job_has_no_stream(api: LiveApi) -> None:
    response = api.client.get("/v1/jobs/job_nope/events/stream")
    assert (response.status_code, response.json()["code"]) == (404, "job.not_found")


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "99999999999999999999"])
def test_a_wrong_last_event_id_is_refused(api: LiveApi, last: str) -> None:
    job_id = api.submit()["id"]
    response = api.client.get(f"/v1/jobs/{job_id}/events/stream", headers={"Last-Event-ID": last})
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == "Last-Event-ID"


def test_streams_are_capped_and_their_places_come_back(start: Start) -> None:
    with start(api={"sse_max_streams": 2, **QUICK_PING}) as api:
        job_id = api.submit()["id"]
        hub = api.app.state.services.streams
        with stream(api.client, job_id) as one, stream(api.client, job_id) as two:
            next(one), next(two)
            refused = api.client.get(f"/v1/jobs/{job_id}/events/stream")
            assert (refused.status_code, refused.json()["code"]) == (429, "stream.too_many")
            assert int(refused.headers["retry-after"]) >= 1
            assert hub.count == 2
        wait_until(lambda: hub.count == 0, "streams that their clients closed are over")
        with stream(api.client, job_id) as again:
            assert next(again).retry == "1000"


def test_many_readers_see_the_same_log(api: LiveApi, tmp_path: Path) -> None:
    job_id = api.submit()["id"]
    seen: list[list[int]] = []

    def read() -> None:
        with httpx.Client(base_url=api.url, timeout=30) as client, stream(client, job_id) as frames:
            seen.append(durable(list(frames)))

    readers = [threading.Thread(target=read) for _ in range(10)]
    for reader in readers:
        reader.start()
    api.finish(api.train(job_id, epochs=10), tmp_path)
    for reader in readers:
        reader.join(30)
    assert seen == [list(range(1, 37))] * 10


def test_streams_end_without_done_when_the_server_stops(start: Start) -> None:
    found: list[Frame] = []
    opened = threading.Event()

    def read(url: str, job_id: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client, stream(client, job_id) as frames:
            for frame in frames:
                found.append(frame)
                opened.set()

    with start() as api:
        reader = threading.Thread(target=read, args=(api.url, api.submit()["id"]))
        reader.start()
        assert opened.wait(20)
    reader.join(20)
    assert not reader.is_alive()
    assert durable(found) == [1]
    assert "done" not in [frame.event for frame in found]


def test_a_client_that_does_not_read_is_dropped(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    with start(api={"sse_send_timeout_seconds": 0.5}) as api, caplog.at_level(logging.WARNING, "api"):
        job_id = api.submit()["id"]
        lease = api.train(job_id)
        last = len(samples.run(3)) - 1
        wordy = [
            JournalEntry(number=last + 1 + n, event=Warned(code="odd", message="x" * 200_000)) for n in range(1, 101)
        ]
        api.units.record(lease, wordy)
        host, port = api.url.removeprefix("http://").split(":")
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect((host, int(port)))
            deaf.sendall(f"GET /v1/jobs/{job_id}/events/stream HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            hub = api.app.state.services.streams
            wait_until(lambda: "stream dropped: its client stopped reading" in caplog.messages, "the stream is dropped")
            wait_until(lambda: hub.count == 0, "its place is free again")
        with stream(api.client, job_id, params={"after": 100}) as frames:
            assert next(frames).retry == "1000"
