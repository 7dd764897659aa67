"""For Prometheus."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from api.deps import ServicesDep
from api.openapi import problems

router = APIRouter(tags=["service"])

_EXAMPLE = """\
# HELP gblend_units Units of work that have not ended
# TYPE gblend_units gauge
gblend_units{queue="default",state="ready"} 3.0
"""


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={
        **problems(),
        200: {
            "description": "The exposition: text, or OpenMetrics where `Accept` asks for it",
            "content": {
                "text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE},
                "application/openmetrics-text": {"schema": {"type": "string"}},
            },
        },
    },
)
def metrics(services: ServicesDep, accept: Annotated[str | None, Header()] = None) -> Response:
    """Queue depths, jobs, workers, lost leases and retries of the whole deployment; requests and streams of this
    process. Names and meanings are in the operations manual."""
    content, content_type = services.metrics.render(accept)
    return Response(content, headers={"content-type": content_type, "cache-control": "no-store"})
