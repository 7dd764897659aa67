"""The calls about data sets, as flows; see `_calls`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gblend_client import _lifecycle
from gblend_client._calls import Params, call, create, get, items, look, page, path_of
from gblend_client._decode import decode
from gblend_client._flow import Flow, Request
from gblend_client._retry import Backoff
from gblend_client.dataset_types import Dataset, DatasetInference, DatasetValidation, Sample
from gblend_client.errors import InvalidInput
from gblend_client.types import Page

DATASETS = "/v1/datasets"
_SAMPLES_AT_ONCE = 50
_SHARED = ("name", "metadata", "dataset", "holdout", "seed")


def registration_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a spec that is about data: of a job's, an experiment's, a registration, or a data set alone.

    Raises `InvalidInput` where there is none.
    """
    job = spec.get("job", spec)
    if not isinstance(job, Mapping):
        raise InvalidInput("the spec's 'job' is no mapping")
    if "dataset" in job:
        return {key: job[key] for key in _SHARED if key in job}
    if "source" in job:
        return {"dataset": dict(job)}
    raise InvalidInput(
        "the spec has no 'dataset'", hint="it is a job's, an experiment's, or a data set alone (source, target, ...)"
    )


def validate(spec: Mapping[str, Any], backoff: Backoff) -> Flow[DatasetValidation]:
    """`POST /datasets/validate`; a registered data set is looked at anew."""
    body = registration_of(spec)
    if isinstance(body["dataset"], str):
        known = yield from get_dataset(body["dataset"], backoff)
        body = {**known.spec, **body, "dataset": known.spec.get("dataset")}
    return (yield from look(DatasetValidation, f"{DATASETS}/validate", body, backoff))


def infer(uri: str, target: str | None, backoff: Backoff) -> Flow[DatasetInference]:
    """`POST /datasets/infer`."""
    body = {"uri": uri} | ({} if target is None else {"target": target})
    return look(DatasetInference, f"{DATASETS}/infer", body, backoff)


def register(spec: Mapping[str, Any], idempotency_key: str | None, backoff: Backoff) -> Flow[Dataset]:
    """`POST /datasets`."""
    return create(Dataset, DATASETS, registration_of(spec), idempotency_key, backoff)


def get_dataset(dataset_id: str, backoff: Backoff) -> Flow[Dataset]:
    """`GET /datasets/{id}`."""
    return decode(Dataset, (yield from get(path_of(DATASETS, "data set", dataset_id), (), backoff)))


def list_datasets(limit: int | None, backoff: Backoff) -> Flow[None]:
    """Emits the project's data sets, newest first."""
    return items(Dataset, DATASETS, (), backoff, limit=limit)


def dataset_page(after: str | None, limit: int, backoff: Backoff) -> Flow[Page[Dataset]]:
    """One page of data sets."""
    return page(Dataset, DATASETS, (("after", after), ("limit", limit)), backoff)


def delete(dataset_id: str, backoff: Backoff) -> Flow[None]:
    """`DELETE /datasets/{id}`."""
    return _lifecycle.delete(path_of(DATASETS, "data set", dataset_id), backoff)


def samples(dataset_id: str, part: str | None, label: str | None, limit: int | None, backoff: Backoff) -> Flow[None]:
    """Emits samples, in the order of the source."""
    path = path_of(DATASETS, "data set", dataset_id, "samples")
    return items(Sample, path, _filters(part, label), backoff, limit=limit, page_size=_SAMPLES_AT_ONCE)


def sample_page(
    dataset_id: str, part: str | None, label: str | None, after: str | None, limit: int, backoff: Backoff
) -> Flow[Page[Sample]]:
    """One page of samples."""
    path = path_of(DATASETS, "data set", dataset_id, "samples")
    return page(Sample, path, (*_filters(part, label), ("after", after), ("limit", limit)), backoff)


def shown(dataset_id: str, row: int, modality: str, what: str, backoff: Backoff) -> Flow[bytes]:
    """`GET /datasets/{id}/samples/{row}/{modality}/preview`, or `/sound`."""
    path = path_of(DATASETS, "data set", dataset_id, "samples", str(row), modality, what)
    answer = yield from call(Request(method="GET", path=path, headers={"accept": "*/*"}), backoff)
    return answer.body


def _filters(part: str | None, label: str | None) -> Params:
    return (("part", part), ("class", label))
