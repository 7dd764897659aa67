"""Generated requests against the OpenAPI document: no 5xx, and every answer is as declared.

Few examples and a fixed seed: this finds carelessness, not races. The streams are left out: they do not end by
themselves.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.main import create_app
from core.settings import Settings
from tests.e2e.api.live import LiveApi, toy_spec

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
BOUNDED = settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


document = create_app(Settings(state_dir=Path("unused"))).openapi()
# Making up whole job specs takes seconds, and `create_job` does it: an experiment's job is any object here.
document["components"]["schemas"]["ExperimentSpec"]["properties"]["job"] = {"type": "object"}
schema = schemathesis.openapi.from_dict(document).exclude(operation_id=["stream_events", "stream_logs"])


@pytest.fixture(scope="session")
def a_finished_job(shared_api: LiveApi, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A job with every kind of history."""
    return shared_api.finished(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="session")
def an_experiment(shared_api: LiveApi) -> str:
    """An experiment whose jobs wait."""
    body = {"job": toy_spec(), "strategies": ["naive", "online"], "seeds": [0]}
    made: str = shared_api.client.post("/v1/experiments", json=body).json()["id"]
    return made


@schema.parametrize()
@BOUNDED
def test_any_request_is_answered_as_declared(case: schemathesis.Case, shared_api: LiveApi) -> None:
    case.call_and_validate(base_url=shared_api.url, checks=CHECKS)


@schema.include(path_regex="job_id").exclude(operation_id="delete_job").parametrize()
@BOUNDED
def test_any_question_about_a_job_is_answered_as_declared(
    case: schemathesis.Case, shared_api: LiveApi, a_finished_job: str
) -> None:
    case.path_parameters["job_id"] = a_finished_job
    if "name" in case.path_parameters:
        case.path_parameters["name"] = "model.bin"
    case.call_and_validate(base_url=shared_api.url, checks=CHECKS)


@schema.include(path_regex="experiment_id").exclude(operation_id="delete_experiment").parametrize()
@BOUNDED
def test_any_question_about_an_experiment_is_answered_as_declared(
    case: schemathesis.Case, shared_api: LiveApi, an_experiment: str
) -> None:
    case.path_parameters["experiment_id"] = an_experiment
    case.call_and_validate(base_url=shared_api.url, checks=CHECKS)
