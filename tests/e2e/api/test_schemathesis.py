"""Generated requests against the OpenAPI document: no 5xx, and every answer is as declared.

Few examples and a fixed seed: this finds carelessness, not races. The stream is left out: it does not end by itself.
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
from tests.e2e.api.live import LiveApi

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


schema = schemathesis.openapi.from_dict(create_app(Settings(state_dir=Path("unused"))).openapi()).exclude(
    operation_id="stream_events"
)


@pytest.fixture(scope="session")
def a_finished_job(shared_api: LiveApi, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A job with every kind of history."""
    return shared_api.finished(tmp_path_factory.mktemp("finished"))


@schema.parametrize()
@BOUNDED
def test_any_request_is_answered_as_declared(case: schemathesis.Case, shared_api: LiveApi) -> None:
    case.call_and_validate(base_url=shared_api.url, checks=CHECKS)


@schema.include(path_regex="job_id").parametrize()
@BOUNDED
def test_any_question_about_a_job_is_answered_as_declared(
    case: schemathesis.Case, shared_api: LiveApi, a_finished_job: str
) -> None:
    case.path_parameters["job_id"] = a_finished_job
    if "name" in case.path_parameters:
        case.path_parameters["name"] = "model.bin"
    case.call_and_validate(base_url=shared_api.url, checks=CHECKS)
