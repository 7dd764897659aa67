"""Submitting, looking at and cancelling jobs over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from uuid import uuid4

import httpx
import pytest

from core.events import Progress
from core.jobs.broker import embedded_folders
from core.settings import FeatureSettings
from tests.e2e.api.live import LiveApi, toy_spec
from tests.servers import free_port

Start = Callable[..., AbstractContextManager[LiveApi]]

JOB_FIELDS = [
    *("id", "object", "name", "project", "status", "is_terminal", "status_reason", "phase", "attempt", "progress"),
    *("queue_position", "priority", "queue", "max_runtime_seconds", "run_seconds", "retry_of"),
    "last_seq",
    *("spec", "spec_fingerprint", "dataset_fingerprint", "environment", "seed", "result", "error"),
    *("metadata", "warnings", "transitions", "created_at", "started_at", "finished_at"),
]


def test_a_submission_answers_with_the_job(api: LiveApi) -> None:
    response = api.client.post("/v1/jobs", json=toy_spec(metadata={"team": "a"}, seed=7))
    assert response.status_code == 201
    job = response.json()
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert response.headers["retry-after"] == "1"
    assert list(job) == JOB_FIELDS
    assert (job["object"], job["status"], job["is_terminal"], job["attempt"]) == ("job", "queued", False, 0)
    assert (job["project"], job["name"], job["seed"], job["metadata"]) == ("default", "toy", 7, {"team": "a"})
    assert job["spec"]["training"]["optimizer"] == {"type": "adam", "lr": 0.001, "weight_decay": 0.0}
    assert job["spec_fingerprint"].startswith("sha256:")
    assert [change["status"] for change in job["transitions"]] == ["queued"]
    assert job["created_at"].endswith("Z")
    assert job["queue_position"] >= 1
    assert api.client.get(response.headers["location"]).json()["id"] == job["id"]


def test_a_submission_wakes_a_worker(start: Start) -> None:
    with start() as api:
        job = api.submit()
        (message,) = embedded_folders(api.settings)["messages"].iterdir()
        assert json.loads(message.read_text())["headers"]["task"] == "gblend.run_unit"
        assert json.loads(message.read_text())["headers"]["argsrepr"] == f"['{api.unit_of(job['id'])}']"


def test_a_dead_broker_does_not_fail_a_submission(start: Start) -> None:
    with start(broker={"url": f"redis://127.0.0.1:{free_port()}/0"}) as api:
        job = api.submit()
        assert api.client.get(f"/v1/jobs/{job['id']}").json()["status"] == "queued"
        assert api.unit_of(job["id"]) in api.units.take_due()


def test_validate_only_creates_nothing(api: LiveApi) -> None:
    name = f"only-{uuid4()}"
    response = api.client.post("/v1/jobs", params={"validate_only": "true"}, json=toy_spec(name=name))
    assert response.status_code == 200
    report = response.json()
    assert list(report) == ["object", "valid", "errors", "warnings", "spec", "spec_fingerprint"]
    assert (report["object"], report["valid"], report["errors"]) == ("job.validation", True, [])
    assert report["spec"]["training"]["epochs"] == 20
    assert name not in [job["name"] for job in api.client.get("/v1/jobs", params={"limit": 1000}).json()["data"]]


def test_validate_only_says_what_is_wrong_with_the_data(api: LiveApi) -> None:
    spec = toy_spec()
    spec["dataset"]["target"]["column"] = "lable"
    response = api.client.post("/v1/jobs", params={"validate_only": "true"}, json=spec)
    assert response.status_code == 200
    report = response.json()
    assert not report["valid"]
    assert report["errors"][0]["pointer"] == "#/dataset/target/column"
    assert "label" in report["errors"][0]["hint"]


def test_validate_only_says_what_is_odd_about_rows_that_lack_a_modality(start: Start) -> None:
    with start() as api:
        path = api.settings.state_dir / "data" / "toy" / "manifest.csv"
        spec = toy_spec()
        spec["dataset"]["modalities"][0]["missing"] = "mask"
        reports = []
        # Every second row is `no`; most of those lack a height, then all rows do.
        for lacking in (range(0, 36, 2), range(40)):
            rows = [f"s{n},{'' if n in lacking else n},{n % 3},{n},{'yes' if n % 2 else 'no'}" for n in range(40)]
            path.write_text("\n".join(["id,height,colour,weight,label", *rows]))
            reports.append(api.client.post("/v1/jobs", params={"validate_only": "true"}, json=spec).json())
    assert reports[0]["valid"]
    (warning,) = [issue for issue in reports[0]["warnings"] if issue["code"].startswith("missing.")]
    assert (warning["code"], warning["pointer"]) == ("missing.tells_class", "#/dataset/modalities/0/missing")
    assert not reports[1]["valid"]
    assert {(issue["code"], issue["pointer"]) for issue in reports[1]["errors"]} == {
        ("modality.never_present", "#/dataset/modalities/0/missing")
    }


@pytest.mark.parametrize("job_id", ["job_nope", "%00", "a%2Fb", "..%2f..%2fetc", "x" * 500, "%F0%9F%98%80"])
def test_an_unknown_job_is_not_found(api: LiveApi, job_id: str) -> None:
    response = api.client.get(f"/v1/jobs/{job_id}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] in ("job.not_found", "route.not_found")


def test_lists_page_from_the_newest_on(start: Start) -> None:
    with start(api={"max_list": 3}) as api:
        ids = [api.submit()["id"] for _ in range(5)]
        first = api.client.get("/v1/jobs", params={"limit": 2}).json()
        assert (first["object"], first["has_more"], first["next_after"]) == ("list", True, ids[3])
        assert [job["id"] for job in first["data"]] == [ids[4], ids[3]]
        rest = api.client.get("/v1/jobs", params={"limit": 100, "after": first["next_after"]}).json()
        assert [job["id"] for job in rest["data"]] == [ids[2], ids[1], ids[0]]
        assert not rest["has_more"]
        assert len(api.client.get("/v1/jobs", params={"limit": 100}).json()["data"]) == 3
        api.client.post(f"/v1/jobs/{ids[0]}/cancel")
        cancelled = api.client.get("/v1/jobs", params={"status": "cancelled"}).json()
        assert [job["id"] for job in cancelled["data"]] == [ids[0]]


def test_cancelling_a_job_that_waits_ends_it(api: LiveApi) -> None:
    job = api.submit()
    response = api.client.post(f"/v1/jobs/{job['id']}/cancel")
    assert response.status_code == 202
    assert (response.json()["status"], response.json()["is_terminal"]) == ("cancelled", True)
    assert "retry-after" not in response.headers
    again = api.client.post(f"/v1/jobs/{job['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "job.state")
    assert again.json()["hint"]


def test_cancelling_a_job_that_runs_asks_it_to_stop(api: LiveApi) -> None:
    job = api.submit()
    lease = api.train(job["id"])
    for _ in range(2):
        response = api.client.post(f"/v1/jobs/{job['id']}/cancel")
        assert (response.status_code, response.json()["status"]) == (202, "cancelling")
        assert response.headers["retry-after"] == "1"
    assert api.units.heartbeat(lease) == "cancel"
    api.units.release(lease, reason="stopped")
    assert api.client.get(f"/v1/jobs/{job['id']}").json()["status"] == "cancelled"


def test_progress_shows(api: LiveApi) -> None:
    job = api.submit()
    progress = Progress(
        phase="training",
        percent=41.5,
        eta_seconds=12.0,
        super_epoch=1,
        epoch=12,
        epochs=20,
        step=3,
        steps=30,
        updated_at=1_700_000_000.0,
    )
    api.units.heartbeat(api.claim(job["id"]), progress)
    assert api.client.get(f"/v1/jobs/{job['id']}").json()["progress"] == {
        "percent": 41.5,
        "eta_seconds": 12.0,
        "super_epoch": 1,
        "epoch": 12,
        "step": 3,
        "totals": {"epochs": 20, "steps": 30},
        "detail": None,
    }


def test_what_is_done_before_the_training_shows(api: LiveApi) -> None:
    job = api.submit()
    lease = api.claim(job["id"])
    told = "features of 'rgb': 1,200 of 5,000"
    progress = Progress(
        phase="encoding",
        percent=0.0,
        eta_seconds=None,
        super_epoch=None,
        epoch=0,
        epochs=20,
        step=0,
        steps=0,
        detail=told,
        updated_at=1_700_000_000.0,
    )
    api.units.heartbeat(lease, progress)
    seen = api.client.get(f"/v1/jobs/{job['id']}").json()
    assert (seen["phase"], seen["progress"]["percent"], seen["progress"]["detail"]) == ("encoding", 0.0, told)


def test_a_failed_job_says_why(api: LiveApi) -> None:
    job = api.submit()
    error = {
        "code": "data.invalid",
        "message": "one sample cannot be used",
        "hint": "remove it",
        "errors": [
            {"code": "image.corrupt", "severity": "error", "detail": "not a PNG", "count": 1, "examples": ["7"]}
        ],
    }
    api.units.fail(api.claim(job["id"]), error, reason="bad_data")
    failed = api.client.get(f"/v1/jobs/{job['id']}").json()
    assert (failed["status"], failed["status_reason"], failed["is_terminal"]) == ("failed", "bad_data", True)
    assert (failed["error"]["code"], failed["error"]["hint"]) == ("data.invalid", "remove it")
    assert failed["error"]["errors"][0]["examples"] == ["7"]
    assert failed["finished_at"] is not None


def _post(api: LiveApi, key: str, **changes: object) -> httpx.Response:
    return api.client.post("/v1/jobs", json=toy_spec(**changes), headers={"Idempotency-Key": key})


def test_the_same_key_and_body_have_the_same_answer(api: LiveApi) -> None:
    key = str(uuid4())
    first, second = _post(api, key), _post(api, key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    assert first.headers["location"] == second.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"


def test_the_same_key_holds_even_when_the_data_are_gone(start: Start) -> None:
    with start() as api:
        key = str(uuid4())
        first = _post(api, key)
        (api.settings.data_roots["data"] / "toy" / "manifest.csv").unlink()
        assert _post(api, key).json()["id"] == first.json()["id"]
        assert api.client.post("/v1/jobs", json=toy_spec()).status_code == 422


def test_the_same_key_and_another_body_is_refused(api: LiveApi) -> None:
    key = str(uuid4())
    first = _post(api, key)
    response = _post(api, key, name="another")
    assert (response.status_code, response.json()["code"]) == (422, "idempotency.mismatch")
    assert first.json()["id"] in response.json()["hint"]


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9"])
def test_a_key_must_be_printable_ascii(api: LiveApi, key: str) -> None:
    response = api.client.post("/v1/jobs", json=toy_spec(), headers=[(b"Idempotency-Key", key.encode("latin-1"))])
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == "Idempotency-Key"


def test_of_many_requests_with_one_key_one_creates_a_job(start: Start) -> None:
    with start() as api:
        key = str(uuid4())
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: _post(api, key), range(8)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len(api.client.get("/v1/jobs").json()["data"]) == 1
        assert [answer.headers.get("idempotency-replayed") for answer in answers].count(None) == 1


def test_a_model_of_the_hub_is_taken_where_the_operator_allows_it(start: Start) -> None:
    encoder = {"type": "transformers", "hub": "acme/bert", "revision": "0123456789" * 4}
    spec = toy_spec()
    spec["dataset"]["modalities"][1] = {"name": "look", "type": "text", "column": "colour", "encoder": encoder}
    registration = {"name": "toys", "dataset": spec["dataset"]}
    with start(features=FeatureSettings(allow_hub=("acme/*",))) as live:
        assert live.client.post("/v1/jobs", json=spec).status_code == 201
        assert live.client.post("/v1/datasets", json=registration).status_code == 201
        experiment = {"job": spec, "strategies": ["naive", "online"], "seeds": [0]}
        assert live.client.post("/v1/experiments", json=experiment).status_code == 201
        encoder["hub"] = "other/bert"
        for path, body in (("jobs", spec), ("datasets", registration), ("experiments", experiment)):
            answer = live.client.post(f"/v1/{path}", json=body)
            assert answer.status_code == 422
            wrong = [each for each in answer.json()["errors"] if each["severity"] == "error"]
            codes = [(each["code"], each["pointer"].rpartition("/modalities/")[2]) for each in wrong]
            assert codes == [("encoder.hub_forbidden", "1/encoder/hub")]
