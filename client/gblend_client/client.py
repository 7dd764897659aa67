"""The sync client."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

import httpx

from gblend_client import _calls, _downloading, _experimenting, _fleet, _lifecycle, _watching
from gblend_client._config import STREAM_TIMEOUT, client_arguments
from gblend_client._drivers import SyncDriver
from gblend_client._retry import Policy, policy
from gblend_client.datasets import Datasets
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
        driver, patience = SyncDriver(self._http, stream_timeout=stream_timeout), policy(retries, backoff)
        self.jobs = Jobs(driver, patience)
        self.experiments = Experiments(driver, patience)
        self.datasets = Datasets(driver, patience)
        self.workers = Workers(driver, patience)

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

    def pause(self, job_id: str) -> Job:
        """Stops the job for now: it writes a checkpoint and gives its worker back. `Conflict` where it has ended."""
        return self._driver.run(_lifecycle.pause(job_id, self._policy.calls))

    def resume(self, job_id: str) -> Job:
        """Lets a paused job go on from its last checkpoint; one that is not paused stays as it is."""
        return self._driver.run(_lifecycle.resume(job_id, self._policy.calls))

    def retry(
        self, job_id: str, *, scheduling: Mapping[str, Any] | None = None, idempotency_key: str | None = None
    ) -> Job:
        """A new job that goes on from the last checkpoint of one that failed or was cancelled; `Conflict` for others.

        `scheduling` has the fields of the spec's section of that name that are to be other ones. The `idempotency_key`
        is made up where none is given.
        """
        return self._driver.run(_lifecycle.retry(job_id, scheduling, idempotency_key, self._policy.calls))

    def delete(self, job_id: str) -> None:
        """Deletes a job that has ended, with everything that it left behind; `Conflict` where it has not ended."""
        self._driver.run(_lifecycle.delete(_calls.job_path(job_id), self._policy.calls))

    def events(
        self, job_id: str, *, after: int = 0, types: Sequence[str] = (), limit: int | None = None
    ) -> Iterator[Event]:
        """The recorded events after `seq` `after`, oldest first. Ends with the log; `watch` goes on."""
        return self._driver.stream(_calls.event_items(job_id, after, types, self._policy.calls, limit))

    def logs(self, job_id: str, *, after: int = 0, limit: int | None = None) -> Iterator[LogChunk]:
        """What the training has printed so far, chunk by chunk, oldest first. Ends there; `stream_logs` goes on."""
        return self._driver.stream(_calls.log_items(job_id, after, limit, self._policy.calls))

    def log_tail(self, job_id: str, lines: int = 100) -> tuple[LogChunk, ...]:
        """The last `lines` lines of what the training has printed so far, in chunks."""
        return self._driver.run(_calls.log_tail(job_id, lines, self._policy.calls))

    def stream_logs(self, job_id: str, after: int = 0) -> Generator[LogChunk, None, None]:
        """Every chunk of the log after `seq` `after` as it comes, each once and in order, until the job has ended.

        Survives lost connections and gives up like `watch`.
        """
        return self._driver.stream(_watching.watch_log(job_id, after, self._policy))

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

    def checkpoints(self, job_id: str) -> tuple[Checkpoint, ...]:
        """Checkpoints that are in the artifact store, newest first; none where workers keep theirs to themselves."""
        return self._driver.run(_calls.checkpoints(job_id, self._policy.calls))

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


class Experiments:
    """Everything about experiments: strategies x seeds of one job, compared under one protocol."""

    def __init__(self, driver: SyncDriver, policy: Policy) -> None:
        self._driver = driver
        self._policy = policy

    @overload
    def submit(
        self, spec: SpecInput, *, idempotency_key: str | None = None, validate_only: Literal[False] = False
    ) -> Experiment: ...
    @overload
    def submit(self, spec: SpecInput, *, validate_only: Literal[True]) -> ExperimentValidation: ...
    def submit(
        self, spec: SpecInput, *, idempotency_key: str | None = None, validate_only: bool = False
    ) -> Experiment | ExperimentValidation:
        """Submits an experiment (a mapping, or the path of a YAML or JSON file): all its jobs, or none of them.

        The `idempotency_key` is made up where none is given. `validate_only` creates nothing. Raises `Validation`.
        """
        if validate_only:
            return self._driver.run(_experimenting.validate(load(spec), self._policy.calls))
        return self._driver.run(_experimenting.submit(load(spec), idempotency_key, self._policy.calls))

    def get(self, experiment_id: str) -> Experiment:
        """The experiment with its jobs as they stand. Raises `NotFound`."""
        return self._driver.run(_experimenting.get_experiment(experiment_id, self._policy.calls))

    def list(self, *, limit: int | None = None) -> Iterator[Experiment]:
        """The project's experiments without their jobs, newest first, fetched page by page; at most `limit`."""
        return self._driver.stream(_experimenting.list_experiments(limit, self._policy.calls))

    def page(self, *, after: str | None = None, limit: int = 20) -> Page[Experiment]:
        """One page of `list`."""
        return self._driver.run(_experimenting.experiment_page(after, limit, self._policy.calls))

    def cancel(self, experiment_id: str) -> Experiment:
        """Asks every job that has not ended to stop. One whose jobs have all ended otherwise is a `Conflict`."""
        return self._driver.run(_experimenting.cancel(experiment_id, self._policy.calls))

    def delete(self, experiment_id: str) -> None:
        """Deletes an experiment whose jobs have all ended, and all of them; `Conflict` where one has not."""
        self._driver.run(_experimenting.delete(experiment_id, self._policy.calls))

    def comparison(self, experiment_id: str, *, reference: str | None = None) -> Comparison:
        """What can be said of the strategies so far; differences are to `reference`, by default the first strategy."""
        return self._driver.run(_experimenting.comparison(experiment_id, reference, self._policy.calls))

    def report(
        self, experiment_id: str, *, format: Literal["html", "md"] = "html", reference: str | None = None
    ) -> str:
        """The comparison as a page of its own with plots, or as tables in Markdown."""
        return self._driver.run(_experimenting.report(experiment_id, format, reference, self._policy.calls))

    def watch(self, experiment_id: str) -> Generator[Experiment, None, None]:
        """The experiment whenever it has changed, until all its jobs have ended. Survives lost connections."""
        return self._driver.stream(_experimenting.watch(experiment_id, self._policy))

    def wait(self, experiment_id: str, *, timeout: float | None = None) -> Experiment:
        """The experiment once all its jobs have ended. Raises `WaitTimeout`; a failed job is no exception."""
        return self._driver.run(_experimenting.wait(experiment_id, timeout, self._policy))


class Workers:
    """Who does the training. All projects share the workers."""

    def __init__(self, driver: SyncDriver, policy: Policy) -> None:
        self._driver = driver
        self._policy = policy

    def get(self, worker_id: str) -> Worker:
        """The worker as it stands. Raises `NotFound`."""
        return self._driver.run(_fleet.get_worker(worker_id, self._policy.calls))

    def list(self, *, limit: int | None = None) -> Iterator[Worker]:
        """The workers that were heard of within a day, newest first; at most `limit`."""
        return self._driver.stream(_fleet.list_workers(limit, self._policy.calls))
