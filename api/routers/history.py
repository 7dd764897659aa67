"""What a job's training told: events, super-epochs, metrics."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.conditional import answer
from api.deps import LARGEST_SEQ, IfNoneMatch, JobIdDep, LimitDep, ProjectDep, ServicesDep
from api.openapi import NOT_MODIFIED, POLLED_HEADERS, Responses, problems
from api.schemas import EventOut, ListOut, MetricOut, SuperEpochOut
from core.events.types import MetricName
from core.jobs.downsampling import series_of, thin

router = APIRouter(tags=["history"])

_RESPONSES: Responses = {**problems(404, 422), **NOT_MODIFIED, 200: {"headers": POLLED_HEADERS}}
_HEAD = r"^[A-Za-z][A-Za-z0-9_\-]{0,62}$"


@router.get(
    "/jobs/{job_id}/events",
    operation_id="list_events",
    summary="Read a job's event log",
    response_model=ListOut[EventOut],
    responses=_RESPONSES,
)
def list_events(
    request: Request,
    job_id: JobIdDep,
    services: ServicesDep,
    project: ProjectDep,
    limit: LimitDep,
    if_none_match: IfNoneMatch = None,
    after: Annotated[int, Query(ge=0, le=LARGEST_SEQ, description="Only events with a greater `seq`.")] = 0,
    type: Annotated[
        list[Annotated[str, Query(pattern=r"^[a-z_.]{1,64}$")]] | None,
        Query(max_length=32, description="Only events of this type; may be repeated."),
    ] = None,
) -> Response:
    """Oldest first. The log only grows: `seq` counts from 1 without gaps."""
    job = services.jobs.get(job_id, project=project)
    page = services.jobs.events(job_id, project=project, after=after, limit=limit, types=type)
    data = [EventOut.of(view) for view in page.data]
    listed = ListOut[EventOut](data=data, has_more=page.has_more, next_after=page.next_after)
    return answer(request, listed, settled=job.status.is_terminal)


@router.get(
    "/jobs/{job_id}/super-epochs",
    operation_id="list_super_epochs",
    summary="Read the weights and what led to them",
    response_model=ListOut[SuperEpochOut],
    responses=_RESPONSES,
)
def list_super_epochs(
    request: Request,
    job_id: JobIdDep,
    services: ServicesDep,
    project: ProjectDep,
    limit: LimitDep,
    if_none_match: IfNoneMatch = None,
    after: Annotated[
        int | None, Query(ge=0, le=2**31 - 1, description="Only super-epochs with a greater number.")
    ] = None,
    max_points: Annotated[
        int | None,
        Query(ge=1, le=1000, description="Instead of a page: the whole history, thinned out to so many super-epochs."),
    ] = None,
) -> Response:
    """Per super-epoch and head: the weight, G, O and OGR with their standard errors, and what other policies would have
    said. Thinned out, it keeps the newest super-epoch and those at which the weights turned most."""
    job = services.jobs.get(job_id, project=project)
    page = services.jobs.super_epochs(job_id, project=project, after=after, limit=limit, max_points=max_points)
    data = [SuperEpochOut.of(view) for view in page.data]
    listed = ListOut[SuperEpochOut](data=data, has_more=page.has_more, next_after=page.next_after)
    return answer(request, listed, settled=job.status.is_terminal)


@router.get(
    "/jobs/{job_id}/metrics",
    operation_id="list_metrics",
    summary="Read losses and metrics",
    response_model=ListOut[MetricOut],
    responses=_RESPONSES,
)
def list_metrics(
    request: Request,
    job_id: JobIdDep,
    services: ServicesDep,
    project: ProjectDep,
    if_none_match: IfNoneMatch = None,
    head: Annotated[str | None, Query(pattern=_HEAD, description="A modality's name, `fused`, ...")] = None,
    split: Annotated[Literal["train", "holdout", "validation", "test"] | None, Query()] = None,
    metric: Annotated[MetricName | None, Query(description="`loss`, or a metric of the job's task.")] = None,
    scope: Annotated[Literal["pretrain", "epoch", "fine_tune", "test"] | None, Query()] = None,
    max_points: Annotated[
        int | None, Query(ge=1, le=10_000, description="Thin out each curve to at most so many measured points.")
    ] = None,
    after: Annotated[
        str | None, Query(pattern=r"^[0-9]{1,15}\.[0-9]{1,9}$", description="`next_after` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, description="Rows of this page; the server caps it.")] = 1000,
) -> Response:
    """One row per head, split, metric and epoch, in the order of measuring."""
    job = services.jobs.get(job_id, project=project)
    cap = services.settings.api.max_list
    page = services.jobs.metrics(
        job_id,
        project=project,
        head=head,
        split=split,
        metric=metric,
        scope=scope,
        max_points=max_points,
        after=after,
        limit=min(limit, cap),
    )
    points = page.data
    if len(points) > cap:  # thinned out already, but there are too many curves
        points = thin(points, max(1, cap // len({series_of(point) for point in points})))
    data = [MetricOut.of(point) for point in points]
    listed = ListOut[MetricOut](data=data, has_more=page.has_more, next_after=page.next_after)
    return answer(request, listed, settled=job.status.is_terminal)
