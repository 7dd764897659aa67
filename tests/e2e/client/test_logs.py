"""What a job's training printed, through the SDK and the command."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest
from gblend_client import AsyncGblend, Gblend, InvalidInput, LogChunk, NotFound

from tests.e2e.api.live import LiveApi
from tests.e2e.client.conftest import Run
from tests.e2e.client.proxy import proxy_to


def _printed(api: LiveApi, tmp_path: Path, *texts: str) -> str:
    """A job that printed these chunks and succeeded."""
    job_id: str = api.submit()["id"]
    lease = api.train(job_id)
    api.units.logs.append(lease, texts, after=0)
    api.finish(lease, tmp_path)
    return job_id


def test_lists_and_last_lines(api: LiveApi, gblend: Gblend, tmp_path: Path) -> None:
    job_id = _printed(api, tmp_path, *(f"{n}a\n{n}b\n" for n in range(1, 301)))
    assert [chunk.seq for chunk in gblend.jobs.logs(job_id)] == list(range(1, 301))  # more than a page
    (chunk,) = gblend.jobs.logs(job_id, after=10, limit=1)
    assert (chunk.seq, chunk.text, chunk.attempt, chunk.job_id) == (11, "11a\n11b\n", 1, job_id)
    assert [chunk.text for chunk in gblend.jobs.log_tail(job_id, 3)] == ["299b\n", "300a\n300b\n"]
    with pytest.raises(NotFound):
        list(gblend.jobs.logs("job_nope"))
    with pytest.raises(InvalidInput, match="chunks are counted from 1"):
        list(gblend.jobs.stream_logs(job_id, after=-1))


def test_every_chunk_comes_once_over_a_network_that_breaks(api: LiveApi, gblend: Gblend, tmp_path: Path) -> None:
    job_id = api.submit()["id"]
    lease = api.train(job_id)
    seen: list[LogChunk] = []
    with proxy_to(api.url) as proxy, Gblend(proxy.url, backoff=0.001) as far:
        proxy.budgets = [0, 80, 200, 333, *range(400, 3000, 97)]
        follower = threading.Thread(target=lambda: seen.extend(far.jobs.stream_logs(job_id)))
        follower.start()
        for seq in range(40):
            api.units.logs.append(lease, [f"line {seq} {'x' * 100}\n"], after=seq)
        api.finish(lease, tmp_path)
        follower.join(60)
        assert not follower.is_alive()
        assert len(proxy.passed) >= 10
    assert [chunk.seq for chunk in seen] == list(range(1, 41))
    assert seen == list(gblend.jobs.logs(job_id))


def test_the_async_client_does_the_same(api: LiveApi, gblend: Gblend, tmp_path: Path) -> None:
    job_id = _printed(api, tmp_path, "a\n", "b\nc\n")

    async def read() -> tuple[list[LogChunk], list[LogChunk], tuple[LogChunk, ...]]:
        async with AsyncGblend(api.url) as client:
            listed = [chunk async for chunk in client.jobs.logs(job_id)]
            streamed = [chunk async for chunk in client.jobs.stream_logs(job_id, after=1)]
            return listed, streamed, await client.jobs.log_tail(job_id, 1)

    listed, streamed, tail = asyncio.run(read())
    assert listed == list(gblend.jobs.logs(job_id))
    assert [chunk.text for chunk in streamed] == ["b\nc\n"]
    assert [chunk.text for chunk in tail] == ["c\n"]


def test_the_command(api: LiveApi, run: Run, tmp_path: Path) -> None:
    job_id = _printed(api, tmp_path, "first\n\n", "second [bold]\nthird\n")
    for arguments in ((), ("--follow",), ("--tail", "99"), ("--tail", "99", "--follow")):
        done = run("logs", job_id, *arguments)
        assert (done.exit_code, done.stdout) == (0, "first\n\nsecond [bold]\nthird\n"), arguments
    assert run("logs", job_id, "--tail", "2").stdout == "second [bold]\nthird\n"
    assert run("logs", job_id, "--after", "1", "-f").stdout == "second [bold]\nthird\n"
    lines = [json.loads(line) for line in run("logs", job_id, "--json").stdout.splitlines()]
    assert [(line["object"], line["seq"]) for line in lines] == [("job.log", 1), ("job.log", 2)]
    assert run("logs", "job_nope").exit_code == 3
