"""Every error as a problem: which status a domain error has, and what pydantic's and Starlette's own look like.

Domain errors have codes, never statuses; this table gives them one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast, get_args

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from api.problems import RETRY_AFTER_SECONDS, problem, title_of
from api.schemas.problem import ProblemError
from api.spec_errors import body_errors, is_parameter_error, parameter_errors
from core.errors import (
    ArtifactError,
    CheckpointError,
    ConflictError,
    DataError,
    GblendError,
    IdempotencyError,
    LeaseLostError,
    LimitError,
    NotFoundError,
    SpecError,
    TrainingError,
)
from core.spec import JobSpec
from core.spec.experiment import ExperimentSpec
from core.spec.registration import DatasetRegistration

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

log = logging.getLogger(__name__)

STATUS: dict[type[GblendError], int] = {
    SpecError: 422,
    DataError: 422,
    TrainingError: 500,
    CheckpointError: 500,
    NotFoundError: 404,
    ConflictError: 409,
    LimitError: 429,
    IdempotencyError: 422,
    LeaseLostError: 409,
    ArtifactError: 500,
}
"""Status by error class, looked up along the class's ancestors."""

IN_FLIGHT = "idempotency.in_flight"
_ROOM_AFTER_SECONDS = 10
"""When a client may hope that something full has room again."""

_HTTP_CODES = {
    400: "request.malformed",
    404: "route.not_found",
    405: "request.method_not_allowed",
    413: "request.too_large",
    415: "request.media_type",
    429: "request.too_many",
}


class RequestError(HTTPException):
    """A problem that the HTTP side itself finds. (FastAPI lets only an HTTPException out of the parsing of a body.)"""

    def __init__(
        self, status: int, code: str, detail: str, *, hint: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers)
        self.code = code
        self.hint = hint


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem. What nothing here handles is `api.middleware`'s: a 500."""
    app.add_exception_handler(GblendError, _domain_error)
    app.add_exception_handler(RequestError, _request_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    # Not above: importing the application must be cheap, and SQLAlchemy takes a quarter of a second.
    from sqlalchemy.exc import DBAPIError

    app.add_exception_handler(DBAPIError, _database_error)


async def _domain_error(request: Request, raised: Exception) -> Response:
    error = cast(GblendError, raised)
    status = next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), 500)
    if status >= 500:  # not the client's doing: told as any other failure of the server, in the log only
        raise error
    headers = {}
    if error.code == IN_FLIGHT:
        status, headers = 409, {"retry-after": str(RETRY_AFTER_SECONDS)}
    if status == 429:
        headers = {"retry-after": str(_ROOM_AFTER_SECONDS)}
    return problem(
        request,
        status,
        code=error.code,
        detail=error.detail,
        hint=error.hint,
        errors=[ProblemError.of(issue) for issue in error.issues],
        headers=headers,
    )


async def _request_error(request: Request, raised: Exception) -> Response:
    error = cast(RequestError, raised)
    return problem(
        request, error.status_code, code=error.code, detail=error.detail, hint=error.hint, headers=error.headers
    )


async def _validation_error(request: Request, raised: Exception) -> Response:
    found: list[dict[str, Any]] = list(cast(RequestValidationError, raised).errors())
    about_parameters = [error for error in found if is_parameter_error(error)]
    about_body = [error for error in found if not is_parameter_error(error)]
    model = _body_model(request)
    errors = [*parameter_errors(about_parameters), *body_errors(about_body, model)]
    if not about_body:
        detail = f"the request has {_counted(len(errors))}"
        return problem(request, 422, code="request.invalid", detail=detail, errors=errors)
    what = {JobSpec: "job spec", ExperimentSpec: "experiment", DatasetRegistration: "data set"}.get(model, "body")
    detail = f"the {what} has {_counted(len(errors))}; nothing was created"
    return problem(request, 422, code="spec.invalid", detail=detail, errors=errors)


async def _http_error(request: Request, raised: Exception) -> Response:
    error = cast(HTTPException, raised)
    code = _HTTP_CODES.get(error.status_code, f"http.{error.status_code}")
    detail = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.method} is not allowed at {request.url.path}",
        413: "the request body is larger than the server takes",
    }.get(error.status_code, error.detail or title_of(error.status_code))
    headers = dict(error.headers or {})
    if error.status_code == 405:  # Starlette names the methods of the first route at this path only
        headers = {"allow": ", ".join(_methods_at(request))}
    return problem(request, error.status_code, code=code, detail=detail, headers=headers)


async def _database_error(request: Request, raised: Exception) -> Response:
    """A database that restarts is no bug of the server's: one line in its log a request, and 503 for the client."""
    from core.persistence.engine import is_outage

    error = cast("DBAPIError", raised)
    if not is_outage(error):
        raise error
    log.warning("database does not answer", extra={"path": request.url.path, "error": str(error.orig)})
    return problem(
        request,
        503,
        code="database.unavailable",
        detail="the database does not answer; whatever it has confirmed is safe",
        hint="ask again; a creation with the same Idempotency-Key creates nothing twice. /readyz says more",
        headers={"retry-after": str(RETRY_AFTER_SECONDS)},
    )


def _methods_at(request: Request) -> list[str]:
    path = request.url.path
    found: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.path is not None and compile_path(route.path)[0].match(path):
            found |= set(route.methods or ())
    return sorted(found)


def _body_model(request: Request) -> type[BaseModel]:
    """What the body of this route must be."""
    field = getattr(request.scope.get("route"), "body_field", None)
    if field is None:
        return JobSpec
    whole = field.field_info.annotation
    # `Model | None`: a body that may be left out.
    return next((cast(type[BaseModel], part) for part in get_args(whole) if part is not type(None)), whole)


def _counted(count: int) -> str:
    return "1 problem" if count == 1 else f"{count} problems"
