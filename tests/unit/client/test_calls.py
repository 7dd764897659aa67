"""Requests, retries, paging and errors, over real HTTP."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from gblend_client import (
    APIError,
    Conflict,
    ConnectionFailed,
    Gblend,
    GblendError,
    InvalidInput,
    NotFound,
    ProtocolError,
    RateLimited,
    ServerError,
    Unauthorized,
    Validation,
    __version__,
)
from gblend_client._retry import Backoff, is_retryable, retry_after

from tests.unit.client.service import JOB_ID, Reply, Service, event, job, problem

JOB = f"GET /v1/jobs/{JOB_ID}"
SUBMIT = "POST /v1/jobs"


def test_submit_sends_the_spec_and_a_key(jobs: Any, service: Service) -> None:
    submitted = jobs.submit({"schema_version": 1, "name": "Größe"})
    assert submitted.id == JOB_ID
    (request,) = service.requests
    assert json.loads(request.body) == {"schema_version": 1, "name": "Größe"}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == f"gblend-client/{__version__}"
    assert len(request.headers["idempotency-key"]) == 32


def test_submit_reads_files(jobs: Any, service: Service, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("training: {optimizer: {lr: 1e-3}}\n")
    (tmp_path / "b.json").write_text('{"seed": 3}')
    jobs.submit(tmp_path / "a.yaml")
    jobs.submit(str(tmp_path / "b.json"))
    assert [json.loads(request.body) for request in service.requests] == [
        {"training": {"optimizer": {"lr": 0.001}}},
        {"seed": 3},
    ]


def test_a_repeated_submission_keeps_its_key(jobs: Any, service: Service) -> None:
    in_flight = problem(409, "idempotency.in_flight", headers={"retry-after": "0"})
    service.script(SUBMIT, Reply(cut=0), problem(503, "not_ready"), in_flight, Reply(201, job("queued"), cut=40))
    assert jobs.submit({}).id == JOB_ID
    assert len(service.requests) == 5
    assert len({request.headers["idempotency-key"] for request in service.requests}) == 1
    assert jobs.submit({}).id == JOB_ID
    assert service.requests[-1].headers["idempotency-key"] != service.requests[0].headers["idempotency-key"]


def test_a_given_key_is_sent(jobs: Any, service: Service) -> None:
    jobs.submit({}, idempotency_key="nightly 7")
    assert service.requests[0].headers["idempotency-key"] == "nightly 7"
    for key in ("", " a", "a\nb", "ä", "x" * 256):
        with pytest.raises(InvalidInput, match="idempotency key"):
            jobs.submit({}, idempotency_key=key)


def test_validate_only_asks_and_creates_nothing(jobs: Any, service: Service) -> None:
    items = [{"code": "column.missing", "detail": "no such column", "pointer": "#/a", "hint": "did you mean 'b'?"}]
    service.script(SUBMIT, Reply(200, {"valid": False, "errors": items, "warnings": [], "spec": {"seed": 0}}))
    report = jobs.submit({}, validate_only=True)
    assert (report.valid, report.spec) == (False, {"seed": 0})
    assert (report.errors[0].code, report.errors[0].hint) == ("column.missing", "did you mean 'b'?")
    assert service.requests[0].query == {"validate_only": ["true"]}
    assert "idempotency-key" not in service.requests[0].headers


def test_a_spec_that_is_no_json_is_refused_before_it_is_sent(jobs: Any, service: Service) -> None:
    for spec in ({"lr": float("nan")}, {"at": datetime(2026, 1, 2, tzinfo=UTC)}, {"x": "\udc80"}):
        with pytest.raises(InvalidInput, match="cannot be written as JSON"):
            jobs.submit(spec)
    assert service.requests == []


def test_get_reads_the_whole_job(jobs: Any, service: Service) -> None:
    progress = {"percent": 40, "eta_seconds": 12.5, "epoch": 4, "totals": {"epochs": 10, "steps": 50}, "new": 1}
    result = {"answer": "fused", "test_accuracy": 0.875, "test": [{"head": "fused", "split": "test", "loss": 0.5}]}
    warning = {"code": "split.small", "detail": "few", "severity": "warning", "examples": None}
    service.job = job("running", progress=progress, result=result, warnings=[warning], a_newer_field=[1])
    read = jobs.get(JOB_ID)
    assert (read.status, read.is_terminal, read.phase) == ("running", False, "training")
    assert (read.progress.percent, read.progress.totals.epochs) == (40.0, 10)
    assert (read.result.test_accuracy, read.result.test[0].loss) == (0.875, 0.5)
    assert (read.warnings[0].severity, read.warnings[0].examples) == ("warning", ())
    assert read.created_at == datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert read.raw["a_newer_field"] == [1]


def test_a_state_that_is_not_known_yet(jobs: Any, service: Service) -> None:
    service.job = {**job("archived"), "is_terminal": True}
    assert jobs.get(JOB_ID).is_terminal


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "request.malformed", Validation),
        (401, "auth.missing", Unauthorized),
        (404, "job.not_found", NotFound),
        (409, "job.state", Conflict),
        (413, "request.too_large", Validation),
        (418, "teapot", APIError),
        (422, "spec.invalid", Validation),
        (501, "not_implemented", ServerError),
    ],
)
def test_refusals_are_not_repeated(
    jobs: Any, service: Service, status: int, code: str, expected: type[APIError]
) -> None:
    items = [{"code": "a.b", "detail": "wrong", "pointer": "#/x", "new": 1}, "odd"]
    service.script(SUBMIT, problem(status, code, errors=items, hint="look"))
    with pytest.raises(GblendError) as caught:
        jobs.submit({})
    error = caught.value
    assert type(error) is expected
    assert isinstance(error, APIError)
    assert (error.status, error.code, error.detail, error.hint) == (status, code, f"it is {code}", "look")
    assert [(item.code, item.detail, item.pointer) for item in error.errors] == [
        ("a.b", "wrong", "#/x"),
        ("invalid", "odd", None),
    ]
    assert error.request_id == "req_1"
    assert str(error) == f"{status} {code}: it is {code}"
    assert len(service.requests) == 1


@pytest.mark.parametrize(("status", "expected"), [(408, APIError), (429, RateLimited), (500, ServerError)])
def test_stumbles_are_repeated_until_patience_ends(
    jobs: Any, service: Service, status: int, expected: type[APIError]
) -> None:
    service.script(JOB, *[problem(status, "busy")] * 4)
    assert jobs.get(JOB_ID).id == JOB_ID
    service.script(JOB, *[problem(status, "busy")] * 5)
    with pytest.raises(expected):
        jobs.get(JOB_ID)


def test_a_proxys_page_is_still_an_error_with_a_status(jobs: Any, service: Service) -> None:
    service.script(JOB, *[Reply(502, b"<html>", {"content-type": "text/html"})] * 5)
    with pytest.raises(ServerError) as caught:
        jobs.get(JOB_ID)
    assert (caught.value.code, caught.value.detail) == ("http.502", "the service answered 502")


def test_a_redirect_is_not_followed(jobs: Any, service: Service) -> None:
    service.script(JOB, Reply(307, {}, {"location": f"{service.url}/elsewhere"}))
    with pytest.raises(APIError, match="307"):
        jobs.get(JOB_ID)
    assert len(service.requests) == 1


def test_a_longer_pause_than_is_sensible_is_left_to_the_caller(jobs: Any, service: Service) -> None:
    service.script(JOB, problem(429, "quota", headers={"retry-after": "3600"}))
    with pytest.raises(RateLimited) as caught:
        jobs.get(JOB_ID)
    assert caught.value.retry_after == 3600.0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "not JSON"),
        (b'{"id": "j", "status": "queued", "attempt": NaN}', "not JSON"),
        ([], "job: the service sent list instead of an object"),
        ({"id": "j"}, "job: the service left out status"),
        ({"id": 3, "status": "queued"}, "job.id: the service sent int instead of str"),
        ({"id": "j", "status": "queued", "attempt": True}, "job.attempt: the service sent bool instead of int"),
        ({"id": "j", "status": "queued", "warnings": {}}, "job.warnings: the service sent dict instead of a list"),
        ({"id": "j", "status": "queued", "created_at": "soon"}, "job.created_at: .* instead of an RFC 3339 time"),
        ({"id": "j", "status": "queued", "progress": 3}, "job.progress: the service sent int instead of an object"),
    ],
)
def test_an_answer_outside_the_contract_names_the_field(jobs: Any, service: Service, body: Any, message: str) -> None:
    service.script(JOB, Reply(200, body))
    with pytest.raises(ProtocolError, match=message):
        jobs.get(JOB_ID)


def test_lists_go_through_all_pages(jobs: Any, service: Service) -> None:
    service.jobs = [{**job(), "id": f"job_{n}"} for n in range(5)]
    assert [item.id for item in jobs.list()] == ["job_0", "job_1", "job_2", "job_3", "job_4"]
    assert [request.query.get("after") for request in service.requests] == [None, ["2"], ["4"]]
    assert [item.id for item in jobs.list(limit=3, status="succeeded")] == ["job_0", "job_1", "job_2"]
    assert service.requests[-1].query == {"after": ["2"], "limit": ["1"], "status": ["succeeded"]}
    page = jobs.page(after="2", limit=2)
    assert ([item.id for item in page.data], page.has_more, page.next_after) == (["job_2", "job_3"], True, "4")


def test_a_list_whose_cursor_stands_still_is_an_error(jobs: Any, service: Service) -> None:
    stuck = Reply(200, {"data": [job()], "has_more": True, "next_after": "1"})
    service.script("GET /v1/jobs", stuck, stuck)
    with pytest.raises(ProtocolError, match="not where"):
        list(jobs.list())


def test_recorded_events(jobs: Any, service: Service) -> None:
    service.events = [event(1, "job.created"), event(2, "job.status", status="starting"), event(3), event(4)]
    assert [item.seq for item in jobs.events(JOB_ID)] == [1, 2, 3, 4]
    assert [item.seq for item in jobs.events(JOB_ID, after=2)] == [3, 4]
    (only,) = jobs.events(JOB_ID, types=["job.created", "job.status"], after=1, limit=5)
    assert (only.type, only.data) == ("job.status", {"status": "starting"})
    assert service.requests[-1].query["type"] == ["job.created", "job.status"]


def test_the_history(jobs: Any, service: Service) -> None:
    head = {"head": "audio", "weight": 0.25, "G": 0.5, "O": -0.125, "ogr": 0.25, "learnt": True, "flags": ["a"]}
    service.super_epochs = [
        {"super_epoch": n, "first_epoch": 5 * n, "epochs": 5, "weights": {"audio": 0.25}, "heads": [head]}
        for n in range(3)
    ]
    service.metrics = [{"head": "audio", "split": "train", "metric": "loss", "epoch": n, "value": None} for n in (1, 2)]
    history = jobs.super_epochs(JOB_ID)
    assert [row.super_epoch for row in history] == [0, 1, 2]
    assert (history[0].heads[0].O, history[0].heads[0].flags) == (-0.125, ("a",))
    points = jobs.metrics(JOB_ID, head="audio", max_points=10)
    assert [(point.epoch, point.value) for point in points] == [(1, None), (2, None)]
    assert service.requests[-1].query == {"head": ["audio"], "max_points": ["10"], "limit": ["200"]}


def test_cancel(jobs: Any, service: Service) -> None:
    assert jobs.cancel(JOB_ID).status == "cancelling"
    route = f"POST /v1/jobs/{JOB_ID}/cancel"
    # The answer to the first try is lost, and the job is cancelled when the second one comes.
    service.job = job("cancelled")
    service.script(route, Reply(202, job("cancelling"), cut=10), problem(409, "job.state"))
    assert jobs.cancel(JOB_ID).status == "cancelled"
    service.job = job("succeeded")
    service.script(route, problem(409, "job.state"))
    with pytest.raises(Conflict):
        jobs.cancel(JOB_ID)


def test_an_id_never_names_another_path(jobs: Any, service: Service) -> None:
    with pytest.raises(NotFound):
        jobs.get("../jobs?x=/#")
    assert service.requests[0].path == "/v1/jobs/../jobs?x=/#"  # one quoted segment
    for job_id in ("", ".", ".."):
        with pytest.raises(InvalidInput, match="no job id"):
            jobs.get(job_id)


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Gblend(url, backoff=0.001) as client, pytest.raises(ConnectionFailed) as caught:
            client.jobs.get(JOB_ID)
    assert url in str(caught.value)
    assert "GBLEND_URL" in str(caught.value.hint)


def test_the_environment_names_service_and_key(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GBLEND_URL", service.url + "/")
    monkeypatch.setenv("GBLEND_API_KEY", "gbl_secret")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # loopback is not the proxy's business
    with Gblend() as client:
        client.jobs.get(JOB_ID)
        assert client.base_url == service.url
        assert "gbl_secret" not in repr(client)
    assert service.requests[0].headers["authorization"] == "Bearer gbl_secret"
    with Gblend(api_key="gbl_other") as client:
        client.jobs.get(JOB_ID)
    assert service.requests[1].headers["authorization"] == "Bearer gbl_other"


@pytest.mark.parametrize(
    "url",
    ["ftp://host", "host:8000", "http://", "http://host:99999", "http://u:p@host", "http://host/?q", "http://[", "x"],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(InvalidInput, match="address"):
        Gblend(url)


def test_a_key_that_is_none() -> None:
    for key in ("a b", "a\n", "ä"):
        with pytest.raises(InvalidInput, match="API key"):
            Gblend(api_key=key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0.0),
        (" 7 ", 7.0),
        ("Fri, 02 Jan 2026 00:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 0.0),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("9" * 400, None),
    ],
)
def test_retry_after(text: str, expected: float | None) -> None:
    assert retry_after({"retry-after": text}, now=datetime(2026, 1, 2, tzinfo=UTC)) == expected


def test_the_pauses_grow_to_a_cap_and_honour_the_service() -> None:
    backoff = Backoff(retries=100, first=0.5, cap=8.0)
    lost = ConnectionFailed("x")
    for failures, longest in [(1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0), (100, 8.0)]:
        pause = backoff.pause(failures, lost)
        assert pause is not None
        assert longest / 2 <= pause <= longest
    assert backoff.pause(101, lost) is None
    assert backoff.pause(1, RateLimited("x", status=429, code="x", retry_after=60.0)) == 60.0
    assert not is_retryable(InvalidInput("x"))
    assert not is_retryable(Conflict("x", status=409, code="job.state"))
    assert is_retryable(Conflict("x", status=409, code="idempotency.in_flight"))
