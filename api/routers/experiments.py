"""Experiments: strategies x seeds of one job, compared under one protocol."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query, Request
from starlette.responses import Response

from api.conditional import answer, conditional, created
from api.deps import AfterId, ExperimentIdDep, IdempotencyKey, IfNoneMatch, LimitDep, ProjectDep, ServicesDep
from api.examples import EXPERIMENTS
from api.openapi import NOT_MODIFIED, POLLED_HEADERS, problems
from api.registered import RegisteredDataRoute
from api.schemas import (
    ComparisonOut,
    ExperimentDetailOut,
    ExperimentOut,
    ExperimentValidationOut,
    ListOut,
    ProblemError,
)
from api.submission import digest, find_experiment_issues, refuse_errors
from core.jobs.experiment_views import ExperimentView
from core.spec.experiment import ExperimentSpec

router = APIRouter(tags=["experiments"], route_class=RegisteredDataRoute)

Reference = Annotated[
    str | None, Query(max_length=100, description="The strategy to compare the others with; the first by default.")
]
_MEDIA_TYPES = {"html": "text/html; charset=utf-8", "md": "text/markdown; charset=utf-8"}
_TEXT = {"schema": {"type": "string"}}
_SAFE = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
"""The report has no script, and nothing in it may become one."""


@router.post(
    "/experiments",
    operation_id="create_experiment",
    summary="Submit an experiment",
    status_code=201,
    response_model=ExperimentDetailOut,
    responses={
        **problems(400, 409, 413, 415, 422, 429),
        200: {"model": ExperimentValidationOut, "description": "With `validate_only`: what a submission would say"},
        201: {
            "description": "The experiment; also for a repeated `Idempotency-Key`",
            "headers": {"Location": {"description": "The experiment's own address", "schema": {"type": "string"}}},
        },
    },
)
def create_experiment(
    request: Request,
    spec: Annotated[ExperimentSpec, Body(openapi_examples=EXPERIMENTS)],
    services: ServicesDep,
    project: ProjectDep,
    idempotency_key: IdempotencyKey = None,
    validate_only: Annotated[bool, Query(description="Check spec and data; create nothing.")] = False,
) -> Response:
    """Every strategy with every seed becomes an ordinary job; for one seed all strategies share the split and V. All
    are checked before any is created, and all are created or none. An `Idempotency-Key` of a job is another one."""
    if idempotency_key is not None and not validate_only:
        # Before the data are looked at: the same key and body have the same answer, whatever became of the files.
        earlier = services.experiments.replay(idempotency_key, project=project, body_digest=digest(spec))
        if earlier is not None:
            return _created(request, earlier, replayed=True)
    issues = find_experiment_issues(
        spec,
        services.settings.data_roots,
        served=services.workers.served_queues(),
        allow_hub=services.settings.features.allow_hub,
    )
    if validate_only:
        errors, warnings = ProblemError.by_severity(issues)
        validation = ExperimentValidationOut(
            valid=not errors,
            errors=errors,
            warnings=warnings,
            spec=spec.resolved(),
            jobs=len(spec.strategies) * len(spec.seeds),
        )
        return answer(request, validation)
    refuse_errors(issues, "experiment and its data")
    made, created = services.experiments.submit(
        spec, project=project, idempotency_key=idempotency_key, body_digest=digest(spec), warnings=issues
    )
    return _created(request, made, replayed=not created)


@router.get(
    "/experiments",
    operation_id="list_experiments",
    summary="List experiments, newest first",
    response_model=ListOut[ExperimentOut],
    responses={**problems(422), **NOT_MODIFIED, 200: {"headers": {"ETag": POLLED_HEADERS["ETag"]}}},
)
def list_experiments(
    request: Request,
    services: ServicesDep,
    project: ProjectDep,
    limit: LimitDep,
    if_none_match: IfNoneMatch = None,
    after: AfterId = None,
) -> Response:
    """Every experiment of the project, with how many of its jobs have which status, but without the jobs."""
    page = services.experiments.list_experiments(project=project, after=after, limit=limit)
    data = [ExperimentOut.of(view) for view in page.data]
    return answer(request, ListOut[ExperimentOut](data=data, has_more=page.has_more, next_after=page.next_after))


@router.get(
    "/experiments/{experiment_id}",
    operation_id="get_experiment",
    summary="Look at an experiment",
    response_model=ExperimentDetailOut,
    responses={**problems(404, 422), **NOT_MODIFIED, 200: {"headers": POLLED_HEADERS}},
)
def get_experiment(
    request: Request,
    experiment_id: ExperimentIdDep,
    services: ServicesDep,
    project: ProjectDep,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The experiment and its jobs as they stand. Poll it with `If-None-Match`, not faster than `Retry-After` says."""
    view = services.experiments.get(experiment_id, project=project)
    return answer(request, ExperimentDetailOut.of(view), settled=view.status.is_terminal)


