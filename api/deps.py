"""What routes are given: the services of this process, the project, and parts of the path that are safe to look up."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request

from api.services import Services
from core.errors import NotFoundError

PROJECT = "default"
LARGEST_SEQ = 2**53 - 1
"""The largest integer that every JSON reader keeps exact; cursors stay below."""

_ID = re.compile(r"[A-Za-z0-9_\-]{1,64}")


def get_services(request: Request) -> Services:
    """What `api.services.start` built."""
    services: Services = request.app.state.services
    return services


def get_project() -> str:
    """The caller's project. There are no API keys yet, so there is one project."""
    return PROJECT


def get_job_id(
    job_id: Annotated[str, Path(description="The job's id.", examples=["job_01KDXYZ3C5Q7R9S1T2V4W6X8Y0"])],
) -> str:
    """A job id that may be put to the database; whatever cannot be one is not found."""
    if _ID.fullmatch(job_id) is None:
        raise NotFoundError("there is no job of that id", code="job.not_found")
    return job_id


def get_experiment_id(
    experiment_id: Annotated[
        str, Path(description="The experiment's id.", examples=["exp_01KDXYZ3C5Q7R9S1T2V4W6X8Y0"])
    ],
) -> str:
    """An experiment id that may be put to the database; whatever cannot be one is not found."""
    if _ID.fullmatch(experiment_id) is None:
        raise NotFoundError("there is no experiment of that id", code="experiment.not_found")
    return experiment_id


def get_dataset_id(
    dataset_id: Annotated[str, Path(description="The data set's id.", examples=["ds_01KDXYZ3C5Q7R9S1T2V4W6X8Y0"])],
) -> str:
    """A data set's id that may be put to the database; whatever cannot be one is not found."""
    if _ID.fullmatch(dataset_id) is None:
        raise NotFoundError("there is no data set of that id", code="dataset.not_found")
    return dataset_id


def get_worker_id(
    worker_id: Annotated[str, Path(description="The worker's id.", examples=["wrk_01KDXYZ3C5Q7R9S1T2V4W6X8Y0"])],
) -> str:
    """A worker id that may be put to the database; whatever cannot be one is not found."""
    if _ID.fullmatch(worker_id) is None:
        raise NotFoundError("there is no worker of that id", code="worker.not_found")
    return worker_id


def get_limit(
    services: Annotated[Services, Depends(get_services)],
    limit: Annotated[int, Query(ge=1, description="Rows of this page; the server caps it.")] = 100,
) -> int:
    """The page size: what was asked for, at most what the operator allows."""
    return min(limit, services.settings.api.max_list)


ServicesDep = Annotated[Services, Depends(get_services)]
ProjectDep = Annotated[str, Depends(get_project)]
JobIdDep = Annotated[str, Depends(get_job_id)]
ExperimentIdDep = Annotated[str, Depends(get_experiment_id)]
DatasetIdDep = Annotated[str, Depends(get_dataset_id)]
WorkerIdDep = Annotated[str, Depends(get_worker_id)]
LimitDep = Annotated[int, Depends(get_limit)]
AfterId = Annotated[
    str | None, Query(pattern=r"^[A-Za-z0-9_\-]{1,64}$", description="`next_after` of the page before.")
]
"""The cursor of lists that are paged by id."""
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$",
        description="A key of your own (a random UUID, say): the same key and body create it once, however often sent.",
    ),
]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description="The `ETag` of the answer you have; if it still holds: 304.")
]
