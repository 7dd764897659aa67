"""What a job's training printed, over HTTP: pages, last lines, text, and the stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.routers.logs import prefers_text
from tests.e2e.api.live import LiveApi
from tests.e2e.api.sse import Frame, durable, frames
from tests.e2e.api.test_stream import Start


@contextmanager
def _stream(client: httpx.Client, job_id: str, **kwargs: Any) -> Iterator[Iterator[Frame]]:
    with client.stream("GET", f"/v1/jobs/{job_id}/logs/stream", **kwargs) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield frames(response)


def _printed(api: LiveApi, tmp_path: Path) -> str:
    """A job that printed `1`, `2`, `3`, `4` in two chunks and succeeded."""
    job_id: str = api.submit()["id"]
    lease = api.train(job_id)
    api.units.logs.append(lease, ["1\n2\n", "3\n4\n"], after=0)
    api.finish(lease, tmp_path)
    return job_id


def test_pages_of_chunks(api: LiveApi, tmp_path: Path) -> None:
    path = f"/v1/jobs/{_printed(api, tmp_path)}/logs"
    answer = api.client.get(path, params={"limit": 1})
    first = answer.json()
    assert (first["object"], first["has_more"], first["next_after"]) == ("list", True, "1")
    (chunk,) = first["data"]
    assert set(chunk) == {"object", "job_id", "seq", "attempt", "created_at", "text"}
    assert (chunk["object"], chunk["seq"], chunk["attempt"], chunk["text"]) == ("job.log", 1, 1, "1\n2\n")
    rest = api.client.get(path, params={"after": first["next_after"]}).json()
    assert ([chunk["text"] for chunk in rest["data"]], rest["has_more"]) == (["3\n4\n"], False)
    again = api.client.get(path, params={"limit": 1}, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "retry-after" not in answer.headers


def test_the_log_of_a_job_at_work_may_be_polled(api: LiveApi) -> None:
    job_id = api.submit()["id"]
    lease = api.claim(job_id)
    events = api.client.get(f"/v1/jobs/{job_id}").headers["etag"]
    empty = api.client.get(f"/v1/jobs/{job_id}/logs")
    assert empty.json()["data"] == []
    assert int(empty.headers["retry-after"]) >= 1
    api.units.logs.append(lease, ["x\n"], after=0)
    filled = api.client.get(f"/v1/jobs/{job_id}/logs", headers={"If-None-Match": empty.headers["etag"]})
    assert (filled.status_code, len(filled.json()["data"])) == (200, 1)
    assert api.client.get(f"/v1/jobs/{job_id}").headers["etag"] == events  # a log is no change of the job


def test_plain_text_for_people(api: LiveApi, tmp_path: Path) -> None:
    path = f"/v1/jobs/{_printed(api, tmp_path)}/logs"
    answer = api.client.get(path, headers={"Accept": "text/plain"})
    assert answer.text == "1\n2\n3\n4\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["vary"] == "Accept"
    tail = api.client.get(path, params={"tail": 3}, headers={"Accept": "text/plain"})
    assert tail.text == "2\n3\n4\n"
    same = api.client.get(path, headers={"Accept": "text/plain", "If-None-Match": answer.headers["etag"]})
    assert same.status_code == 304


def test_the_last_lines_as_chunks(api: LiveApi, tmp_path: Path) -> None:
    path = f"/v1/jobs/{_printed(api, tmp_path)}/logs"
    found = api.client.get(path, params={"tail": 3}).json()
    assert [(chunk["seq"], chunk["text"]) for chunk in found["data"]] == [(1, "2\n"), (2, "3\n4\n")]
    assert (found["has_more"], found["next_after"]) == (False, "2")
    refused = api.client.get(path, params={"tail": 0})
    assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "tail")


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("text/plain", True),
        ("TEXT/PLAIN; charset=utf-8", True),
        ("text/plain, application/json", False),
        ("text/plain;q=0.9, application/json;q=0.5", True),
        ("text/plain;q=x", False),
        ("text/plain;q=0", False),
    ],
)
def test_what_an_accept_header_means(accept: str | None, text: bool) -> None:
    assert prefers_text(accept) is text


@pytest.mark.parametrize("path", ["logs", "logs/stream"])
def test_an_unknown_job_has_no_log(api: LiveApi, path: str) -> None:
    answer = api.client.get(f"/v1/jobs/job_nope/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "job.not_found")


def test_the_stream_of_a_finished_job_replays_resumes_and_ends(api: LiveApi, tmp_path: Path) -> None:
    job_id = _printed(api, tmp_path)
    with _stream(api.client, job_id) as found:
        every = list(found)
    assert every[0] == Frame(retry="1000")
    listed = api.client.get(f"/v1/jobs/{job_id}/logs").json()["data"]
    assert [frame.json for frame in every if frame.id is not None] == listed
    assert every[-1].event == "done"
    assert every[-1].json == {
        "object": "job.stream_end",
        "job_id": job_id,
        "status": "succeeded",
        "last_seq": 2,
    }
    with _stream(api.client, job_id, headers={"Last-Event-ID": "1"}) as found:
        assert durable(list(found)) == [2]
    with _stream(api.client, job_id, params={"after": 99}) as found:
        assert [frame.event for frame in found] == [None, "done"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_chunks_come_as_they_are_stored_and_are_no_events(
    start: Start, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    areas = {} if kind == "sqlite" else {"database": {"url": request.getfixturevalue("postgres_url")}}
    # Pings far apart: what comes soon was woken, not found by chance.
    with start(api={"sse_ping_seconds": 60.0}, **areas) as api:
        job_id = api.submit()["id"]
        lease = api.claim(job_id)
        last_seq = api.client.get(f"/v1/jobs/{job_id}/events").json()["data"][-1]["seq"]
        with _stream(api.client, job_id) as found:
            assert next(found).retry == "1000"
            for seq, text in enumerate(["a\n", "b\nc\n", "\N{SNOWMAN}\n"]):
                api.units.logs.append(lease, [text], after=seq)
                frame = next(found)
                assert (frame.id, frame.json["text"]) == (str(seq + 1), text)
            assert api.client.get(f"/v1/jobs/{job_id}/events").json()["data"][-1]["seq"] == last_seq
            api.units.fail(lease, {"code": "x", "message": "no", "hint": None}, reason="x")
            assert next(found).event == "done"


def test_both_streams_share_the_places(start: Start) -> None:
    with start(api={"sse_max_streams": 1}) as api:
        job_id = api.submit()["id"]
        with _stream(api.client, job_id) as found:
            next(found)
            refused = api.client.get(f"/v1/jobs/{job_id}/events/stream")
            assert (refused.status_code, refused.json()["code"]) == (429, "stream.too_many")
