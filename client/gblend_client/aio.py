"""The async client: the same flows as the sync one's (asyncio and trio)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

import httpx

from gblend_client import _calls, _downloading, _experimenting, _fleet, _lifecycle, _watching
from gblend_client._config import STREAM_TIMEOUT, client_arguments
from gblend_client._drivers import AsyncDriver
from gblend_client._retry import Policy, policy
from gblend_client.datasets import AsyncDatasets
from gblend_client.experiment_types import Comparison, Experiment, ExperimentValidation
from gblend_client.specfile import SpecInput, load
from gblend_client.types import (
    Artifact,
    Checkpoint,
    Event,
    Job,
    LogChunk,
    Metric,
    Page,
    SuperEpoch,
    ValidationReport,
    Worker,
)


class AsyncGblend:
    """A connection to a gblend service; see `Gblend`. Use it as an async context manager, or `aclose()` it."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        retries: int = 4,
        backoff: float = 0.5,
        stream_timeout: float = STREAM_TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(**client_arguments(base_url, api_key, timeout), transport=transport)
        driver, patience = AsyncDriver(self._http, stream_timeout=stream_timeout), policy(retries, backoff)
        self.jobs = AsyncJobs(driver, patience)
        self.experiments = AsyncExperiments(driver, patience)
        self.datasets = AsyncDatasets(driver, patience)
        self.workers = AsyncWorkers(driver, patience)

    @property
    def base_url(self) -> str:
        """Where the service is."""
        return str(self._http.base_url).rstrip("/")

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()


