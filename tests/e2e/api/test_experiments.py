"""Experiments over HTTP: what is refused and where, what is created, what is compared, what the report says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.api.live import LiveApi, toy_spec
from tests.e2e.api.test_bad_requests import assert_problem
from tests.integration.engine import samples


def experiment(**changes: Any) -> dict[str, Any]:
    return {"name": "toys", "job": toy_spec(), "strategies": ["naive", "online"], "seeds": [0, 1], **changes}


def submit(api: LiveApi, **changes: Any) -> dict[str, Any]:
    response = api.client.post("/v1/experiments", json=experiment(**changes))
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def train(api: LiveApi, made: dict[str, Any], accuracies: list[float]) -> None:
    for job, accuracy in zip(made["jobs"], accuracies, strict=False):
        lease = api.train(job["job_id"], epochs=2)
        api.units.succeed(lease, samples.completed().model_copy(update={"test_accuracy": accuracy}), [])


def test_an_experiment_is_created_with_its_jobs(api: LiveApi) -> None:
    response = api.client.post("/v1/experiments", json=experiment(metadata={"team": "a"}))
    assert response.status_code == 201
    made = response.json()
    assert response.headers["location"] == f"/v1/experiments/{made['id']}"
    assert response.headers["retry-after"] == "1"
    assert made["id"].startswith("exp_")
    assert (made["object"], made["name"], made["status"], made["is_terminal"]) == (
        "experiment",
        "toys",
        "queued",
        False,
    )
    assert made["counts"]["queued"] == 4
    assert made["metadata"] == {"team": "a"}
    assert made["spec"]["strategies"][0] == {
        "name": "naive",
        "description": None,
        "changes": {"blending": {"strategy": "naive"}},
    }
    assert made["spec"]["job"]["training"]["epochs"] == 20
    assert [(job["strategy"], job["seed"], job["status"]) for job in made["jobs"]] == [
        ("naive", 0, "queued"),
        ("online", 0, "queued"),
        ("naive", 1, "queued"),
        ("online", 1, "queued"),
    ]
    job = api.client.get(f"/v1/jobs/{made['jobs'][2]['job_id']}").json()
    assert (job["name"], job["seed"]) == ("toys: naive, seed 1", 1)
    assert job["spec"]["blending"] == {"strategy": "naive"}


def test_the_seeds_are_three_unless_said(api: LiveApi) -> None:
    body = experiment(strategies=["equal"])
    del body["seeds"]
    made = api.client.post("/v1/experiments", json=body).json()
    assert [job["seed"] for job in made["jobs"]] == [0, 1, 2]


STRATEGY_ERRORS = [
    ({"dataset": {}}, "spec.value", "/changes/dataset", "share data, splits, seeds and machine"),
    ({"holdout": {"fraction": 0.3}}, "spec.value", "/changes/holdout", "share data"),
    ({"seed": 3}, "spec.value", "/changes/seed", "share data"),
    ({"runtime": {}}, "spec.value", "/changes/runtime", "share data"),
    ({"trainin": {}}, "spec.unknown_field", "/changes/trainin", "there is no field"),
    ({"training": 3}, "spec.type", "/changes/training", "should be an object"),
    ({"training": {"epohcs": 3}}, "spec.unknown_field", "/changes/training/epohcs", "there is no field"),
    ({"training": {"epochs": 0}}, "spec.value", "/changes/training/epochs", "greater than or equal to 1"),
    ({"training": {"optimizer": {"type": "sdg"}}}, "spec.value", "/changes/training/optimizer/type", "must be one of"),
    ({"blending": {"policy": "papr"}}, "spec.value", "/changes/blending/policy", "policy"),
    ({"blending": {"strategy": "unimodal"}}, "spec.missing_field", "/changes/blending/modality", "is missing"),
    (
        {"blending": {"strategy": "unimodal", "modality": "smell"}},
        "spec.value",
        "/changes/blending/modality",
        "is not a modality",
    ),
    ({"answer": "fusd"}, "spec.value", "/changes/answer", "answer"),
]


@pytest.mark.parametrize(("changes", "code", "pointer", "detail"), STRATEGY_ERRORS)
def test_a_wrong_change_is_named(api: LiveApi, changes: dict[str, Any], code: str, pointer: str, detail: str) -> None:
    before = api.client.get("/v1/experiments?limit=1").json()["next_after"]
    strategies = ["naive", {"name": "mine", "changes": changes}]
    response = api.client.post("/v1/experiments", json=experiment(strategies=strategies))
    (error,) = assert_problem(response, 422, "spec.invalid")["errors"]
    assert (error["code"], error["pointer"]) == (code, f"#/strategies/1{pointer}")
    assert detail in error["detail"]
    assert api.client.get("/v1/experiments?limit=1").json()["next_after"] == before


@pytest.mark.parametrize(
    ("changes", "pointer", "detail"),
    [
        ({"strategies": []}, "#/strategies", "at least 1"),
        ({"strategies": ["naive", "onlin"]}, "#/strategies/1", "did you mean 'online'?"),
        ({"strategies": ["naive", 3]}, "#/strategies/1", "should be an object"),
        ({"strategies": ["naive", "unimodal:smell"]}, "#/strategies/1", "is not a modality"),
        ({"strategies": ["naive", {"name": "naive", "changes": {}}]}, "#/strategies/1", "occurs 2 times"),
        ({"strategies": [{"name": ""}]}, "#/strategies/0/name", "at least 1 character"),
        ({"seeds": []}, "#/seeds", "at least 1"),
        ({"seeds": [1, 2, 1]}, "#/seeds/2", "1 occurs 2 times"),
        ({"seeds": [-1]}, "#/seeds/0", "greater than or equal to 0"),
        ({"job": toy_spec(training={"epochs": 0})}, "#/job/training/epochs", "greater than or equal to 1"),
        ({"job": toy_spec(blending={"strategy": "unimodal", "modality": "x"})}, "#/job/blending/modality", "modality"),
        ({"jobb": {}}, "#/jobb", "there is no field"),
        (
            {"seeds": list(range(100)), "strategies": [{"name": f"s{n}"} for n in range(21)]},
            "#/seeds",
            "2100 jobs",
        ),
    ],
)
def test_a_wrong_experiment_names_the_place(api: LiveApi, changes: dict[str, Any], pointer: str, detail: str) -> None:
    response = api.client.post("/v1/experiments", json=experiment(**changes))
    body = assert_problem(response, 422, "spec.invalid")
    assert body["detail"].endswith("1 problem; nothing was created")
    assert "experiment" in body["detail"]
    (error,) = body["errors"]
    assert error["pointer"] == pointer
    assert detail in error["detail"]


def test_all_that_is_wrong_comes_in_one_answer_and_the_data_are_looked_at_once(api: LiveApi) -> None:
    job = toy_spec()
    job["dataset"]["target"]["column"] = "lable"
    strategies = [{"name": name, "changes": {"training": {"epochs": 0}}} for name in ("a", "b")]
    response = api.client.post("/v1/experiments", json=experiment(job=job, strategies=strategies))
    errors = assert_problem(response, 422, "spec.invalid")["errors"]
    assert [error["pointer"] for error in errors] == [
        "#/strategies/0/changes/training/epochs",
        "#/strategies/1/changes/training/epochs",
        "#/job/dataset/target/column",
    ]
    assert errors[2]["hint"] == "did you mean 'label'?"


def test_validate_only_creates_nothing(api: LiveApi) -> None:
    before = api.client.get("/v1/experiments?limit=1").json()["next_after"]
    response = api.client.post("/v1/experiments?validate_only=true", json=experiment())
    assert response.status_code == 200
    report = response.json()
    assert (report["object"], report["valid"], report["jobs"]) == ("experiment.validation", True, 4)
    bad = experiment(strategies=["unimodal:smell"])
    refused = api.client.post("/v1/experiments?validate_only=true", json=bad).json()
    assert (refused["valid"], refused["errors"][0]["pointer"]) == (False, "#/strategies/0")
    assert api.client.get("/v1/experiments?limit=1").json()["next_after"] == before


def test_the_same_key_and_body_give_the_first_experiment(api: LiveApi) -> None:
    key = {"Idempotency-Key": "experiments-1"}
    first = api.client.post("/v1/experiments", json=experiment(), headers=key)
    again = api.client.post("/v1/experiments", json=dict(reversed(experiment().items())), headers=key)
    assert again.status_code == 201
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    other = api.client.post("/v1/experiments", json=experiment(seeds=[5]), headers=key)
    assert_problem(other, 422, "idempotency.mismatch")


def test_polling_lists_and_cancelling(api: LiveApi) -> None:
    made = submit(api)
    address = f"/v1/experiments/{made['id']}"
    first = api.client.get(address)
    assert first.json() == made
    assert api.client.get(address, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    listed = api.client.get("/v1/experiments?limit=1").json()
    (newest,) = listed["data"]
    assert newest == {name: value for name, value in made.items() if name != "jobs"}
    assert listed["next_after"] == made["id"]
    stopped = api.client.post(f"{address}/cancel")
    assert stopped.status_code == 202
    assert (stopped.json()["status"], stopped.json()["counts"]["cancelled"]) == ("cancelled", 4)
    assert "retry-after" not in stopped.headers
    changed = api.client.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200
    assert changed.json()["finished_at"] is not None
    assert_problem(api.client.post(f"{address}/cancel"), 409, "experiment.state")


@pytest.mark.parametrize("path", ["", "/comparison", "/report"])
def test_what_is_not_there_is_not_found(api: LiveApi, path: str) -> None:
    for name in ("exp_nope", "a b", "x" * 65):
        assert_problem(api.client.get(f"/v1/experiments/{name}{path}"), 404, "experiment.not_found")


def test_a_comparison_grows(api: LiveApi) -> None:
    made = submit(api)
    address = f"/v1/experiments/{made['id']}/comparison"
    empty = api.client.get(address)
    assert empty.headers["retry-after"] == "1"
    assert empty.json()["strategies"][0]["test"] == dict.fromkeys(("mean", "sd", "ci_low", "ci_high")) | {"n": 0}
    assert empty.json()["strategies"][0]["cost"] is None
    train(api, made, [0.5, 0.625, 0.5625])
    found = api.client.get(address).json()
    assert found["object"] == "experiment.comparison"
    assert (found["metric"], found["reference"], found["best"], found["status"]) == (
        "accuracy",
        "naive",
        "online",
        "running",
    )
    naive, online = found["strategies"]
    assert (naive["done"], online["done"], online["planned"]) == (2, 1, 2)
    assert naive["test"]["mean"] == pytest.approx(0.53125)
    assert naive["answers"] == {"fused": 2}
    assert naive["heads"]["fused"]["mean"] == 0.5
    assert naive["cost"] == {"seconds": 1.0, "samples": 240.0, "seconds_by_phase": {"training": 1.0}}
    assert [(row["strategy"], row["minus"], row["mean"], row["pairs"]) for row in found["to_reference"]] == [
        ("online", "naive", 0.125, 1)
    ]
    turned = api.client.get(address, params={"reference": "online"}).json()
    assert [(row["strategy"], row["mean"]) for row in turned["to_reference"]] == [("naive", -0.125)]
    assert_problem(api.client.get(address, params={"reference": "x"}), 422, "reference.unknown")


def test_the_report_says_the_same_and_holds_no_markup_of_the_client(api: LiveApi, tmp_path: Path) -> None:
    evil = "<script>alert('1')</script>|`b`"
    strategies = ["naive", {"name": evil, "description": evil, "changes": {}}]
    made = submit(api, name=evil, strategies=strategies, metadata={"who": evil})
    address = f"/v1/experiments/{made['id']}/report"
    assert "Jobs still run" in api.client.get(address).text
    train(api, made, [0.5, 0.625, 0.5625, 0.75])
    page = api.client.get(address)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert api.client.get(address, headers={"If-None-Match": page.headers["etag"]}).status_code == 304
    assert "<script" not in page.text
    assert page.text.count("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;") >= 4
    assert "http" not in page.text.replace("http-equiv", "")  # it loads nothing
    assert page.text.count("<svg") == 4  # scores, cost, and the weights of the two that have an estimate
    assert "<td>68.8 ± 8.8</td>" in page.text
    text = api.client.get(address, params={"format": "md"})
    assert text.headers["content-type"] == "text/markdown; charset=utf-8"
    tables = text.text.partition("## What was run")[0]
    assert "<script" not in tables
    assert "&lt;script&gt;alert('1')&lt;/script&gt;\\|\\`b\\` (best) | 2 of 2 | 68.8 ± 8.8 |" in tables
    row = next(line for line in tables.splitlines() if "| +15.6 |" in line)
    assert row.replace("\\|", "").split(" | ")[1:] == ["+15.6", "3.1", "-24.1 to +55.3", "2", "not told apart |"]
    code = text.text.partition("every default written out:\n\n")[2].rstrip("\n").splitlines()
    assert all(line.startswith("    ") for line in code)
    assert_problem(api.client.get(address, params={"format": "pdf"}), 422, "request.invalid")
