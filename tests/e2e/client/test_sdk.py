"""The SDK against the real API."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from gblend_client import AsyncGblend, Conflict, Gblend, NotFound, Validation

from core.settings import Settings
from tests.e2e.api.live import LiveApi, serve, toy_spec, write_manifest
from tests.e2e.client.proxy import proxy_to
from tests.integration.engine import samples
from tests.servers import wait_until


def _watcher(gblend: Gblend, job_id: str, seen: list[tuple[int, str]]) -> threading.Thread:
    """Watches the job in a thread of its own."""

    def watch() -> None:
        for event in gblend.jobs.watch(job_id):
            seen.append((event.seq, event.type))  # noqa: PERF401 - looked at while it grows

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_the_life_of_a_job(api: LiveApi, gblend: Gblend, tmp_path: Path) -> None:
    job = gblend.jobs.submit(toy_spec(name="life", metadata={"team": "a"}), idempotency_key="life-1")
    assert (job.status, job.name, job.queue_position, dict(job.metadata)) == ("queued", "life", 1, {"team": "a"})
    assert job.spec["blending"]["strategy"] == "online"
    assert gblend.jobs.submit(toy_spec(name="life", metadata={"team": "a"}), idempotency_key="life-1").id == job.id
    with pytest.raises(Validation) as caught:
        gblend.jobs.submit(toy_spec(name="other"), idempotency_key="life-1")
    assert caught.value.code == "idempotency.mismatch"

    seen: list[tuple[int, str]] = []
    watcher = _watcher(gblend, job.id, seen)
    lease = api.claim(job.id)
    for entry in samples.run(2):
        api.units.record(lease, [entry])
    api.finish(lease, tmp_path)
    ended = gblend.jobs.wait(job.id, timeout=30)
    watcher.join(30)
    assert [seq for seq, _ in seen] == list(range(1, 13))

    assert (ended.status, ended.is_terminal, ended.attempt) == ("succeeded", True, 1)
    assert ended.result is not None
    assert (ended.result.answer, ended.result.test_accuracy, ended.result.weights["image"]) == ("fused", 0.5, 0.5)
    assert ended.result.test[0].loss == 0.75
    assert ended.finished_at is not None
    assert [change.status for change in ended.transitions] == ["queued", "starting", "running", "succeeded"]
    history = gblend.jobs.super_epochs(job.id)
    assert [(row.super_epoch, row.policy, row.weights["audio"]) for row in history] == [
        (0, "shrunk", 0.25),
        (1, "shrunk", 0.25),
    ]
    assert (history[0].heads[1].head, history[0].heads[1].G) == ("image", 0.2)
    points = gblend.jobs.metrics(job.id, head="image", split="train", metric="loss")
    assert [(point.epoch, point.value) for point in points] == [(1, 1.0), (2, 0.5)]
    assert [event.type for event in gblend.jobs.events(job.id, types=["run.started", "run.completed"])] == [
        "run.started",
        "run.completed",
    ]
    (path,) = gblend.jobs.download(job.id, tmp_path / "out")
    assert (path.name, path.read_bytes()) == ("model.bin", samples.MODEL)
    with pytest.raises(Conflict):
        gblend.jobs.cancel(job.id)


def test_refusals_name_the_field(gblend: Gblend) -> None:
    spec = toy_spec()
    spec["dataset"]["modalities"][0]["columns"][0]["name"] = "hieght"
    spec["dataset"]["target"]["column"] = "lable"
    with pytest.raises(Validation) as caught:
        gblend.jobs.submit(spec)
    found = {item.pointer: item.hint or "" for item in caught.value.errors}
    assert "height" in found["#/dataset/modalities/0/columns/0/name"]
    assert "label" in found["#/dataset/target/column"]
    report = gblend.jobs.submit(spec, validate_only=True)
    assert not report.valid
    assert {item.pointer for item in report.errors} == set(found)
    assert gblend.jobs.submit(toy_spec(), validate_only=True).valid
    with pytest.raises(Validation) as caught:
        gblend.jobs.submit({"epochs": 3})
    assert {item.pointer for item in caught.value.errors} == {"#/epochs", "#/dataset"}


def test_lists_and_unknown_jobs(gblend: Gblend) -> None:
    made = [gblend.jobs.submit(toy_spec(name=f"n{n}")).id for n in range(3)]
    assert [job.id for job in gblend.jobs.list(limit=3)] == made[::-1]
    page = gblend.jobs.page(limit=2)
    rest = gblend.jobs.page(limit=2, after=page.next_after)
    assert [job.id for job in (*page.data, *rest.data)][:3] == made[::-1]
    assert gblend.jobs.cancel(made[0]).status == "cancelled"
    assert gblend.jobs.cancel(made[0]).status == "cancelled"
    assert made[0] in {job.id for job in gblend.jobs.list(status="cancelled")}
    for call in (gblend.jobs.get, gblend.jobs.cancel, lambda job_id: list(gblend.jobs.watch(job_id))):
        with pytest.raises(NotFound):
            call("job_nope")


def test_nothing_is_lost_or_doubled_over_a_bad_network(api: LiveApi, gblend: Gblend, tmp_path: Path) -> None:
    job = gblend.jobs.submit(toy_spec())
    with proxy_to(api.url) as proxy, Gblend(proxy.url, backoff=0.001) as far:
        # Cut in the answer's head, in its first event, and ever later: each place of the stream is hit by some.
        proxy.budgets = [0, 80, 200, 333, *range(400, 3000, 97)]
        seen: list[tuple[int, str]] = []
        watcher = _watcher(far, job.id, seen)
        api.finish(api.train(job.id, epochs=10), tmp_path)
        watcher.join(60)
        assert not watcher.is_alive()
        assert len(proxy.passed) >= 10
    log = [(event.seq, event.type) for event in gblend.jobs.events(job.id)]
    assert seen == log
    assert [seq for seq, _ in log] == list(range(1, 37))


def test_a_restart_of_the_service_is_survived(tmp_path: Path, sqlite_url: str) -> None:
    write_manifest(tmp_path / "data")
    settings = Settings(state_dir=tmp_path, database={"url": sqlite_url}, api={"sse_retry_ms": 1})
    seen: list[tuple[int, str]] = []
    with proxy_to("http://127.0.0.1:1") as proxy, Gblend(proxy.url, backoff=0.01) as far:
        with serve(settings) as first:
            proxy.point_to(first.url)
            job_id = first.submit()["id"]
            watcher = _watcher(far, job_id, seen)
            lease = first.train(job_id)
            wait_until(lambda: len(seen) == 14, "the events of the run")
        with serve(settings) as second:
            second.finish(lease, tmp_path)
            proxy.point_to(second.url)
            watcher.join(60)
            assert not watcher.is_alive()
    assert [seq for seq, _ in seen] == list(range(1, 16))


def test_a_submission_whose_answer_is_lost_creates_one_job(api: LiveApi, gblend: Gblend) -> None:
    with proxy_to(api.url) as proxy, Gblend(proxy.url, backoff=0.001) as far:
        proxy.budgets = [0, 60, 300]
        job = far.jobs.submit(toy_spec(name="only once"))
    assert len(proxy.passed) == 4
    assert [listed.id for listed in gblend.jobs.list(limit=20) if listed.name == "only once"] == [job.id]


def test_a_download_that_is_cut_in_the_middle_goes_on_from_there(api: LiveApi, gblend: Gblend, tmp_path: Path) -> None:
    job_id = api.finished(tmp_path)
    with proxy_to(api.url) as proxy, Gblend(proxy.url) as far:
        far.jobs.download(job_id, tmp_path / "whole")
        (whole,) = proxy.passed  # the list, then the file, over one connection
    with proxy_to(api.url) as proxy, Gblend(proxy.url, backoff=0.001) as far:
        proxy.budgets = [whole - 9, 0]
        (path,) = far.jobs.download(job_id, tmp_path / "out")
        assert len(proxy.passed) == 3
    assert path.read_bytes() == samples.MODEL


def test_the_async_client(api: LiveApi, tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncGblend(api.url) as gblend:
            job = await gblend.jobs.submit(toy_spec(name="async"))
            lease = await asyncio.to_thread(api.train, job.id)
            seen: list[str] = []
            async for event in gblend.jobs.watch(job.id):
                seen.append(event.type)
                if event.type == "run.completed":
                    await asyncio.to_thread(api.finish, lease, tmp_path)
            assert seen[-1] == "job.status"
            assert (await gblend.jobs.wait(job.id)).status == "succeeded"
            (path,) = await gblend.jobs.download(job.id, tmp_path / "out", ["model.bin"])
            assert path.read_bytes() == samples.MODEL
            assert [row.super_epoch for row in await gblend.jobs.super_epochs(job.id)] == [0, 1, 2]
            assert job.id in [listed.id async for listed in gblend.jobs.list(limit=5)]

    asyncio.run(main())
