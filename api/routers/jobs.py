"""Jobs: submit, look, cancel."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query, Request
from starlette.responses import Response

from api.conditional import answer, created
from api.deps import AfterId, IdempotencyKey, IfNoneMatch, JobIdDep, LimitDep, ProjectDep, ServicesDep
from api.examples import JOB_SPECS
from api.openapi import NOT_MODIFIED, POLLED_HEADERS, problems
from api.registered import RegisteredDataRoute
from api.schemas import JobOut, ListOut, ProblemError, ValidationOut
from api.services import Services
from api.submission import digest, find_issues, find_queue_issues, refuse_errors
from core.errors import Issue
from core.jobs.state import JobStatus
from core.jobs.views import JobView
from core.spec import JobSpec

router = APIRouter(tags=["jobs"], route_class=RegisteredDataRoute)


@router.post(
    "/jobs",
    operation_id="create_job",
    summary="Submit a job",
    status_code=201,
    response_model=JobOut,
    responses={
        **problems(400, 409, 413, 415, 422, 429),
        200: {"model": ValidationOut, "description": "With `validate_only`: what a submission would say"},
        201: {
            "description": "The job; also for a repeated `Idempotency-Key`",
            "headers": {"Location": {"description": "The job's own address", "schema": {"type": "string"}}},
        },
    },
)
def create_job(
    request: Request,
    spec: Annotated[JobSpec, Body(openapi_examples=JOB_SPECS)],
    services: ServicesDep,
    project: ProjectDep,
    idempotency_key: IdempotencyKey = None,
    validate_only: Annotated[bool, Query(description="Check spec and data; create nothing.")] = False,
) -> Response:
    """The body is the job spec. Its columns, paths and splits are checked against the data before anything is created;
    everything that is wrong comes in one answer."""
    if validate_only:
        return answer(request, _validation(spec, _issues(spec, services)))
    if idempotency_key is not None:
        # Before the data are looked at: the same key and body have the same answer, whatever became of the files.
        earlier = services.jobs.replay(idempotency_key, project=project, body_digest=digest(spec))
        if earlier is not None:
            return created_job(request, earlier, replayed=True)
    issues = _issues(spec, services)
    refuse_errors(issues, "job spec and its data")
    job, is_new = services.jobs.submit(
        spec, project=project, idempotency_key=idempotency_key, body_digest=digest(spec), warnings=issues
    )
    return created_job(request, job, replayed=not is_new)


@router.get(
    "/jobs",
    operation_id="list_jobs",
    summary="List jobs, newest first",
    response_model=ListOut[JobOut],
    responses={**problems(422), **NOT_MODIFIED, 200: {"headers": {"ETag": POLLED_HEADERS["ETag"]}}},
)
def list_jobs(
    request: Request,
    services: ServicesDep,
    project: ProjectDep,
    limit: LimitDep,
    if_none_match: IfNoneMatch = None,
    after: AfterId = None,
    status: Annotated[JobStatus | None, Query(description="Only jobs in this state.")] = None,
) -> Response:
    """Every job of the project, with its resolved spec."""
    page = services.jobs.list_jobs(project=project, after=after, limit=limit, status=status)
    data = [JobOut.of(view) for view in page.data]
    return answer(request, ListOut[JobOut](data=data, has_more=page.has_more, next_after=page.next_after))


@router.get(
    "/jobs/{job_id}",
    operation_id="get_job",
    summary="Look at a job",
    response_model=JobOut,
    responses={**problems(404, 422), **NOT_MODIFIED, 200: {"headers": POLLED_HEADERS}},
)
def get_job(
    request: Request, job_id: JobIdDep, services: ServicesDep, project: ProjectDep, if_none_match: IfNoneMatch = None
) -> Response:
    """The job as it stands. Poll it with `If-None-Match`, not faster than `Retry-After` says; or follow its stream."""
    view = services.jobs.get(job_id, project=project)
    return answer(request, JobOut.of(view), settled=view.status.is_terminal)


@router.post(
    "/jobs/{job_id}/cancel",
    operation_id="cancel_job",
    summary="Stop a job",
    status_code=202,
    response_model=JobOut,
    responses=problems(404, 409, 422),
)
def cancel_job(request: Request, job_id: JobIdDep, services: ServicesDep, project: ProjectDep) -> Response:
    """A job that waits is cancelled at once; one that runs is `cancelling` until its process is gone. Doing it twice is
    fine; a job that has ended answers 409."""
    view = services.jobs.cancel(job_id, project=project)
    return answer(request, JobOut.of(view), settled=view.status.is_terminal, status=202)


def _issues(spec: JobSpec, services: Services) -> tuple[Issue, ...]:
    issues = find_issues(spec, services.settings.data_roots, allow_hub=services.settings.features.allow_hub)
    if any(issue.severity == "error" for issue in issues):  # it will not wait for a worker
        return issues
    return (*issues, *find_queue_issues(spec, services.workers.served_queues()))


def _validation(spec: JobSpec, issues: tuple[Issue, ...]) -> ValidationOut:
    errors, warnings = ProblemError.by_severity(issues)
    return ValidationOut(
        valid=not errors,
        errors=errors,
        warnings=warnings,
        spec=spec.resolved(),
        spec_fingerprint=spec.fingerprint(),
    )


def created_job(request: Request, job: JobView, *, replayed: bool) -> Response:
    """The answer that names a new job, or the one that an idempotency key made before."""
    location = request.app.url_path_for("get_job", job_id=job.id)
    return created(request, JobOut.of(job), location, replayed=replayed, settled=job.status.is_terminal)
