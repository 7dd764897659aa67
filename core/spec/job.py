"""JobSpec: the body of `POST /v1/jobs`, and its canonical form and digest."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from core.spec.base import FUSED, Seed, SpecModel
from core.spec.data import DatasetSpec, Holdout
from core.spec.recipe import (
    Answer,
    Blending,
    FixedBlending,
    ModelSpec,
    OnlineBlending,
    RuntimeSpec,
    TrainingSpec,
    UnimodalBlending,
)

MetadataKey = Annotated[str, Field(min_length=1, max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]


class JobSpec(SpecModel):
    """One training job: a data set, a strategy, and everything that decides the numbers that come out.

    Two jobs with the same spec, the same data and a CPU give the same bits.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] = Field(default_factory=dict)
    """Your own labels; gblend stores them and reads nothing into them."""
    seed: Seed = 0
    dataset: DatasetSpec
    holdout: Holdout = Holdout()
    model: ModelSpec = ModelSpec()
    blending: Blending = OnlineBlending()
    training: TrainingSpec = TrainingSpec()
    answer: Answer = "auto"
    runtime: RuntimeSpec = RuntimeSpec()

    @property
    def modality_names(self) -> tuple[str, ...]:
        """Sorted, so that the order in which they were written never changes a result."""
        return tuple(sorted(modality.name for modality in self.dataset.modalities))

    @property
    def head_names(self) -> tuple[str, ...]:
        """The M uni-modal heads, sorted, then the fused one."""
        return (*self.modality_names, FUSED)

    @model_validator(mode="after")
    def _blending_names_heads(self) -> Self:
        if isinstance(self.blending, UnimodalBlending) and self.blending.modality not in self.modality_names:
            raise ValueError(
                f"blending.modality {self.blending.modality!r} is not a modality; there are {list(self.modality_names)}"
            )
        if isinstance(self.blending, FixedBlending):
            unknown = sorted(set(self.blending.weights) - set(self.head_names))
            if unknown:
                raise ValueError(f"blending.weights names unknown heads {unknown}; there are {list(self.head_names)}")
        return self

    def resolved(self) -> dict[str, Any]:
        """The spec as JSON with every default written out."""
        return self.model_dump(mode="json")

    def canonical(self) -> bytes:
        """Canonical JSON: every default written out, keys sorted, no blanks. Equal specs give equal bytes."""
        return canonical_json(self.resolved())

    def fingerprint(self) -> str:
        """`sha256:<hex>` of what decides the result: the canonical spec without `name` and `metadata`."""
        raw = {key: value for key, value in self.resolved().items() if key not in ("name", "metadata")}
        return f"sha256:{hashlib.sha256(canonical_json(raw)).hexdigest()}"


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no blanks, UTF-8; NaN and infinity are refused (`ValueError`)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
