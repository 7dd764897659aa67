"""The fingerprint of prepared data: equal ones mean the same samples, decoded the same way, on the same sides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.data.table import Rows
from core.errors import DataError, Issue
from core.spec.data import DatasetSpec, Holdout
from core.spec.job import canonical_json


def dataset_fingerprint(
    spec: DatasetSpec,
    holdout: Holdout,
    *,
    seed: int,
    source_digest: str,
    media: Mapping[str, Sequence[bytes]],
    split: Mapping[str, Rows],
    frozen: Mapping[str, str] | None = None,
) -> str:
    """`sha256:<hex>` over the canonical spec, the source's bytes, every media file's bytes and the split.

    Encoders are left out (they are the model's), and so is what training batches are varied by (`augment`); modalities
    are sorted by name. So neither another encoder or augmentation nor another order makes other data. Which rows lack a
    modality follows from the source's bytes. `seed` is the one that V was drawn with; `media` maps a modality to the
    SHA-256 of its files in row order; `split` maps a part to its row numbers in the source;
    `frozen` a modality to the digest of the model that encodes it once and for all.
    """
    told: dict[str, Any] = {
        "dataset": _canonical_spec(spec),
        "holdout": {**holdout.model_dump(mode="json"), "seed": seed},
        "source": source_digest,
        "media": {name: hashlib.sha256(b"".join(digests)).hexdigest() for name, digests in sorted(media.items())},
        "split": {
            part: hashlib.sha256(np.ascontiguousarray(rows, dtype="<i8").tobytes()).hexdigest()
            for part, rows in sorted(split.items())
        },
    }
    if frozen:  # other files of a frozen encoder make other data
        told["frozen"] = dict(sorted(frozen.items()))
    return f"sha256:{hashlib.sha256(canonical_json(told)).hexdigest()}"


def _canonical_spec(spec: DatasetSpec) -> dict[str, Any]:
    raw = spec.model_dump(mode="json")
    # `missing` is younger than fingerprints: where it says nothing new, data keep the one that they had.
    modalities = [
        {
            key: value
            for key, value in modality.items()
            if key not in ("encoder", "augment") and (key, value) != ("missing", "error")
        }
        for modality in raw["modalities"]
    ]
    raw["modalities"] = sorted(modalities, key=lambda modality: str(modality["name"]))
    return raw


def check_same_data(begun_with: str | None, found: str) -> None:
    """Raises DataError `data.changed` where a job that has begun with data of one fingerprint finds those of another.

    What it has told is of the first, and would be mixed with what it told of the others.
    """
    if begun_with is not None and begun_with != found:
        detail = "the data, or a pretrained model, are others than those that this job began with"
        hint = "put the old files back and retry the job, or submit a new one for the new files"
        issue = Issue(code="data.changed", detail=detail, hint=hint, pointer="#/dataset")
        raise DataError(detail, code=issue.code, hint=hint, issues=(issue,))
