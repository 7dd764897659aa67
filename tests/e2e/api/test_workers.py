"""The fleet over HTTP: who is there, and what a submission is told when nobody is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from gblend_client import Gblend
from gblend_client.cli import app
from sqlalchemy import text
from typer.testing import CliRunner

from core.jobs.worker_views import WorkerFacts
from core.jobs.workers import WorkerService
from tests.e2e.api.live import LiveApi, toy_spec
from tests.e2e.api.test_bad_requests import assert_problem

Start = Callable[..., AbstractContextManager[LiveApi]]

FACTS = WorkerFacts(host="box", pid=7, version="0.1.0", queues=("default", "gpu"), slots=2, gpus=("0", "1"))


def _registry(api: LiveApi) -> WorkerService:
    return WorkerService(api.database, api.settings.engine)


def test_workers_are_listed_with_what_they_run(start: Start) -> None:
    with start() as api:
        assert api.client.get("/v1/workers").json() == {
            "object": "list",
            "data": [],
            "has_more": False,
            "next_after": None,
        }
        registry = _registry(api)
        first, second = registry.register(FACTS), registry.register(FACTS)
        job = api.submit(scheduling={"queue": "gpu"})
        assert api.units.claim_next(["gpu"], "w", first) is not None
        listed = api.client.get("/v1/workers").json()
        assert [(each["id"], each["busy"], each["jobs"]) for each in listed["data"]] == [
            (second, 0, []),
            (first, 1, [job["id"]]),
        ]
        page = api.client.get("/v1/workers?limit=1").json()
        assert (page["has_more"], page["next_after"]) == (True, second)
        (rest,) = api.client.get(f"/v1/workers?after={second}").json()["data"]
        assert rest["id"] == first
        shown = api.client.get(f"/v1/workers/{first}")
        assert shown.json() == rest
        assert (rest["state"], rest["host"], rest["gpus"], rest["stopped_at"]) == ("alive", "box", ["0", "1"], None)
        again = api.client.get(f"/v1/workers/{first}", headers={"if-none-match": shown.headers["etag"]})
        assert again.status_code == 304
        registry.stop(first)
        assert api.client.get(f"/v1/workers/{first}").json()["state"] == "stopped"


@pytest.mark.parametrize("worker_id", ["wrk_0", "a b", "x" * 65, "%00"])
def test_a_worker_that_is_not_there(api: LiveApi, worker_id: str) -> None:
    assert_problem(api.client.get(f"/v1/workers/{worker_id}"), 404, "worker.not_found")


def test_a_submission_is_told_that_nobody_listens(start: Start) -> None:
    """Accepted all the same, since a worker may come; told by the job for as long as it exists."""
    with start() as api:
        (warning,) = api.submit()["warnings"]
        assert (warning["code"], warning["pointer"]) == ("scheduling.no_worker", "#/scheduling/queue")
        assert "'default'" in warning["detail"]
        _registry(api).register(FACTS)
        assert api.submit()["warnings"] == []
        job = api.submit(scheduling={"queue": "huge"})
        (warning,) = job["warnings"]
        assert warning["hint"] == (
            "start one: gblend-server worker --queue huge; queues with workers now: default, gpu"
        )
        assert job["status"] == "queued"
        assert api.client.get(f"/v1/jobs/{job['id']}").json()["warnings"] == [warning]
        dry = api.client.post("/v1/jobs?validate_only=true", json=toy_spec(scheduling={"queue": "huge"})).json()
        assert (dry["valid"], [each["code"] for each in dry["warnings"]]) == (True, ["scheduling.no_worker"])
        body = {"job": toy_spec(scheduling={"queue": "huge"}), "strategies": ["naive", "equal"], "seeds": [0]}
        made = api.client.post("/v1/experiments", json=body)
        assert made.status_code == 201, made.text
        assert [(each["code"], each["pointer"]) for each in made.json()["warnings"]] == [
            ("scheduling.no_worker", "#/job/scheduling/queue")
        ]


def test_a_submission_is_told_that_no_worker_has_so_many_devices(start: Start) -> None:
    with start() as api:
        _registry(api).register(FACTS)
        assert api.submit(scheduling={"devices": 2})["warnings"] == []
        (warning,) = api.submit(scheduling={"devices": 3})["warnings"]
        assert (warning["code"], warning["pointer"]) == ("scheduling.too_few_devices", "#/scheduling/devices")
        assert warning["hint"].startswith("ask for 2, or start a worker with 3 slots")


def test_a_submission_is_told_that_there_is_no_room_for_so_many_nodes(start: Start) -> None:
    with start() as api:
        _registry(api).register(FACTS)
        assert api.submit(scheduling={"nodes": 2})["warnings"] == [], "two slots, be it of one worker"
        (warning,) = api.submit(scheduling={"nodes": 2, "devices": 2})["warnings"]
        assert (warning["code"], warning["pointer"]) == ("scheduling.too_few_nodes", "#/scheduling/nodes")
        assert warning["hint"].startswith("ask for 1, or start more workers: ")
        _registry(api).register(FACTS)
        assert api.submit(scheduling={"nodes": 2, "devices": 2})["warnings"] == []
        (warning,) = api.submit(scheduling={"nodes": 2, "devices": 3})["warnings"]
        assert warning["code"] == "scheduling.too_few_devices"


def test_a_process_that_is_older_than_the_schema_is_not_ready(start: Start) -> None:
    """Also when it was ready before: a newer version's migration may run at any time."""
    with start() as api:
        assert api.client.get("/readyz").status_code == 200
        with api.database.write() as session:
            session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        body = assert_problem(api.client.get("/readyz"), 503, "not_ready")
        assert [error["code"] for error in body["errors"]] == ["not_ready.migrations"]
        assert "start the newer version here" in body["errors"][0]["hint"]


def test_the_client_and_the_command(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with start() as api, Gblend(api.url) as gblend:
        monkeypatch.setenv("GBLEND_URL", api.url)
        nobody = CliRunner().invoke(app, ["workers"], catch_exceptions=False)
        assert (nobody.exit_code, nobody.stdout) == (0, "")
        assert "no worker is alive" in nobody.stderr
        registry = _registry(api)
        gone, there = registry.register(FACTS), registry.register(FACTS)
        registry.stop(gone)
        job = api.submit()
        assert api.units.claim_next(["default"], "w", there) is not None
        worker = gblend.workers.get(there)
        assert (worker.state, worker.queues, worker.gpus) == ("alive", ("default", "gpu"), ("0", "1"))
        assert (worker.busy, worker.slots, worker.jobs) == (1, 2, (job["id"],))
        assert worker.heartbeat_at is not None
        assert [each.id for each in gblend.workers.list()] == [there, gone]
        shown = CliRunner().invoke(app, ["workers"], catch_exceptions=False).stdout
        for said in (there, "alive", "default, gpu", "1 of 2", "0, 1", "box:7", job["id"]):
            assert said in shown
        assert gone not in shown
        everyone = CliRunner().invoke(app, ["workers", "--all"], catch_exceptions=False).stdout
        assert gone in everyone
        assert "stopped" in everyone
