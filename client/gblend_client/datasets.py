"""Everything about data sets, sync and async: look at them closely, register them, name them in jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from gblend_client import _registering
from gblend_client._drivers import AsyncDriver, SyncDriver
from gblend_client._retry import Policy
from gblend_client.dataset_types import Dataset, DatasetInference, DatasetValidation, Sample
from gblend_client.specfile import SpecInput, load
from gblend_client.types import Page


class Datasets:
    """Everything about data sets."""

    def __init__(self, driver: SyncDriver, policy: Policy) -> None:
        self._driver = driver
        self._policy = policy

    def validate(self, spec: SpecInput) -> DatasetValidation:
        """What is wrong or odd with a data set, and what it holds; nothing is created.

        `spec` is a job's, an experiment's, a registration, or a data set alone (a mapping, or the path of a YAML or
        JSON file). Raises `Validation` where it is no such thing at all.
        """
        return self._driver.run(_registering.validate(load(spec), self._policy.calls))

    def infer(self, uri: str, *, target: str | None = None) -> DatasetInference:
        """A guess at the spec of what lies at a URI (`data://clips/manifest.csv`, a folder, shards), with reasons.

        `target` names the column to be predicted. Raises `Validation` where there is nothing to read.
        """
        return self._driver.run(_registering.infer(uri, target, self._policy.calls))

    def register(self, spec: SpecInput, *, idempotency_key: str | None = None) -> Dataset:
        """Registers what `validate` finds nothing wrong with; `spec` as there. Jobs can then name it by its id.

        The `idempotency_key` is made up where none is given. Raises `Validation`.
        """
        return self._driver.run(_registering.register(load(spec), idempotency_key, self._policy.calls))

    def get(self, dataset_id: str) -> Dataset:
        """The data set as it was registered. Raises `NotFound`."""
        return self._driver.run(_registering.get_dataset(dataset_id, self._policy.calls))

    def list(self, *, limit: int | None = None) -> Iterator[Dataset]:
        """The project's data sets, newest first, fetched page by page; at most `limit`."""
        return self._driver.stream(_registering.list_datasets(limit, self._policy.calls))

    def page(self, *, after: str | None = None, limit: int = 20) -> Page[Dataset]:
        """One page of `list`."""
        return self._driver.run(_registering.dataset_page(after, limit, self._policy.calls))

    def delete(self, dataset_id: str) -> None:
        """Forgets a registration; the data stay, and so do jobs that named it."""
        self._driver.run(_registering.delete(dataset_id, self._policy.calls))

    def samples(
        self, dataset_id: str, *, part: str | None = None, label: str | None = None, limit: int | None = None
    ) -> Iterator[Sample]:
        """Rows in the order of the source: of a part (`train`, `holdout`, `validation`, `test`), of a class.

        Raises `Conflict` where the data are no longer what was registered.
        """
        return self._driver.stream(_registering.samples(dataset_id, part, label, limit, self._policy.calls))

    def sample_page(
        self,
        dataset_id: str,
        *,
        part: str | None = None,
        label: str | None = None,
        after: str | None = None,
        limit: int = 12,
    ) -> Page[Sample]:
        """One page of `samples`, of at most 50."""
        return self._driver.run(_registering.sample_page(dataset_id, part, label, after, limit, self._policy.calls))

    def preview(self, dataset_id: str, row: int, modality: str) -> bytes:
        """A PNG of a sample's image, sound (its spectrogram) or video (four frames).

        Raises `NotFound` where there is none, `Validation` where the file cannot be decoded.
        """
        return self._driver.run(_registering.shown(dataset_id, row, modality, "preview", self._policy.calls))

    def sound(self, dataset_id: str, row: int, modality: str) -> bytes:
        """A WAV of the first seconds of a sample's sound. Raises as `preview` does."""
        return self._driver.run(_registering.shown(dataset_id, row, modality, "sound", self._policy.calls))


class AsyncDatasets:
    """Everything about data sets; every method is that of `Datasets`, awaited or iterated with `async for`."""

    def __init__(self, driver: AsyncDriver, policy: Policy) -> None:
        self._driver = driver
        self._policy = policy

    async def validate(self, spec: SpecInput) -> DatasetValidation:
        """See `Datasets.validate`."""
        return await self._driver.run(_registering.validate(load(spec), self._policy.calls))

    async def infer(self, uri: str, *, target: str | None = None) -> DatasetInference:
        """See `Datasets.infer`."""
        return await self._driver.run(_registering.infer(uri, target, self._policy.calls))

    async def register(self, spec: SpecInput, *, idempotency_key: str | None = None) -> Dataset:
        """See `Datasets.register`."""
        return await self._driver.run(_registering.register(load(spec), idempotency_key, self._policy.calls))

    async def get(self, dataset_id: str) -> Dataset:
        """See `Datasets.get`."""
        return await self._driver.run(_registering.get_dataset(dataset_id, self._policy.calls))

    def list(self, *, limit: int | None = None) -> AsyncIterator[Dataset]:
        """See `Datasets.list`."""
        return self._driver.stream(_registering.list_datasets(limit, self._policy.calls))

    async def page(self, *, after: str | None = None, limit: int = 20) -> Page[Dataset]:
        """See `Datasets.page`."""
        return await self._driver.run(_registering.dataset_page(after, limit, self._policy.calls))

    async def delete(self, dataset_id: str) -> None:
        """See `Datasets.delete`."""
        await self._driver.run(_registering.delete(dataset_id, self._policy.calls))

    def samples(
        self, dataset_id: str, *, part: str | None = None, label: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Sample]:
        """See `Datasets.samples`."""
        return self._driver.stream(_registering.samples(dataset_id, part, label, limit, self._policy.calls))

    async def sample_page(
        self,
        dataset_id: str,
        *,
        part: str | None = None,
        label: str | None = None,
        after: str | None = None,
        limit: int = 12,
    ) -> Page[Sample]:
        """See `Datasets.sample_page`."""
        return await self._driver.run(
            _registering.sample_page(dataset_id, part, label, after, limit, self._policy.calls)
        )

    async def preview(self, dataset_id: str, row: int, modality: str) -> bytes:
        """See `Datasets.preview`."""
        return await self._driver.run(_registering.shown(dataset_id, row, modality, "preview", self._policy.calls))

    async def sound(self, dataset_id: str, row: int, modality: str) -> bytes:
        """See `Datasets.sound`."""
        return await self._driver.run(_registering.shown(dataset_id, row, modality, "sound", self._policy.calls))
