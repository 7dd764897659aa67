"""Every way to ask wrongly, and the problem that answers it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.e2e.api.live import LiveApi, toy_spec

Start = Callable[..., AbstractContextManager[LiveApi]]


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is a problem in the form that the contract promises."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "instance", "code", "request_id", "errors"} <= set(body)
    assert (body["status"], body["code"], body["type"]) == (status, code, f"urn:gblend:problem:{code}")
    assert body["instance"] == response.request.url.path
    assert body["request_id"] == response.headers["x-request-id"]
    return body


def _changed(path: str, value: Any) -> dict[str, Any]:
    """The toy spec with one place changed; `...` removes it."""
    spec = toy_spec()
    *parents, last = path.split("/")
    node: Any = spec
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    if value is ...:
        del node[last]
    elif isinstance(node, list):
        node[int(last)] = value
    else:
        node[last] = value
    return spec


@pytest.mark.parametrize(
    ("path", "value", "code", "pointer", "hint"),
    [
        (
            "dataset/target/separator",
            "|",
            "spec.value",
            "#/dataset/target/separator",
            "Multilabel: what stands between two labels in a text. Left out: `;`.",
        ),
        ("dataset/target/type", "multi", "spec.value", "#/dataset/target/type", "did you mean 'multilabel'?"),
        ("training/loss", {"label_smoothing": 1.0}, "spec.value", "#/training/loss/label_smoothing", "Share of"),
        ("training/loss", {"class_weights": "blanced"}, "spec.value", "#/training/loss/class_weights", "balanced"),
        ("training/loss", {"class_weights": {"no": 0}}, "spec.value", "#/training/loss/class_weights/no", None),
        ("traning", {}, "spec.unknown_field", "#/traning", "did you mean 'training'?"),
        ("zzz", {}, "spec.unknown_field", "#/zzz", "the fields here are answer, blending, dataset"),
        ("training/epohcs", 3, "spec.unknown_field", "#/training/epohcs", "did you mean 'epochs'?"),
        (
            "dataset/modalities/1/colums",
            [],
            "spec.unknown_field",
            "#/dataset/modalities/1/colums",
            "did you mean 'columns'?",
        ),
        ("dataset/modalities/1/columns", ..., "spec.missing_field", "#/dataset/modalities/1/columns", None),
        ("dataset", ..., "spec.missing_field", "#/dataset", "source, target, modalities, split"),
        (
            "dataset/source/type",
            ...,
            "spec.missing_field",
            "#/dataset/source/type",
            "one of arrays, folder, hf_disk, manifest, webdataset",
        ),
        (
            "dataset/modalities/0/type",
            "tabluar",
            "spec.value",
            "#/dataset/modalities/0/type",
            "did you mean 'tabular'?",
        ),
        (
            "dataset/modalities/0",
            {"name": "a", "type": "text", "column": "colour", "encoder": {"type": "transformers", "hub": "acme/bert"}},
            "spec.value",
            "#/dataset/modalities/0/encoder/revision",
            None,
        ),
        (
            "dataset/modalities/0/missing",
            "masked",
            "spec.value",
            "#/dataset/modalities/0/missing",
            "did you mean 'mask'?",
        ),
        (
            "dataset/modalities/0",
            {"name": "a", "type": "timeseries", "column": "height", "shape": [4, 1], "augment": {"jitter": 1.5}},
            "spec.value",
            "#/dataset/modalities/0/augment/jitter",
            "Standard deviation of the noise that is added",
        ),
        (
            "dataset/modalities/0",
            {"name": "a", "type": "image", "column": "height", "augment": {"rotat": 10}},
            "spec.unknown_field",
            "#/dataset/modalities/0/augment/rotat",
            "did you mean 'rotate'?",
        ),
        (
            "dataset/modalities/0",
            {
                "name": "a",
                "type": "audio",
                "column": "height",
                "preprocess": {"standardise": "none"},
                "augment": {"time_masks": 1},
            },
            "spec.value",
            "#/dataset/modalities/0/augment/time_masks",
            None,
        ),
        ("blending", {"strategy": "onlin"}, "spec.value", "#/blending/strategy", "did you mean 'online'?"),
        (
            "blending",
            {"strategy": "unimodal", "modality": "smell"},
            "spec.value",
            "#/blending/modality",
            None,
        ),
        ("model/fusion", "sum", "spec.value", "#/model/fusion", "one of concat"),
        ("model", {"fusion": "nl_gate", "hiden": 1}, "spec.unknown_field", "#/model/hiden", "did you mean 'hidden'?"),
        ("answer", "fusd", "spec.value", "#/answer", "did you mean 'fused'?"),
        ("training/epochs", False, "spec.type", "#/training/epochs", None),
        ("training/epochs", "12", "spec.type", "#/training/epochs", None),
        ("training/epochs", 0, "spec.value", "#/training/epochs", None),
        ("training", [], "spec.type", "#/training", "How long and with what every strategy trains."),
        ("dataset/modalities", {}, "spec.type", "#/dataset/modalities", None),
        (
            "dataset/split",
            {"stratify_by": 3, "method": "draw"},
            "spec.value",
            "#/dataset/split/stratify_by",
            "A column",
        ),
        ("metadata", {"a/b~c d": 1}, "spec.type", "#/metadata/a~1b~0c%20d", None),
        ("metadata", {"": "x"}, "spec.value", "#/metadata/", None),
        ("holdout/fraction", 1e400, "spec.value", "#/holdout/fraction", None),
    ],
)
def test_a_wrong_spec_names_the_place(
    api: LiveApi, path: str, value: Any, code: str, pointer: str, hint: str | None
) -> None:
    content = httpx.Request("POST", "http://x", json=_changed(path, 17 if value == 1e400 else value)).content
    if value == 1e400:
        content = content.replace(b"17", b"1e400")
    response = api.client.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"})
    body = assert_problem(response, 422, "spec.invalid")
    assert body["detail"] == "the job spec has 1 problem; nothing was created"
    (error,) = body["errors"]
    assert (error["code"], error["pointer"]) == (code, pointer)
    assert error["detail"]
    if hint is not None:
        assert hint in error["hint"]


def test_all_that_is_wrong_comes_in_one_answer(api: LiveApi) -> None:
    spec = _changed("training", {"epochs": 0, "batch_size": "many"})
    spec["dataset"]["modalities"][0]["nam"] = "x"
    spec["dataset"]["target"] = {}
    body = assert_problem(api.client.post("/v1/jobs", json=spec), 422, "spec.invalid")
    assert [error["pointer"] for error in body["errors"]] == [
        "#/dataset/target/column",
        "#/dataset/modalities/0/nam",
        "#/training/epochs",
        "#/training/batch_size",
    ]
    assert "4 problems" in body["detail"]


@pytest.mark.parametrize("body", ["[]", "3", '"spec"', "null"])
def test_a_body_must_be_an_object(api: LiveApi, body: str) -> None:
    response = api.client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    problem = assert_problem(response, 422, "spec.invalid")
    assert problem["errors"][0]["pointer"] == "#"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"  ", "empty"),
        (b"{", "line 1, column 2"),
        (b'{"seed": NaN}', "NaN"),
        (b'{"seed": -Infinity}', "-Infinity"),
        (b'{"seed": 1, "seed": 2}', '"seed" appears twice'),
        (b'{"seed": 1' + b"0" * 5000 + b"}", "not JSON"),
        (b'{"name": "\xff"}', "not UTF-8 at byte 10"),
        (b'{"name": "a\\u0000b"}', "character that no text may have"),
        (b'{"metadata": {"\\ud800": "x"}}', "character that no text may have"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_body_must_be_json(api: LiveApi, content: bytes, said: str) -> None:
    response = api.client.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"})
    assert said in assert_problem(response, 400, "request.malformed_json")["detail"]


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_a_body_must_be_declared_as_json(api: LiveApi, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    response = api.client.post("/v1/jobs", content=b"{}", headers=headers)
    assert_problem(response, 415, "request.media_type")
    assert response.headers["accept"] == "application/json"


def test_a_charset_does_no_harm(api: LiveApi) -> None:
    content = httpx.Request("POST", "http://x", json=toy_spec()).content
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert api.client.post("/v1/jobs", content=content, headers=headers).status_code == 201


def _chunks() -> Iterator[bytes]:
    yield from [b'{"name": "', *([b"x" * 65536] * 20), b'"}']


def test_a_body_may_not_be_huge(api: LiveApi) -> None:
    headers = {"Content-Type": "application/json"}
    declared = api.client.post("/v1/jobs", content=b"x" * (1_048_576 + 1), headers=headers)
    assert_problem(declared, 413, "request.too_large")
    chunked = api.client.post("/v1/jobs", content=_chunks(), headers=headers)
    assert_problem(chunked, 413, "request.too_large")


@pytest.mark.parametrize("path", ["/nope", "/v1", "/v1/", "/v1/jobs/", "/v1/jobs/job_1/nope", "/v2/jobs", "/redoc"])
def test_an_unknown_path_is_a_problem_too(api: LiveApi, path: str) -> None:
    assert_problem(api.client.get(path), 404, "route.not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/v1/jobs", "GET, POST"),
        ("PUT", "/v1/jobs/job_1", "DELETE, GET"),
        ("GET", "/v1/jobs/job_1/cancel", "POST"),
        ("POST", "/v1/datasets/ds_1/samples", "GET"),
        ("DELETE", "/v1/datasets/ds_1/samples/0/image/preview", "GET"),
        ("POST", "/healthz", "GET"),
        ("OPTIONS", "/v1/jobs", "GET, POST"),
    ],
)
def test_an_unknown_method_says_which_are_allowed(api: LiveApi, method: str, path: str, allow: str) -> None:
    response = api.client.request(method, path)
    assert_problem(response, 405, "request.method_not_allowed")
    assert ", ".join(sorted(response.headers["allow"].split(", "))) == allow


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/jobs?limit=0", "limit"),
        ("/v1/jobs?limit=many", "limit"),
        ("/v1/jobs?status=done", "status"),
        ("/v1/jobs?after=%00", "after"),
        ("/v1/jobs/{id}/events?after=-1", "after"),
        ("/v1/jobs/{id}/events?after=99999999999999999999", "after"),
        ("/v1/jobs/{id}/events?type=%00", "type"),
        ("/v1/jobs/{id}/super-epochs?after=x", "after"),
        ("/v1/jobs/{id}/metrics?metric=f1", "metric"),
        ("/v1/jobs/{id}/metrics?max_points=0", "max_points"),
        ("/v1/jobs/{id}/super-epochs?max_points=1001", "max_points"),
        ("/v1/jobs/{id}/metrics?after=7", "after"),
        ("/v1/jobs/{id}/metrics?head=%00", "head"),
        ("/v1/jobs/{id}/events/stream?after=x", "after"),
    ],
)
def test_a_wrong_parameter_is_named(api: LiveApi, path: str, name: str) -> None:
    response = api.client.get(path.format(id=api.submit()["id"]))
    body = assert_problem(response, 422, "request.invalid")
    (error,) = body["errors"]
    assert (error["code"], error["parameter"]) == ("request.parameter", name)
    assert "pointer" not in error


@pytest.mark.parametrize(
    ("path", "value", "pointer", "hint"),
    [
        ("dataset/target/column", "lable", "#/dataset/target/column", "label"),
        ("dataset/modalities/0/columns/0/name", "hight", "#/dataset/modalities/0/columns/0/name", "height"),
        ("dataset/source/uri", "data://../secret.csv", "#/dataset/source/uri", None),
        ("dataset/source/uri", "file:///etc/passwd", "#/dataset/source/uri", None),
        ("dataset/source/uri", "data://toy/nope.csv", "#/dataset/source/uri", None),
    ],
)
def test_data_that_do_not_fit_are_named(api: LiveApi, path: str, value: str, pointer: str, hint: str | None) -> None:
    body = assert_problem(api.client.post("/v1/jobs", json=_changed(path, value)), 422, "spec.invalid")
    error = next(error for error in body["errors"] if error["pointer"] == pointer)
    assert error["code"]
    if hint is not None:
        assert hint in error["hint"]


@pytest.mark.parametrize(
    ("manifest", "pointer"),
    [
        ("", "#/dataset/source/uri"),
        ("id,height,colour,weight,label\n", "#/dataset/source/uri"),
        (
            "id,height,colour,weight,label\n" + "\n".join(f"s{n},1.{n},{n},{n},yes" for n in range(20)),
            "#/dataset/target",
        ),
    ],
)
def test_a_manifest_that_cannot_be_trained_on_is_refused(start: Start, manifest: str, pointer: str) -> None:
    with start() as api:
        (api.settings.data_roots["data"] / "toy" / "manifest.csv").write_text(manifest)
        body = assert_problem(api.client.post("/v1/jobs", json=toy_spec()), 422, "spec.invalid")
        assert any(error["pointer"].startswith(pointer) for error in body["errors"]), body["errors"]
        assert api.client.get("/v1/jobs").json()["data"] == []
        assert api.client.get("/readyz").status_code == 200


def test_a_sane_request_id_comes_back(api: LiveApi) -> None:
    assert api.client.get("/healthz", headers={"X-Request-ID": "abc.DEF-1_2"}).headers["x-request-id"] == "abc.DEF-1_2"
    for strange in ("a b", "x" * 129, '"', "a\tb"):
        answered = api.client.get("/healthz", headers={"X-Request-ID": strange}).headers["x-request-id"]
        assert answered.startswith("req_")


def test_a_failure_of_the_server_tells_nothing_but_its_id(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    with start() as api, caplog.at_level(logging.ERROR):
        with api.database.write() as session:
            session.execute(text("DROP TABLE metric"))
        job = api.submit()
        response = api.client.get(f"/v1/jobs/{job['id']}/metrics", headers={"X-Request-ID": "find-me"})
        body = assert_problem(response, 500, "internal")
        assert "metric" not in body["detail"]
        assert "Traceback" not in response.text
        record = next(record for record in caplog.records if record.message == "request failed")
        assert record.exc_info is not None
        assert api.client.get("/healthz").status_code == 200
