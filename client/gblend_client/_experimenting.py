"""The calls about experiments as flows; see `_calls`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gblend_client import _lifecycle
from gblend_client._calls import Params, call, check, create, get, items, page, path_of, stop, written
from gblend_client._decode import decode
from gblend_client._flow import Flow, Request
from gblend_client._polling import poll, silently
from gblend_client._retry import Backoff, Policy
from gblend_client.errors import ProtocolError
from gblend_client.experiment_types import Comparison, Experiment, ExperimentValidation
from gblend_client.types import Page

EXPERIMENTS = "/v1/experiments"


def submit(spec: Mapping[str, Any], idempotency_key: str | None, backoff: Backoff) -> Flow[Experiment]:
    """`POST /experiments`."""
    return create(Experiment, EXPERIMENTS, spec, idempotency_key, backoff)


def validate(spec: Mapping[str, Any], backoff: Backoff) -> Flow[ExperimentValidation]:
    """`POST /experiments?validate_only=true`."""
    return check(ExperimentValidation, EXPERIMENTS, spec, backoff)


def get_experiment(experiment_id: str, backoff: Backoff) -> Flow[Experiment]:
    """`GET /experiments/{id}`."""
    return decode(Experiment, (yield from get(_path(experiment_id), (), backoff)))


def list_experiments(limit: int | None, backoff: Backoff) -> Flow[None]:
    """Emits the project's experiments, newest first."""
    return items(Experiment, EXPERIMENTS, (), backoff, limit=limit)


def experiment_page(after: str | None, limit: int, backoff: Backoff) -> Flow[Page[Experiment]]:
    """One page of experiments."""
    return page(Experiment, EXPERIMENTS, (("after", after), ("limit", limit)), backoff)


def cancel(experiment_id: str, backoff: Backoff) -> Flow[Experiment]:
    """`POST /experiments/{id}/cancel`."""
    return stop(Experiment, _path(experiment_id), backoff)


def delete(experiment_id: str, backoff: Backoff) -> Flow[None]:
    """`DELETE /experiments/{id}`."""
    return _lifecycle.delete(_path(experiment_id), backoff)


def comparison(experiment_id: str, reference: str | None, backoff: Backoff) -> Flow[Comparison]:
    """`GET /experiments/{id}/comparison`."""
    params: Params = (("reference", reference),)
    return decode(Comparison, (yield from get(_path(experiment_id, "comparison"), params, backoff)))


def report(experiment_id: str, format: str, reference: str | None, backoff: Backoff) -> Flow[str]:
    """`GET /experiments/{id}/report`."""
    params = written((("format", format), ("reference", reference)))
    request = Request(method="GET", path=_path(experiment_id, "report"), params=params, headers={"accept": "*/*"})
    answer = yield from call(request, backoff)
    try:
        return answer.body.decode()
    except UnicodeDecodeError:
        raise ProtocolError("the service's report is not UTF-8 text") from None


def watch(experiment_id: str, policy: Policy) -> Flow[Experiment]:
    """Emits the experiment whenever it has changed, until it has ended."""
    return poll(Experiment, _path(experiment_id), f"experiment {experiment_id}", None, policy)


def wait(experiment_id: str, timeout: float | None, policy: Policy) -> Flow[Experiment]:
    """The experiment once it has ended."""
    return silently(poll(Experiment, _path(experiment_id), f"experiment {experiment_id}", timeout, policy))


def _path(experiment_id: str, *rest: str) -> str:
    return path_of(EXPERIMENTS, "experiment", experiment_id, *rest)