@router.post(
    "/experiments/{experiment_id}/cancel",
    operation_id="cancel_experiment",
    summary="Stop an experiment",
    status_code=202,
    response_model=ExperimentDetailOut,
    responses=problems(404, 409, 422),
)
def cancel_experiment(
    request: Request, experiment_id: ExperimentIdDep, services: ServicesDep, project: ProjectDep
) -> Response:
    """Cancels every job that has not ended; what has ended stays, and stays in the comparison. An experiment whose jobs
    have all ended answers 409."""
    view = services.experiments.cancel(experiment_id, project=project)
    return answer(request, ExperimentDetailOut.of(view), settled=view.status.is_terminal, status=202)


@router.delete(
    "/experiments/{experiment_id}",
    operation_id="delete_experiment",
    summary="Delete an experiment",
    status_code=204,
    response_class=Response,
    responses=problems(404, 409, 422),
)
def delete_experiment(experiment_id: ExperimentIdDep, services: ServicesDep, project: ProjectDep) -> Response:
    """With all of its jobs, once they have all ended. It is gone at once for everybody; what it left behind is removed
    soon after."""
    services.experiments.delete(experiment_id, project=project)
    return Response(status_code=204)


@router.get(
    "/experiments/{experiment_id}/comparison",
    operation_id="get_comparison",
    summary="Compare the strategies",
    response_model=ComparisonOut,
    responses={**problems(404, 422), **NOT_MODIFIED, 200: {"headers": POLLED_HEADERS}},
)
def get_comparison(
    request: Request,
    experiment_id: ExperimentIdDep,
    services: ServicesDep,
    project: ProjectDep,
    if_none_match: IfNoneMatch = None,
    reference: Reference = None,
) -> Response:
    """Mean, standard deviation and 95 % interval of the test metric per strategy, differences in pairs of seeds to a
    reference and to the best in hindsight, cost, chosen heads and weights. While jobs run: of those that are done."""
    view, found = services.experiments.comparison(experiment_id, project=project, reference=reference)
    return answer(request, ComparisonOut.of(view, found), settled=view.status.is_terminal)


@router.get(
    "/experiments/{experiment_id}/report",
    operation_id="get_report",
    summary="Read the comparison",
    response_class=Response,
    responses={
        **problems(404, 422),
        **NOT_MODIFIED,
        200: {
            "description": "The report",
            "content": {"text/html": _TEXT, "text/markdown": _TEXT},
            "headers": POLLED_HEADERS,
        },
    },
)
def get_report(
    request: Request,
    experiment_id: ExperimentIdDep,
    services: ServicesDep,
    project: ProjectDep,
    if_none_match: IfNoneMatch = None,
    format: Annotated[Literal["html", "md"], Query(description="A page with plots, or tables in Markdown.")] = "html",
    reference: Reference = None,
) -> Response:
    """The comparison for people, in one file that loads nothing from anywhere: tables, plots, and what was run."""
    from api.report import render  # Jinja2: only who asks for a report waits for it

    view, found = services.experiments.comparison(experiment_id, project=project, reference=reference)
    content = render(view, found, format).encode()
    settled = view.status.is_terminal
    return conditional(request, content, _MEDIA_TYPES[format], settled=settled, headers=_SAFE)


def _created(request: Request, experiment: ExperimentView, *, replayed: bool) -> Response:
    location = request.app.url_path_for("get_experiment", experiment_id=experiment.id)
    shown = ExperimentDetailOut.of(experiment)
    return created(request, shown, location, replayed=replayed, settled=experiment.status.is_terminal)
