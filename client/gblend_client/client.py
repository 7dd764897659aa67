"""The sync client."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, overload

import httpx

from gblend_client import _calls, _downloading, _watching
from gblend_client._config import STREAM_TIMEOUT, client_arguments
from gblend_client._drivers import SyncDriver
from gblend_client._retry import Policy, policy
from gblend_client.specfile import SpecInput, load
from gblend_client.types import Artifact, Event, Job, Metric, Page, SuperEpoch, ValidationReport


class Gblend:
    """A connection to a gblend service. Use it as a context manager, or `close()` it.

    `base_url` defaults to the environment's GBLEND_URL, then to http://127.0.0.1:8000; `api_key` to GBLEND_API_KEY.
    `timeout`: seconds for one request. `retries`: how often a request is repeated that no answer came to, or one that
    invites to try again; `backoff`: seconds before the first of them, doubled for each further one.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        retries: int = 4,
        backoff: float = 0.5,
        stream_timeout: float = STREAM_TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(**client_arguments(base_url, api_key, timeout), transport=transport)
        self.jobs = Jobs(SyncDriver(self._http, stream_timeout=stream_timeout), policy(retries, backoff))

    @property
    def base_url(self) -> str:
        """Where the service is."""
        return str(self._http.base_url).rstrip("/")

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Jobs:
    """Everything about training jobs."""

    def __init__(self, driver: SyncDriver, policy: Policy) -> None:
        self._driver = driver
        self._policy = policy

    @overload
    def submit(
        self, spec: SpecInput, *, idempotency_key: str | None = None, validate_only: Literal[False] = False
    ) -> Job: ...
    @overload
    def submit(self, spec: SpecInput, *, validate_only: Literal[True]) -> ValidationReport: ...
    def submit(
        self, spec: SpecInput, *, idempotency_key: str | None = None, validate_only: bool = False
    ) -> Job | ValidationReport:
        """Submits a job spec (a mapping, or the path of a YAML or JSON file).

        The `idempotency_key` is made up where none is given, so that a repeated request creates no second job.
        `validate_only` has the spec and its data checked and creates nothing. Raises `Validation`.
        """
        if validate_only:
            return self._driver.run(_calls.validate(load(spec), self._policy.calls))
        return self._driver.run(_calls.submit(load(spec), idempotency_key, self._policy.calls))

    def get(self, job_id: str) -> Job:
        """The job as it stands. Raises `NotFound`."""
        return self._driver.run(_calls.get_job(job_id, self._policy.calls))

    def list(self, *, status: str | None = None, limit: int | None = None) -> Iterator[Job]:
        """The project's jobs, newest first, fetched page by page; at most `limit`."""
        return self._driver.stream(_calls.list_jobs(status, limit, self._policy.calls))

    def page(self, *, status: str | None = None, after: str | None = None, limit: int = 20) -> Page[Job]:
        """One page of `list`."""
        return self._driver.run(_calls.job_page(status, after, limit, self._policy.calls))

    def cancel(self, job_id: str) -> Job:
        """Asks the job to stop. Cancelling a cancelled job is no error; a job that ended otherwise is a `Conflict`."""
        return self._driver.run(_calls.cancel(job_id, self._policy.calls))

    def events(
        self, job_id: str, *, after: int = 0, types: Sequence[str] = (), limit: int | None = None
    ) -> Iterator[Event]:
        """The recorded events after `seq` `after`, oldest first. Ends with the log; `watch` goes on."""
        return self._driver.stream(_calls.event_items(job_id, after, types, self._policy.calls, limit))

    def super_epochs(self, job_id: str) -> tuple[SuperEpoch, ...]:
        """The weights of every super-epoch so far, and what led to them."""
        return self._driver.run(_calls.super_epochs(job_id, self._policy.calls))

    def metrics(
        self,
        job_id: str,
        *,
        head: str | None = None,
        split: str | None = None,
        metric: str | None = None,
        scope: str | None = None,
        max_points: int | None = None,
    ) -> tuple[Metric, ...]:
        """Losses and accuracies per head, split and epoch; `max_points` has the service thin them out."""
        wanted = {"head": head, "split": split, "metric": metric, "scope": scope, "max_points": max_points}
        return self._driver.run(_calls.metrics(job_id, wanted, self._policy.calls))

    def artifacts(self, job_id: str) -> tuple[Artifact, ...]:
        """The files that the job left behind."""
        return self._driver.run(_calls.artifacts(job_id, self._policy.calls))

    def download(self, job_id: str, dest: str | PathLike[str], names: Sequence[str] | None = None) -> tuple[Path, ...]:
        """Fetches artifacts (all, or those named) below `dest` and verifies them; resumes where it was broken off.

        Raises `IntegrityError` for a wrong sha256 and for a name that would leave `dest`.
        """
        return self._driver.run(_downloading.download(job_id, Path(dest), names, self._policy.calls))

    def watch(self, job_id: str, after: int = 0) -> Generator[Event, None, None]:
        """Every event after `seq` `after` as it happens, each once and in order, until the job has ended.

        Survives lost connections and restarts of the service. Raises `ConnectionFailed` when it stays away for
        minutes: `after` with the last event's `seq` then takes up the thread.
        """
        return self._driver.stream(_watching.watch(job_id, after, self._policy))

    def wait(self, job_id: str, *, timeout: float | None = None) -> Job:
        """The job once it has ended. Raises `WaitTimeout` after `timeout` seconds; a failed job is no exception."""
        return self._driver.run(_watching.wait(job_id, timeout, self._policy))
