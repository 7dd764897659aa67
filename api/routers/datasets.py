"""Data sets: look at them closely, register them, name them in jobs."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from api.conditional import answer, created
from api.deps import AfterId, DatasetIdDep, IdempotencyKey, IfNoneMatch, LimitDep, ProjectDep, ServicesDep
from api.examples import DATASETS, PLACES
from api.openapi import NOT_MODIFIED, POLLED_HEADERS, problems
from api.schemas import (
    DatasetInferenceIn,
    DatasetInferenceOut,
    DatasetOut,
    DatasetStatisticsOut,
    DatasetValidationOut,
    ListOut,
    ProblemError,
)
from api.strict_json import StrictJsonRoute
from api.submission import infer_data, inspect_data, refuse_errors
from core.jobs.dataset_views import DatasetView
from core.spec.registration import DatasetRegistration

router = APIRouter(tags=["datasets"], route_class=StrictJsonRoute)

Registration = Annotated[DatasetRegistration, Body(openapi_examples=DATASETS)]


@router.post(
    "/datasets/validate",
    operation_id="validate_dataset",
    summary="Look at a data set",
    response_model=DatasetValidationOut,
    responses=problems(400, 413, 415, 422),
)
def validate_dataset(request: Request, registration: Registration, services: ServicesDep) -> Response:
    """Everything that is wrong or odd with a data set, all in one answer, and what it holds: rows and classes per part,
    lengths, sizes, rates, missing values, the same contents in two parts. Nothing is created; no sample is decoded."""
    found = inspect_data(registration, services.settings.data_roots, services.settings.features.allow_hub)
    errors, warnings = ProblemError.by_severity(found.issues)
    return answer(
        request,
        DatasetValidationOut(
            valid=found.is_valid,
            errors=errors,
            warnings=warnings,
            statistics=None
            if found.statistics is None
            else DatasetStatisticsOut.model_validate(asdict(found.statistics)),
            fingerprint=found.fingerprint,
            spec=registration.resolved(),
        ),
    )


@router.post(
    "/datasets/infer",
    operation_id="infer_dataset",
    summary="Guess a data set's spec",
    response_model=DatasetInferenceOut,
    responses=problems(400, 413, 415, 422),
)
def infer_dataset(
    request: Request, wanted: Annotated[DatasetInferenceIn, Body(openapi_examples=PLACES)], services: ServicesDep
) -> Response:
    """From names and values: the source's kind, target, split, groups, modalities and how they want to be prepared, all
    with their reasons, and every column that is left out with why. `gblend init` writes it as a commented spec."""
    found = infer_data(wanted.uri, services.settings.data_roots, target=wanted.target)
    return answer(
        request,
        DatasetInferenceOut(
            rows=found.rows,
            dataset=found.dataset,
            holdout=found.holdout,
            notes=found.notes,
            left_out=found.left_out,
            missing=found.missing,
        ),
    )


@router.post(
    "/datasets",
    operation_id="register_dataset",
    summary="Register a data set",
    status_code=201,
    response_model=DatasetOut,
    responses={
        **problems(400, 409, 413, 415, 422),
        201: {
            "description": "The data set; also for a repeated `Idempotency-Key`",
            "headers": {"Location": {"description": "The data set's own address", "schema": {"type": "string"}}},
        },
    },
)
def register_dataset(
    request: Request,
    registration: Registration,
    services: ServicesDep,
    project: ProjectDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """It is looked at as `validate` does, and refused where anything is wrong. Its id may then stand in the place of a
    job's (or an experiment's job's) `dataset`."""
    if idempotency_key is not None:
        earlier = services.datasets.replay(idempotency_key, project=project, registration=registration)
        if earlier is not None:
            return _registered(request, earlier, replayed=True)
    found = inspect_data(registration, services.settings.data_roots, services.settings.features.allow_hub)
    # What could not be looked at now (an object store that is slow) cannot be registered: it would have no fingerprint.
    unseen = [replace(issue, severity="error") for issue in found.issues if found.statistics is None]
    refuse_errors(unseen or found.issues, "data set and its files")
    assert found.statistics is not None
    assert found.fingerprint is not None
    view, is_new = services.datasets.register(
        registration,
        fingerprint=found.fingerprint,
        statistics=asdict(found.statistics),
        warnings=found.issues,
        project=project,
        idempotency_key=idempotency_key,
    )
    return _registered(request, view, replayed=not is_new)


@router.get(
    "/datasets",
    operation_id="list_datasets",
    summary="List data sets, newest first",
    response_model=ListOut[DatasetOut],
    responses={**problems(422), **NOT_MODIFIED, 200: {"headers": {"ETag": POLLED_HEADERS["ETag"]}}},
)
def list_datasets(
    request: Request,
    services: ServicesDep,
    project: ProjectDep,
    limit: LimitDep,
    if_none_match: IfNoneMatch = None,
    after: AfterId = None,
) -> Response:
    """Every data set of the project."""
    page = services.datasets.list_datasets(project=project, after=after, limit=limit)
    data = [DatasetOut.of(view) for view in page.data]
    return answer(request, ListOut[DatasetOut](data=data, has_more=page.has_more, next_after=page.next_after))


@router.get(
    "/datasets/{dataset_id}",
    operation_id="get_dataset",
    summary="Look a data set up",
    response_model=DatasetOut,
    responses={**problems(404, 422), **NOT_MODIFIED, 200: {"headers": {"ETag": POLLED_HEADERS["ETag"]}}},
)
def get_dataset(
    request: Request,
    dataset_id: DatasetIdDep,
    services: ServicesDep,
    project: ProjectDep,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The data set as it was registered."""
    return answer(request, DatasetOut.of(services.datasets.get(dataset_id, project=project)))


@router.delete(
    "/datasets/{dataset_id}",
    operation_id="delete_dataset",
    summary="Forget a data set",
    status_code=204,
    response_class=Response,
    responses=problems(404, 422),
)
def delete_dataset(dataset_id: DatasetIdDep, services: ServicesDep, project: ProjectDep) -> Response:
    """The registration goes; the data stay where they are, and jobs that named it keep what they were given."""
    services.datasets.delete(dataset_id, project=project)
    return Response(status_code=204)


def _registered(request: Request, view: DatasetView, *, replayed: bool) -> Response:
    location = request.app.url_path_for("get_dataset", dataset_id=view.id)
    return created(request, DatasetOut.of(view), location, replayed=replayed)
