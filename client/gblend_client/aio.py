"""The async client: the same flows as the sync one's (asyncio and trio)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, overload

import httpx

from gblend_client import _calls, _downloading, _watching
from gblend_client._config import STREAM_TIMEOUT, client_arguments
from gblend_client._drivers import AsyncDriver
from gblend_client._retry import Policy, policy
from gblend_client.specfile import SpecInput, load
from gblend_client.types import Artifact, Event, Job, Metric, Page, SuperEpoch, ValidationReport


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
        self.jobs = AsyncJobs(AsyncDriver(self._http, stream_timeout=stream_timeout), policy(retries, backoff))

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

    def events(
        self, job_id: str, *, after: int = 0, types: Sequence[str] = (), limit: int | None = None
    ) -> AsyncIterator[Event]:
        """See `Jobs.events`."""
        return self._driver.stream(_calls.event_items(job_id, after, types, self._policy.calls, limit))

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
