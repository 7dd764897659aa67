"""Registered data sets in the bodies of jobs and experiments: `"dataset": "ds_01K..."` becomes the data set itself.

It happens before the body is parsed, so that everything behind it (validation, idempotency, the stored spec) sees a
spec that is whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request

from api.deps import get_project, get_services
from api.strict_json import StrictJsonRoute
from core.errors import Issue, NotFoundError, SpecError


class RegisteredDataRoute(StrictJsonRoute):
    """A route whose body is a job spec, or has one as its `job`."""

    async def complete(self, request: Request, value: Any) -> Any:
        """See `StrictJsonRoute.complete`. Raises `SpecError` (`dataset.not_found`) for an id of no data set."""
        if not isinstance(value, Mapping):
            return value
        if isinstance(value.get("job"), Mapping):
            return {**value, "job": await self._with_data(request, value["job"], "#/job/dataset")}
        return await self._with_data(request, value, "#/dataset")

    async def _with_data(self, request: Request, job: Mapping[str, Any], pointer: str) -> Mapping[str, Any]:
        name = job.get("dataset")
        if not isinstance(name, str):
            return job
        try:
            view = await run_in_threadpool(get_services(request).datasets.get, name, project=get_project())
        except NotFoundError as error:
            hint = "GET /v1/datasets lists those that are registered"
            issue = Issue(code=error.code, detail=f"there is no data set {name[:80]!r}", pointer=pointer, hint=hint)
            detail = "the body names a data set that is not registered; nothing was created"
            raise SpecError(detail, issues=(issue,)) from None
        return {"holdout": view.spec["holdout"], **job, "dataset": view.spec["dataset"]}