class AsyncJobs:
    """Everything about training jobs; every method is that of `Jobs`, awaited or iterated with `async for`."""

    def __init__(self, driver: AsyncDriver, policy: Policy) -> None:
        self._driver = driver
        self._policy = policy

    @overload
    async def submit(
        self, spec: SpecInput, *, idempotency_key: str | None = None, validate_only: Literal[False] = False
    ) -> Job: ...
    @overload
    async def submit(self, spec: SpecInput, *, validate_only: Literal[True]) -> ValidationReport: ...
    async def submit(
        self, spec: SpecInput, *, idempotency_key: str | None = None, validate_only: bool = False
    ) -> Job | ValidationReport:
        """See `Jobs.submit`."""
        if validate_only:
            return await self._driver.run(_calls.validate(load(spec), self._policy.calls))
        return await self._driver.run(_calls.submit(load(spec), idempotency_key, self._policy.calls))

    async def get(self, job_id: str) -> Job:
        """See `Jobs.get`."""
        return await self._driver.run(_calls.get_job(job_id, self._policy.calls))

    def list(self, *, status: str | None = None, limit: int | None = None) -> AsyncIterator[Job]:
        """See `Jobs.list`."""
        return self._driver.stream(_calls.list_jobs(status, limit, self._policy.calls))

    async def page(self, *, status: str | None = None, after: str | None = None, limit: int = 20) -> Page[Job]:
        """See `Jobs.page`."""
        return await self._driver.run(_calls.job_page(status, after, limit, self._policy.calls))

    async def cancel(self, job_id: str) -> Job:
        """See `Jobs.cancel`."""
        return await self._driver.run(_calls.cancel(job_id, self._policy.calls))

    async def pause(self, job_id: str) -> Job:
        """See `Jobs.pause`."""
        return await self._driver.run(_lifecycle.pause(job_id, self._policy.calls))

    async def resume(self, job_id: str) -> Job:
        """See `Jobs.resume`."""
        return await self._driver.run(_lifecycle.resume(job_id, self._policy.calls))

    async def retry(
        self, job_id: str, *, scheduling: Mapping[str, Any] | None = None, idempotency_key: str | None = None
    ) -> Job:
        """See `Jobs.retry`."""
        return await self._driver.run(_lifecycle.retry(job_id, scheduling, idempotency_key, self._policy.calls))

    async def delete(self, job_id: str) -> None:
        """See `Jobs.delete`."""
        await self._driver.run(_lifecycle.delete(_calls.job_path(job_id), self._policy.calls))

    def events(
        self, job_id: str, *, after: int = 0, types: Sequence[str] = (), limit: int | None = None
    ) -> AsyncIterator[Event]:
        """See `Jobs.events`."""
        return self._driver.stream(_calls.event_items(job_id, after, types, self._policy.calls, limit))

    def logs(self, job_id: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[LogChunk]:
        """See `Jobs.logs`."""
        return self._driver.stream(_calls.log_items(job_id, after, limit, self._policy.calls))

    async def log_tail(self, job_id: str, lines: int = 100) -> tuple[LogChunk, ...]:
        """See `Jobs.log_tail`."""
        return await self._driver.run(_calls.log_tail(job_id, lines, self._policy.calls))

    def stream_logs(self, job_id: str, after: int = 0) -> AsyncGenerator[LogChunk, None]:
        """See `Jobs.stream_logs`."""
        return self._driver.stream(_watching.watch_log(job_id, after, self._policy))

    async def super_epochs(self, job_id: str) -> tuple[SuperEpoch, ...]:
        """See `Jobs.super_epochs`."""
        return await self._driver.run(_calls.super_epochs(job_id, self._policy.calls))

    async def metrics(
        self,
        job_id: str,
        *,
        head: str | None = None,
        split: str | None = None,
        metric: str | None = None,
        scope: str | None = None,
        max_points: int | None = None,
    ) -> tuple[Metric, ...]:
        """See `Jobs.metrics`."""
        wanted = {"head": head, "split": split, "metric": metric, "scope": scope, "max_points": max_points}
        return await self._driver.run(_calls.metrics(job_id, wanted, self._policy.calls))

    async def artifacts(self, job_id: str) -> tuple[Artifact, ...]:
        """See `Jobs.artifacts`."""
        return await self._driver.run(_calls.artifacts(job_id, self._policy.calls))

    async def checkpoints(self, job_id: str) -> tuple[Checkpoint, ...]:
        """See `Jobs.checkpoints`."""
        return await self._driver.run(_calls.checkpoints(job_id, self._policy.calls))

    async def download(
        self, job_id: str, dest: str | PathLike[str], names: Sequence[str] | None = None
    ) -> tuple[Path, ...]:
        """See `Jobs.download`."""
        return await self._driver.run(_downloading.download(job_id, Path(dest), names, self._policy.calls))

    def watch(self, job_id: str, after: int = 0) -> AsyncGenerator[Event, None]:
        """See `Jobs.watch`. Leaving the loop early leaves the connection to the garbage collector: use `aclosing`."""
        return self._driver.stream(_watching.watch(job_id, after, self._policy))

    async def wait(self, job_id: str, *, timeout: float | None = None) -> Job:
        """See `Jobs.wait`."""
        return await self._driver.run(_watching.wait(job_id, timeout, self._policy))


class AsyncExperiments:
    """Everything about experiments; every method is that of `Experiments`, awaited or iterated with `async for`."""

    def __init__(self, driver: AsyncDriver, policy: Policy) -> None:
        self._driver = driver
        self._policy = policy

    @overload
    async def submit(
        self, spec: SpecInput, *, idempotency_key: str | None = None, validate_only: Literal[False] = False
    ) -> Experiment: ...
    @overload
    async def submit(self, spec: SpecInput, *, validate_only: Literal[True]) -> ExperimentValidation: ...
    async def submit(
        self, spec: SpecInput, *, idempotency_key: str | None = None, validate_only: bool = False
    ) -> Experiment | ExperimentValidation:
        """See `Experiments.submit`."""
        if validate_only:
            return await self._driver.run(_experimenting.validate(load(spec), self._policy.calls))
        return await self._driver.run(_experimenting.submit(load(spec), idempotency_key, self._policy.calls))

    async def get(self, experiment_id: str) -> Experiment:
        """See `Experiments.get`."""
        return await self._driver.run(_experimenting.get_experiment(experiment_id, self._policy.calls))

    def list(self, *, limit: int | None = None) -> AsyncIterator[Experiment]:
        """See `Experiments.list`."""
        return self._driver.stream(_experimenting.list_experiments(limit, self._policy.calls))

    async def page(self, *, after: str | None = None, limit: int = 20) -> Page[Experiment]:
        """See `Experiments.page`."""
        return await self._driver.run(_experimenting.experiment_page(after, limit, self._policy.calls))

    async def cancel(self, experiment_id: str) -> Experiment:
        """See `Experiments.cancel`."""
        return await self._driver.run(_experimenting.cancel(experiment_id, self._policy.calls))

    async def delete(self, experiment_id: str) -> None:
        """See `Experiments.delete`."""
        await self._driver.run(_experimenting.delete(experiment_id, self._policy.calls))

    async def comparison(self, experiment_id: str, *, reference: str | None = None) -> Comparison:
        """See `Experiments.comparison`."""
        return await self._driver.run(_experimenting.comparison(experiment_id, reference, self._policy.calls))

    async def report(
        self, experiment_id: str, *, format: Literal["html", "md"] = "html", reference: str | None = None
    ) -> str:
        """See `Experiments.report`."""
        return await self._driver.run(_experimenting.report(experiment_id, format, reference, self._policy.calls))

    def watch(self, experiment_id: str) -> AsyncGenerator[Experiment, None]:
        """See `Experiments.watch`."""
        return self._driver.stream(_experimenting.watch(experiment_id, self._policy))

    async def wait(self, experiment_id: str, *, timeout: float | None = None) -> Experiment:
        """See `Experiments.wait`."""
        return await self._driver.run(_experimenting.wait(experiment_id, timeout, self._policy))


class AsyncWorkers:
    """Who does the training; every method is that of `Workers`, awaited or iterated with `async for`."""

    def __init__(self, driver: AsyncDriver, policy: Policy) -> None:
        self._driver = driver
        self._policy = policy

    async def get(self, worker_id: str) -> Worker:
        """See `Workers.get`."""
        return await self._driver.run(_fleet.get_worker(worker_id, self._policy.calls))

    def list(self, *, limit: int | None = None) -> AsyncIterator[Worker]:
        """See `Workers.list`."""
        return self._driver.stream(_fleet.list_workers(limit, self._policy.calls))
