"""The OpenAPI document: FastAPI's own, plus what it cannot know: that every error is a problem."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import title_of
from api.schemas.problem import MEDIA_TYPE, Problem, ProblemError

Responses = dict[int | str, dict[str, Any]]

_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
DESCRIPTION = """\
Train multimodal classifiers with Gradient-Blending (Wang, Tran and Feiszli, CVPR 2020) and watch why each modality gets
the weight it gets. Errors are `application/problem+json` (RFC 9457) with a stable `code`; lists page by `after`.
"""


def problems(*statuses: int) -> Responses:
    """Declares error answers of a route, in the one form that they have."""
    declared: Responses = {status: {"description": title_of(status), "content": _PROBLEM} for status in statuses}
    declared["default"] = {"description": "Any other error", "content": _PROBLEM}
    return declared


NOT_MODIFIED: Responses = {304: {"description": "The answer that `If-None-Match` names still holds"}}

POLLED_HEADERS: dict[str, Any] = {
    "ETag": {"description": "Strong; send it back as `If-None-Match`", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "Seconds to wait before asking again; only while it has not ended",
        "schema": {"type": "integer"},
    },
}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of `app`, built once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            tags=app.openapi_tags,
            routes=app.routes,
        )
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for model in (Problem, ProblemError):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
            schema.pop("$defs", None)
            schemas[model.__name__] = schema
        app.openapi_schema = made
    return app.openapi_schema
