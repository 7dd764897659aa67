"""Pause, resume, retry, delete and the limit on what waits, over HTTP. A test's own hands are the worker."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.jobs.units import MAX_RUNTIME
from tests.e2e.api.live import LiveApi, toy_spec
from tests.servers import wait_until

Start = Callable[..., AbstractContextManager[LiveApi]]
ERROR = {"code": "data.decode", "message": "the data are bad", "hint": "mend them"}


def _post(api: LiveApi, path: str, **arguments: Any) -> httpx.Response:
    return api.client.post(path, **arguments)


def _problem(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


def test_a_job_is_paused_and_resumed(api: LiveApi) -> None:
    job = api.submit()
    path = f"/v1/jobs/{job['id']}"
    for _ in range(2):
        paused = _post(api, f"{path}/pause")
        assert paused.status_code == 202
        assert (paused.json()["status"], paused.json()["is_terminal"]) == ("paused", False)
        assert "retry-after" in paused.headers
    assert paused.json()["queue_position"] is None
    listed = api.client.get("/v1/jobs", params={"status": "paused"}).json()["data"]
    assert job["id"] in [each["id"] for each in listed]
    for _ in range(2):
        resumed = _post(api, f"{path}/resume")
        assert (resumed.status_code, resumed.json()["status"]) == (202, "queued")
    lease = api.claim(job["id"])
    assert _post(api, f"{path}/pause").json()["status"] == "pausing"
    assert api.units.desired(lease) == "pause"
    cancelled = _post(api, f"{path}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelling"), "acknowledged before it is done"
    refused = _post(api, f"{path}/pause")
    assert _problem(refused) == (409, "job.state")
    assert "cannot be taken back" in refused.json()["hint"]
    api.units.release(lease, reason="cancel_requested")
    assert _problem(_post(api, f"{path}/resume")) == (409, "job.state")
    assert _problem(_post(api, "/v1/jobs/job_nobody/pause")) == (404, "job.not_found")


def test_a_stream_goes_on_through_a_pause(start: Start) -> None:
    with start(api={"sse_ping_seconds": 0.05}) as api:
        job = api.submit()
        lines: list[str] = []

        def follow() -> None:
            with api.client.stream("GET", f"/v1/jobs/{job['id']}/events/stream") as response:
                lines.extend(response.iter_lines())

        follower = threading.Thread(target=follow)
        _post(api, f"/v1/jobs/{job['id']}/pause")
        follower.start()
        with httpx.Client(base_url=api.url) as other:
            with other.stream("GET", f"/v1/jobs/{job['id']}/events/stream") as response:
                pings = 0
                for line in response.iter_lines():
                    pings += line == ": ping"
                    if pings == 3:
                        break
            assert other.post(f"/v1/jobs/{job['id']}/resume").status_code == 202
            assert other.post(f"/v1/jobs/{job['id']}/cancel").json()["status"] == "cancelled"
        follower.join(30)
        assert "event: done" in lines
        statuses = [
            word for line in lines for word in ("paused", "queued", "cancelled") if f'"status":"{word}"' in line
        ]
        assert statuses[-3:] == ["queued", "cancelled", "cancelled"]


def test_scheduling_is_shown_and_decides_the_place(start: Start) -> None:
    with start() as api:
        low = api.submit()
        high = api.submit(scheduling={"priority": 10, "max_runtime_seconds": 60.0})
        other = api.submit(scheduling={"queue": "big.gpu-1"})
        shown = {key: high[key] for key in ("priority", "queue", "max_runtime_seconds", "run_seconds", "retry_of")}
        assert shown == {
            "priority": 10,
            "queue": "default",
            "max_runtime_seconds": 60.0,
            "run_seconds": 0.0,
            "retry_of": None,
        }
        assert low["spec_fingerprint"] == high["spec_fingerprint"] == other["spec_fingerprint"]
        places = [api.client.get(f"/v1/jobs/{job['id']}").json()["queue_position"] for job in (low, high, other)]
        assert places == [2, 1, 1]


@pytest.mark.parametrize(
    ("scheduling", "pointer"),
    [
        ({"priority": 101}, "#/scheduling/priority"),
        ({"priority": 1.5}, "#/scheduling/priority"),
        ({"queue": "Big GPU"}, "#/scheduling/queue"),
        ({"queue": ".."}, "#/scheduling/queue"),
        ({"max_runtime_seconds": 0}, "#/scheduling/max_runtime_seconds"),
        ({"prio": 1}, "#/scheduling/prio"),
    ],
)
def test_bad_scheduling_is_refused_with_a_pointer(api: LiveApi, scheduling: dict[str, Any], pointer: str) -> None:
    response = _post(api, "/v1/jobs", json=toy_spec(scheduling=scheduling))
    assert _problem(response) == (422, "spec.invalid")
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


def test_a_job_past_its_limit_is_retried_with_a_higher_one(api: LiveApi) -> None:
    job = api.submit(scheduling={"max_runtime_seconds": 5.0, "priority": 2})
    path = f"/v1/jobs/{job['id']}"
    assert _problem(_post(api, f"{path}/retry")) == (409, "job.state")
    lease = api.claim(job["id"])
    api.units.release(lease, reason=MAX_RUNTIME)
    failed = api.client.get(path).json()
    assert (failed["status"], failed["status_reason"]) == ("failed", "max_runtime")
    assert failed["error"]["code"] == "max_runtime"
    assert "scheduling.max_runtime_seconds" in failed["error"]["hint"]
    body = {"scheduling": {"max_runtime_seconds": 500.0}}
    made = _post(api, f"{path}/retry", json=body, headers={"idempotency-key": f"again {job['id']}"})
    assert made.status_code == 201
    assert made.headers["location"] == f"/v1/jobs/{made.json()['id']}"
    new = made.json()
    assert (new["retry_of"], new["max_runtime_seconds"], new["priority"]) == (job["id"], 500.0, 2)
    assert (new["status"], new["name"]) == ("queued", "toy")
    again = _post(api, f"{path}/retry", json=body, headers={"idempotency-key": f"again {job['id']}"})
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (new["id"], "true")
    mismatch = _post(api, f"{path}/retry", headers={"idempotency-key": f"again {job['id']}"})
    assert _problem(mismatch) == (422, "idempotency.mismatch")
    assert api.client.get(path).json() == failed, "what has ended stays as it is"


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        ({}, 201, ""),
        ({"content": b" "}, 201, ""),
        ({"json": None}, 201, ""),
        ({"json": {}}, 201, ""),
        ({"json": {"scheduling": {"priority": "high"}}}, 422, "spec.invalid"),
        ({"json": {"seed": 3}}, 422, "spec.invalid"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "request.malformed_json"),
        ({"content": b"{}", "headers": {"content-type": "text/plain"}}, 415, "request.media_type"),
    ],
)
def test_the_body_of_a_retry_may_be_left_out_but_not_be_wrong(
    api: LiveApi, arguments: dict[str, Any], status: int, code: str
) -> None:
    job = api.submit()
    api.client.post(f"/v1/jobs/{job['id']}/cancel")
    response = _post(api, f"/v1/jobs/{job['id']}/retry", **arguments)
    assert response.status_code == status, response.text
    if code:
        assert _problem(response) == (status, code)


def test_a_deleted_job_is_gone_at_once_and_its_files_soon(start: Start, tmp_path: Path) -> None:
    with start(engine={"sweep_seconds": 0.1}) as api:
        job_id = api.finished(tmp_path)
        path = f"/v1/jobs/{job_id}"
        folder = api.settings.state_dir / "artifacts" / "jobs" / job_id
        assert folder.is_dir()
        running = api.submit()
        api.claim(running["id"])
        refused = api.client.delete(f"/v1/jobs/{running['id']}")
        assert _problem(refused) == (409, "job.state")
        assert "cancel it first" in refused.json()["hint"]
        deleted = api.client.delete(path)
        assert (deleted.status_code, deleted.content) == (204, b"")
        for rest in (
            "",
            "/events",
            "/events/stream",
            "/super-epochs",
            "/metrics",
            "/artifacts",
            "/artifacts/model.bin",
        ):
            assert _problem(api.client.get(path + rest)) == (404, "job.not_found"), rest
        assert _problem(api.client.delete(path)) == (404, "job.not_found")
        assert [job["id"] for job in api.client.get("/v1/jobs").json()["data"]] == [running["id"]]
        wait_until(lambda: not folder.exists(), "the sweep to remove the files")


def test_an_experiment_is_deleted_with_its_jobs(api: LiveApi) -> None:
    body = {"job": toy_spec(), "strategies": ["naive", "equal"], "seeds": [0]}
    made = _post(api, "/v1/experiments", json=body).json()
    path = f"/v1/experiments/{made['id']}"
    job_ids = [job["job_id"] for job in made["jobs"]]
    _post(api, f"/v1/jobs/{job_ids[0]}/pause")
    shown = api.client.get(path).json()
    assert (shown["status"], shown["counts"]["paused"], shown["is_terminal"]) == ("running", 1, False)
    assert _problem(api.client.delete(path)) == (409, "experiment.state")
    assert _post(api, f"{path}/cancel").json()["status"] == "cancelled"
    assert _problem(api.client.delete(f"/v1/jobs/{job_ids[0]}")) == (409, "job.of_experiment")
    assert api.client.delete(path).status_code == 204
    assert _problem(api.client.get(path)) == (404, "experiment.not_found")
    assert _problem(api.client.get(f"/v1/jobs/{job_ids[1]}")) == (404, "job.not_found")


def test_too_many_that_wait_are_refused_with_a_time_to_come_back(start: Start) -> None:
    with start(engine={"max_pending": 2}) as api:
        first = api.submit()
        api.submit()
        for path, body in (
            ("/v1/jobs", toy_spec()),
            ("/v1/experiments", {"job": toy_spec(), "strategies": ["naive"], "seeds": [0]}),
        ):
            response = _post(api, path, json=body)
            assert _problem(response) == (429, "jobs.max_pending")
            assert int(response.headers["retry-after"]) > 0
            assert "cancel" in response.json()["hint"]
        api.claim(first["id"])
        api.submit()
