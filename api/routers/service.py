"""About the service itself: alive, ready, where things are."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from api.deps import ServicesDep
from api.openapi import problems
from api.problems import RETRY_AFTER_SECONDS, problem
from api.reference import reference_page
from api.schemas import HealthOut, ReadyOut

router = APIRouter(tags=["service"])


@router.get("/healthz", operation_id="healthz", summary="Is the process alive?", responses=problems())
async def healthz() -> HealthOut:
    """Looks at nothing but itself: restart the process when this stops answering."""
    return HealthOut()


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Can it take a job?",
    response_model=ReadyOut,
    responses=problems(503),
)
def readyz(request: Request, services: ServicesDep) -> ReadyOut | Response:
    """Database in reach, schema at the newest revision, broker in reach; a 503 says which is not."""
    failures = services.readiness.failures()
    if failures:
        return problem(
            request,
            503,
            code="not_ready",
            detail=f"not ready: {', '.join(failure.code.removeprefix('not_ready.') for failure in failures)}",
            errors=failures,
            headers={"retry-after": str(RETRY_AFTER_SECONDS)},
        )
    return ReadyOut(checks=dict.fromkeys(services.readiness.names, "ok"))


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """The reference as one page that loads nothing from anywhere."""
    return HTMLResponse(reference_page(request.app.openapi()))
