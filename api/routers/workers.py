"""Workers: who is there, what they take, what they hold."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.conditional import answer
from api.deps import AfterId, IfNoneMatch, LimitDep, ProjectDep, ServicesDep, WorkerIdDep
from api.openapi import NOT_MODIFIED, POLLED_HEADERS, problems
from api.schemas import ListOut, WorkerOut

router = APIRouter(tags=["workers"])

_HEADERS = {"ETag": POLLED_HEADERS["ETag"]}


@router.get(
    "/workers",
    operation_id="list_workers",
    summary="List workers, newest first",
    response_model=ListOut[WorkerOut],
    responses={**problems(422), **NOT_MODIFIED, 200: {"headers": _HEADERS}},
)
def list_workers(
    request: Request,
    services: ServicesDep,
    project: ProjectDep,
    limit: LimitDep,
    if_none_match: IfNoneMatch = None,
    after: AfterId = None,
) -> Response:
    """Every worker process that was heard of within the last day or so. All projects share them; of what they hold,
    only the project's own jobs are named."""
    page = services.workers.list_workers(project=project, after=after, limit=limit)
    data = [WorkerOut.of(view) for view in page.data]
    return answer(request, ListOut[WorkerOut](data=data, has_more=page.has_more, next_after=page.next_after))


@router.get(
    "/workers/{worker_id}",
    operation_id="get_worker",
    summary="Look at a worker",
    response_model=WorkerOut,
    responses={**problems(404, 422), **NOT_MODIFIED, 200: {"headers": _HEADERS}},
)
def get_worker(
    request: Request,
    worker_id: WorkerIdDep,
    services: ServicesDep,
    project: ProjectDep,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """One worker as it stands."""
    return answer(request, WorkerOut.of(services.workers.get(worker_id, project=project)))
