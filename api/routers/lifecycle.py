"""What a job's owner can do with it beside cancelling: pause, resume, retry, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from api.conditional import answer
from api.deps import IdempotencyKey, JobIdDep, ProjectDep, ServicesDep
from api.openapi import problems
from api.routers.jobs import created_job
from api.schemas import JobOut, RetryIn
from api.strict_json import StrictJsonRoute
from core.jobs.views import JobView

router = APIRouter(tags=["jobs"], route_class=StrictJsonRoute)


@router.post(
    "/jobs/{job_id}/pause",
    operation_id="pause_job",
    summary="Stop a job for now",
    status_code=202,
    response_model=JobOut,
    responses=problems(404, 409, 422),
)
def pause_job(request: Request, job_id: JobIdDep, services: ServicesDep, project: ProjectDep) -> Response:
    """A job that waits is `paused` at once; one that runs is `pausing` until its process has written a checkpoint and
    is gone. Doing it twice is fine; a job that is being cancelled or has ended answers 409."""
    return _accepted(request, services.lifecycle.pause(job_id, project=project))


@router.post(
    "/jobs/{job_id}/resume",
    operation_id="resume_job",
    summary="Let a paused job go on",
    status_code=202,
    response_model=JobOut,
    responses=problems(404, 409, 422),
)
def resume_job(request: Request, job_id: JobIdDep, services: ServicesDep, project: ProjectDep) -> Response:
    """A paused job waits for a worker again and goes on from its last checkpoint; its history is that of a job that was
    never paused. One that is still `pausing` is `starting` again. One that is not paused stays as it is; one that is
    being cancelled or has ended answers 409."""
    return _accepted(request, services.lifecycle.resume(job_id, project=project))


@router.post(
    "/jobs/{job_id}/retry",
    operation_id="retry_job",
    summary="Try a failed job again",
    status_code=201,
    response_model=JobOut,
    responses={
        **problems(400, 404, 409, 413, 415, 422, 429),
        201: {
            "description": "The new job; also for a repeated `Idempotency-Key`",
            "headers": {"Location": {"description": "The new job's own address", "schema": {"type": "string"}}},
        },
    },
)
def retry_job(
    request: Request,
    job_id: JobIdDep,
    services: ServicesDep,
    project: ProjectDep,
    body: Annotated[RetryIn | None, Body()] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A new job with the spec of one that failed or was cancelled. It goes on from the old one's last checkpoint, and
    its event log is whole from the start. The old job stays as it is; `retry_of` names it. The body may be left out."""
    view, is_new = services.lifecycle.retry(
        job_id,
        project=project,
        scheduling=None if body is None else body.scheduling.model_dump(mode="json", exclude_unset=True),
        idempotency_key=idempotency_key,
    )
    return created_job(request, view, replayed=not is_new)


@router.delete(
    "/jobs/{job_id}",
    operation_id="delete_job",
    summary="Delete a job",
    status_code=204,
    response_class=Response,
    responses=problems(404, 409, 422),
)
def delete_job(job_id: JobIdDep, services: ServicesDep, project: ProjectDep) -> Response:
    """Only what has ended can be deleted. It is gone at once for everybody; its events, artifacts, checkpoints and logs
    are removed soon after. A job of an experiment answers 409: the experiment is deleted as a whole."""
    services.lifecycle.delete(job_id, project=project)
    return Response(status_code=204)


def _accepted(request: Request, view: JobView) -> Response:
    return answer(request, JobOut.of(view), settled=view.status.is_terminal, status=202)
