"""DatasetRegistration: the body of `POST /v1/datasets` and `/v1/datasets/validate`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from core.spec.base import Seed, SpecModel
from core.spec.data import DatasetSpec, Holdout
from core.spec.job import MetadataKey, MetadataValue, canonical_json


class DatasetRegistration(SpecModel):
    """A data set, and how V is drawn from it: the part of a job spec that its data decide.

    Registered once, it is named by its id in any number of jobs and experiments.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] = Field(default_factory=dict)
    """Your own labels; gblend stores them and reads nothing into them."""
    dataset: DatasetSpec
    holdout: Holdout = Holdout()
    """How a job that names this data set draws V, unless it says something else."""
    seed: Seed = 0
    """What V is drawn with for the statistics, where `holdout.seed` is left out; a job draws with its own seed."""

    def resolved(self) -> dict[str, Any]:
        """The registration as JSON with every default written out."""
        return self.model_dump(mode="json")

    def canonical(self) -> bytes:
        """Canonical JSON, as `JobSpec.canonical` has it. Equal registrations give equal bytes."""
        return canonical_json(self.resolved())
