"""Checkpoints that a job could go on from on any machine."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.conditional import answer
from api.deps import IfNoneMatch, JobIdDep, ProjectDep, ServicesDep
from api.openapi import NOT_MODIFIED, POLLED_HEADERS, problems
from api.schemas import CheckpointOut, ListOut

router = APIRouter(tags=["checkpoints"])


@router.get(
    "/jobs/{job_id}/checkpoints",
    operation_id="list_checkpoints",
    summary="List a job's shared checkpoints",
    response_model=ListOut[CheckpointOut],
    responses={**problems(404, 422), **NOT_MODIFIED, 200: {"headers": POLLED_HEADERS}},
)
def list_checkpoints(
    request: Request, job_id: JobIdDep, services: ServicesDep, project: ProjectDep, if_none_match: IfNoneMatch = None
) -> Response:
    """The newest first, two at most: those that workers put into the artifact store. A job that succeeded has none
    left; one that failed or was cancelled keeps them. What a worker has on its own disk alone is not known here: the
    list is empty where checkpoints are not shared (`GBLEND_ENGINE__SHARE_CHECKPOINTS`; `auto` shares them unless the
    store is a local folder)."""
    job = services.jobs.get(job_id, project=project)
    page = services.checkpoints.page(job_id, project=project)
    data = [CheckpointOut.of(checkpoint) for checkpoint in page.data]
    listed = ListOut[CheckpointOut](data=data, has_more=page.has_more, next_after=page.next_after)
    return answer(request, listed, settled=job.status.is_terminal)
