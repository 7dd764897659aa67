"""The public surface, frozen: a change here is a change for every client."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.main import create_app
from core.settings import Settings
from core.spec.experiment import ExperimentSpec

ROUTES = [
    ("get", "/", "index"),
    ("get", "/healthz", "healthz"),
    ("get", "/metrics", "metrics"),
    ("get", "/readyz", "readyz"),
    ("get", "/v1/datasets", "list_datasets"),
    ("post", "/v1/datasets", "register_dataset"),
    ("post", "/v1/datasets/infer", "infer_dataset"),
    ("post", "/v1/datasets/validate", "validate_dataset"),
    ("delete", "/v1/datasets/{dataset_id}", "delete_dataset"),
    ("get", "/v1/datasets/{dataset_id}", "get_dataset"),
    ("get", "/v1/datasets/{dataset_id}/samples", "list_samples"),
    ("get", "/v1/datasets/{dataset_id}/samples/{row}/{modality}/preview", "get_sample_preview"),
    ("get", "/v1/datasets/{dataset_id}/samples/{row}/{modality}/sound", "get_sample_sound"),
    ("get", "/v1/experiments", "list_experiments"),
    ("post", "/v1/experiments", "create_experiment"),
    ("delete", "/v1/experiments/{experiment_id}", "delete_experiment"),
    ("get", "/v1/experiments/{experiment_id}", "get_experiment"),
    ("post", "/v1/experiments/{experiment_id}/cancel", "cancel_experiment"),
    ("get", "/v1/experiments/{experiment_id}/comparison", "get_comparison"),
    ("get", "/v1/experiments/{experiment_id}/report", "get_report"),
    ("get", "/v1/jobs", "list_jobs"),
    ("post", "/v1/jobs", "create_job"),
    ("delete", "/v1/jobs/{job_id}", "delete_job"),
    ("get", "/v1/jobs/{job_id}", "get_job"),
    ("get", "/v1/jobs/{job_id}/artifacts", "list_artifacts"),
    ("get", "/v1/jobs/{job_id}/artifacts/{name}", "get_artifact"),
    ("post", "/v1/jobs/{job_id}/cancel", "cancel_job"),
    ("get", "/v1/jobs/{job_id}/checkpoints", "list_checkpoints"),
    ("get", "/v1/jobs/{job_id}/events", "list_events"),
    ("get", "/v1/jobs/{job_id}/events/stream", "stream_events"),
    ("get", "/v1/jobs/{job_id}/logs", "list_logs"),
    ("get", "/v1/jobs/{job_id}/logs/stream", "stream_logs"),
    ("get", "/v1/jobs/{job_id}/metrics", "list_metrics"),
    ("post", "/v1/jobs/{job_id}/pause", "pause_job"),
    ("post", "/v1/jobs/{job_id}/resume", "resume_job"),
    ("post", "/v1/jobs/{job_id}/retry", "retry_job"),
    ("get", "/v1/jobs/{job_id}/super-epochs", "list_super_epochs"),
    ("get", "/v1/workers", "list_workers"),
    ("get", "/v1/workers/{worker_id}", "get_worker"),
]
PROBLEM = {"schema": {"$ref": "#/components/schemas/Problem"}}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The OpenAPI document; making it starts nothing."""
    return create_app(Settings(state_dir=tmp_path_factory.mktemp("none"))).openapi()


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, op) for path, item in document["paths"].items() for method, op in item.items()]


def test_the_routes_are_these(document: dict[str, Any]) -> None:
    found = [(method, path, operation["operationId"]) for method, path, operation in _operations(document)]
    assert sorted(found, key=lambda route: (route[1], route[0])) == ROUTES


def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    for method, path, operation in _operations(document):
        assert "default" in operation["responses"], (method, path)
        for status, response in operation["responses"].items():
            if status == "default" or status >= "400":
                assert response["content"] == {"application/problem+json": PROBLEM}, (method, path, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_operation_field_and_parameter_is_described(document: dict[str, Any]) -> None:
    for method, path, operation in _operations(document):
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)
    answers = ("JobOut", "EventOut", "SuperEpochOut", "MetricOut", "ArtifactOut", "CheckpointOut", "ExperimentOut")
    bodies = ("RetryIn", "Scheduling", "JobSpec", "ExperimentSpec", "Strategy", "Changes")
    for name in (*answers, "ComparisonOut", "WorkerOut", "SampleOut", "SampleListOut", "Problem", *bodies):
        assert document["components"]["schemas"][name]["description"], name


def test_the_body_of_a_submission_is_the_job_spec(document: dict[str, Any]) -> None:
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]
    assert list(body) == ["application/json"]
    assert body["application/json"]["schema"] == {"$ref": "#/components/schemas/JobSpec"}
    assert set(body["application/json"]["examples"]) == {"online", "uni-modal"}


def test_the_body_of_an_experiment_is_the_experiment_spec(document: dict[str, Any]) -> None:
    body = document["paths"]["/v1/experiments"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/ExperimentSpec"}
    strategies = document["components"]["schemas"]["ExperimentSpec"]["properties"]["strategies"]
    assert strategies["items"]["anyOf"] == [{"$ref": "#/components/schemas/Strategy"}, {"type": "string"}]
    for example in body["examples"].values():
        assert ExperimentSpec.model_validate(example["value"]).variants()


def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                assert node["$ref"].removeprefix("#/components/schemas/") in schemas
            for inner in node.values():
                walk(inner)
        elif isinstance(node, list):
            for inner in node:
                walk(inner)

    walk(document)


def test_importing_the_application_is_cheap() -> None:
    """A clean process: what a request never needs is not there, and what only some need comes later."""
    program = "import api.main, sys; print(*sorted(sys.modules))"
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"api.routers.jobs", "api.routers.experiments"} <= loaded
    assert not loaded & {"jinja2"}  # only a report needs it
    assert not loaded & {"torch", "celery", "kombu", "alembic", "sqlalchemy", "psycopg", "numpy", "pyarrow", "worker"}
