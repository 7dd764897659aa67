"""Data sets over HTTP: what is told of them, what is registered, and that jobs and experiments can name one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.api.live import LiveApi, toy_spec
from tests.e2e.api.test_bad_requests import assert_problem


def registration(**changes: Any) -> dict[str, Any]:
    return {"name": "toys", "dataset": toy_spec()["dataset"], **changes}


def of(dataset: dict[str, Any]) -> dict[str, Any]:
    return registration(dataset={**toy_spec()["dataset"], **dataset})


def register(api: LiveApi, **changes: Any) -> dict[str, Any]:
    response = api.client.post("/v1/datasets", json=registration(**changes))
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


# looking


def test_a_look_tells_what_there_is(api: LiveApi) -> None:
    response = api.client.post("/v1/datasets/validate", json=registration())
    assert response.status_code == 200, response.text
    found = response.json()
    assert (found["object"], found["valid"], found["errors"]) == ("dataset.validation", True, [])
    assert found["fingerprint"].startswith("sha256:")
    assert found["spec"]["holdout"] == {"fraction": 0.15, "group_by": None, "seed": None}
    statistics = found["statistics"]
    assert statistics["rows"] == sum(part["rows"] for part in statistics["parts"])
    assert [part["name"] for part in statistics["parts"]] == ["train", "holdout", "validation", "test"]
    assert statistics["target"]["class_count"] == len(statistics["target"]["classes"]) == 2
    size, look = statistics["modalities"]
    assert (size["name"], size["type"], size["missing"], size["files"]) == ("size", "tabular", 0, None)
    assert size["columns"][0]["spread"]["count"] == statistics["rows"]
    assert [column["type"] for column in look["columns"]] == ["category", "number"]


def test_all_that_is_wrong_comes_at_once_with_the_statistics_of_the_rest(api: LiveApi) -> None:
    body = of({"target": {"column": "lable"}, "sample_id": "idd"})
    found = api.client.post("/v1/datasets/validate", json=body).json()
    assert not found["valid"]
    assert [(error["code"], error["pointer"], error["hint"]) for error in found["errors"]] == [
        ("column.missing", "#/dataset/target/column", "did you mean 'label'?"),
        ("column.missing", "#/dataset/sample_id", "did you mean 'id'?"),
    ]
    assert found["fingerprint"] is None
    assert found["statistics"]["target"] is None
    assert [modality["name"] for modality in found["statistics"]["modalities"]] == ["size", "look"]


def test_a_source_that_is_not_there_has_no_statistics(api: LiveApi) -> None:
    found = api.client.post(
        "/v1/datasets/validate", json=of({"source": {"type": "manifest", "uri": "data://nothing.csv"}})
    ).json()
    assert [error["code"] for error in found["errors"]] == ["source.not_found"]
    assert found["statistics"] is None


def test_a_body_that_is_no_registration_is_refused_as_anywhere(api: LiveApi) -> None:
    body = assert_problem(api.client.post("/v1/datasets/validate", json=registration(blending={})), 422, "spec.invalid")
    assert body["detail"] == "the data set has 1 problem; nothing was created"
    assert [(error["code"], error["pointer"]) for error in body["errors"]] == [("spec.unknown_field", "#/blending")]
    assert_problem(api.client.post("/v1/datasets/validate", content=b"{"), 415, "request.media_type")


# guessing


def test_a_guess_is_a_spec_that_can_be_submitted(api: LiveApi) -> None:
    response = api.client.post("/v1/datasets/infer", json={"uri": "data://toy/manifest.csv"})
    assert response.status_code == 200, response.text
    found = response.json()
    assert (found["object"], found["rows"], found["holdout"]) == ("dataset.inference", 40, {})
    assert found["dataset"]["target"] == {"column": "label", "type": "binary"}
    assert found["dataset"]["sample_id"] == "id"
    assert found["missing"] == ["modalities: gblend blends two or more; one was found"]
    assert found["notes"]["#/dataset/modalities/0"] == "columns: 3 number, 0 category"


def test_nothing_to_guess_from(api: LiveApi) -> None:
    for body, code, pointer in (
        ({"uri": "data://toy/nothing.csv"}, "source.not_found", "#/uri"),
        ({"uri": "data://../x.csv"}, "source.forbidden", "#/uri"),
        ({"uri": "data://toy/manifest.csv", "target": "lable"}, "column.missing", "#/target"),
        ({"url": "data://toy/manifest.csv"}, "spec.missing_field", "#/uri"),
    ):
        told = assert_problem(api.client.post("/v1/datasets/infer", json=body), 422, "spec.invalid")
        assert (code, pointer) in [(error["code"], error["pointer"]) for error in told["errors"]]


# registering


def test_a_data_set_is_registered_looked_up_listed_and_forgotten(api: LiveApi) -> None:
    response = api.client.post("/v1/datasets", json=registration(metadata={"team": "a"}, seed=3))
    assert response.status_code == 201, response.text
    made = response.json()
    assert made["id"].startswith("ds_")
    assert response.headers["location"] == f"/v1/datasets/{made['id']}"
    assert (made["object"], made["name"], made["project"], made["metadata"]) == (
        "dataset",
        "toys",
        "default",
        {"team": "a"},
    )
    assert made["spec"]["seed"] == 3
    assert made["spec"]["dataset"]["split"]["method"] == "draw"
    assert made["statistics"]["target"]["class_count"] == 2
    assert made["warnings"] == []

    again = api.client.get(f"/v1/datasets/{made['id']}")
    assert again.json() == made
    assert (
        api.client.get(f"/v1/datasets/{made['id']}", headers={"if-none-match": again.headers["etag"]}).status_code
        == 304
    )
    newest = api.client.get("/v1/datasets", params={"limit": 1}).json()
    assert [each["id"] for each in newest["data"]] == [made["id"]]

    assert api.client.delete(f"/v1/datasets/{made['id']}").status_code == 204
    assert_problem(api.client.get(f"/v1/datasets/{made['id']}"), 404, "dataset.not_found")
    assert_problem(api.client.delete(f"/v1/datasets/{made['id']}"), 404, "dataset.not_found")


def test_pages_lead_through_all_of_them(api: LiveApi) -> None:
    ids = [register(api, name=f"page {k}")["id"] for k in range(3)]
    first = api.client.get("/v1/datasets", params={"limit": 2}).json()
    assert [each["id"] for each in first["data"]] == [ids[2], ids[1]]
    assert first["has_more"]
    second = api.client.get("/v1/datasets", params={"limit": 2, "after": first["next_after"]}).json()
    assert second["data"][0]["id"] == ids[0]


def test_what_is_wrong_is_not_registered(api: LiveApi) -> None:
    before = api.client.get("/v1/datasets").json()["data"]
    response = api.client.post("/v1/datasets", json=of({"target": {"column": "lable"}}))
    body = assert_problem(response, 422, "spec.invalid")
    assert body["detail"] == "the data set and its files have 1 problem; nothing was created"
    assert [error["pointer"] for error in body["errors"]] == ["#/dataset/target/column"]
    assert api.client.get("/v1/datasets").json()["data"] == before


def test_a_repeated_key_registers_once(api: LiveApi) -> None:
    key = {"idempotency-key": "once-for-this-data-set"}
    first = api.client.post("/v1/datasets", json=registration(), headers=key)
    second = api.client.post("/v1/datasets", json=registration(), headers=key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert_problem(
        api.client.post("/v1/datasets", json=registration(name="other"), headers=key), 422, "idempotency.mismatch"
    )


def test_an_id_that_can_be_none_is_not_found(api: LiveApi) -> None:
    assert_problem(api.client.get("/v1/datasets/ds_%00"), 404, "dataset.not_found")
    assert_problem(api.client.get(f"/v1/datasets/{'x' * 65}"), 404, "dataset.not_found")


# in jobs


def test_a_job_can_name_a_data_set(api: LiveApi) -> None:
    dataset = register(api, holdout={"fraction": 0.25})
    spec = toy_spec(dataset=dataset["id"])
    job = api.client.post("/v1/jobs", json=spec)
    assert job.status_code == 201, job.text
    assert job.json()["spec"]["dataset"] == dataset["spec"]["dataset"]
    assert job.json()["spec"]["holdout"]["fraction"] == 0.25
    whole = api.client.post("/v1/jobs", json=toy_spec(holdout={"fraction": 0.25})).json()
    assert whole["spec_fingerprint"] == job.json()["spec_fingerprint"]


def test_a_job_may_draw_v_in_its_own_way(api: LiveApi) -> None:
    dataset = register(api, holdout={"fraction": 0.25})
    spec = toy_spec(dataset=dataset["id"], holdout={"fraction": 0.4})
    assert api.client.post("/v1/jobs", json=spec).json()["spec"]["holdout"]["fraction"] == 0.4


def test_an_experiment_can_name_a_data_set(api: LiveApi) -> None:
    dataset = register(api, holdout={"fraction": 0.25})
    body = {"job": toy_spec(dataset=dataset["id"]), "strategies": ["naive", "online"], "seeds": [0]}
    made = api.client.post("/v1/experiments", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["spec"]["job"]["dataset"] == dataset["spec"]["dataset"]
    assert made.json()["spec"]["job"]["holdout"]["fraction"] == 0.25


def test_a_data_set_that_is_not_registered_is_told_at_its_place(api: LiveApi) -> None:
    for path, body, pointer in (
        ("/v1/jobs", toy_spec(dataset="ds_01NOSUCH"), "#/dataset"),
        ("/v1/jobs", toy_spec(dataset="no id at all"), "#/dataset"),
        ("/v1/experiments", {"job": toy_spec(dataset="ds_01NOSUCH"), "strategies": ["naive"]}, "#/job/dataset"),
    ):
        told = assert_problem(api.client.post(path, json=body), 422, "spec.invalid")
        assert [(error["code"], error["pointer"]) for error in told["errors"]] == [("dataset.not_found", pointer)]


def test_data_that_changed_since_are_looked_at_anew(api: LiveApi) -> None:
    folder = Path(api.settings.data_roots["data"]) / "changing"
    folder.mkdir()
    table = (folder.parent / "toy" / "manifest.csv").read_text()
    (folder / "manifest.csv").write_text(table)
    source = {"type": "manifest", "uri": "data://changing/manifest.csv"}
    dataset = register(api, dataset={**toy_spec()["dataset"], "source": source})
    (folder / "manifest.csv").write_text(table.replace("height", "hite"))
    told = assert_problem(api.client.post("/v1/jobs", json=toy_spec(dataset=dataset["id"])), 422, "spec.invalid")
    assert [(error["code"], error["pointer"]) for error in told["errors"]] == [
        ("column.missing", "#/dataset/modalities/0/columns/0/name")
    ]
