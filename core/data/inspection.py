"""A data set looked at as closely as bounded time allows: tier 2, the headers of files, copies in two parts, numbers.

What `POST /v1/datasets/validate` and a registration answer. A job's submission makes do with `core.data.validation`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from core.data.blobs import Blob
from core.data.describing import describe, joined_texts, part_codes
from core.data.duplicates import Budget, Duplicates, duplicate_issue, same_files, same_texts
from core.data.fingerprint import dataset_fingerprint
from core.data.media_headers import Headers, read_headers
from core.data.modalities.audio import rate_warnings
from core.data.problems import NOT_CHECKED, RowProblem
from core.data.split import UNUSED, Codes
from core.data.statistics import DatasetStatistics
from core.data.validation import CheckLimits, FileProblems, Look, look_at
from core.errors import Issue
from core.spec.data import AudioModality, DatasetSpec, Holdout, MediaModality, Modality, TextModality


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionLimits:
    """What one inspection may cost."""

    check: CheckLimits = field(default_factory=CheckLimits)
    headers: int = 5000
    """Files of a modality whose headers are read; of more, an even sample of the rows."""
    header_seconds: float = 5.0
    """After so long, over all modalities, no further header is read."""
    compared_bytes: int = 2 * 2**30
    """Of files of one size, read to find copies."""
    compared_seconds: float = 5.0
    """After so long no further file is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found."""

    issues: tuple[Issue, ...]
    """Errors first."""
    statistics: DatasetStatistics | None
    """None where the source cannot be read."""
    fingerprint: str | None
    """`sha256:<hex>` of the spec, the source's bytes and the split, but not of the files that it names; None where
    anything is wrong."""

    @property
    def is_valid(self) -> bool:
        """Whether nothing is wrong."""
        return not any(issue.severity == "error" for issue in self.issues)


def inspect(
    spec: DatasetSpec,
    holdout: Holdout,
    roots: Mapping[str, Path],
    *,
    seed: int = 0,
    pointer: str = "#/dataset",
    holdout_pointer: str = "#/holdout",
    limits: InspectionLimits | None = None,
    allow_hub: Sequence[str] = (),
) -> Inspection:
    """Everything that can be said of a data set before its contents are decoded; never raises for bad data."""
    limits = limits or InspectionLimits()
    headers: dict[str, Headers] = {}
    look = look_at(
        spec,
        holdout,
        roots,
        seed=seed,
        pointer=pointer,
        holdout_pointer=holdout_pointer,
        limits=limits.check,
        look_into=header_problems(headers, limits),
        allow_hub=allow_hub,
    )
    if look.survey.table is None:
        # What was not looked at in time is no reason to refuse a job, but there is nothing to say of it here.
        found = [replace(issue, severity="error") if issue.code == NOT_CHECKED else issue for issue in look.issues]
        return Inspection(issues=tuple(found), statistics=None, fingerprint=None)
    parts = part_codes(look)
    texts = {
        modality.name: joined_texts(look.survey.table, modality)
        for modality in spec.modalities
        if isinstance(modality, TextModality) and modality.name in look.survey.usable
    }
    duplicates = _duplicates(look, parts, texts, limits)
    issues = [*look.issues, *_warnings(spec, look, headers, duplicates, pointer)]
    issues.sort(key=lambda issue: issue.severity != "error")
    valid = not any(issue.severity == "error" for issue in issues)
    return Inspection(
        issues=tuple(issues),
        statistics=describe(spec, holdout, look, parts, headers, duplicates, texts),
        fingerprint=fingerprint_of(spec, holdout, seed, look) if valid else None,
    )


def header_problems(headers: dict[str, Headers], limits: InspectionLimits) -> FileProblems:
    """For `look_at`: reads the headers of files, and keeps what they say in `headers`, by modality."""
    ends: list[float] = []

    def look_into(modality: Modality, blobs: Sequence[Blob | None]) -> list[RowProblem]:
        assert isinstance(modality, MediaModality)
        if not ends:  # the clock starts after the search for the first column's files
            ends.append(time.monotonic() + limits.header_seconds)
        headers[modality.name] = read_headers(modality, blobs, most=limits.headers, deadline=ends[0])
        return headers[modality.name].problems

    return look_into


def _duplicates(
    look: Look, parts: Codes, texts: Mapping[str, list[str]], limits: InspectionLimits
) -> dict[str, Duplicates]:
    budget = Budget(limits.compared_bytes, time.monotonic() + limits.compared_seconds)
    found = {name: same_files(blobs, _present(look, name, parts), budget) for name, blobs in look.media.items()}
    return found | {name: same_texts(words, parts) for name, words in texts.items()}


def _present(look: Look, modality: str, parts: Codes) -> Codes:
    """The parts without the rows that lack the modality: there is no file that was not looked at."""
    absent = look.survey.absent.get(modality)
    return parts if absent is None else np.where(absent, UNUSED, parts)


def _warnings(
    spec: DatasetSpec, look: Look, headers: Mapping[str, Headers], duplicates: Mapping[str, Duplicates], pointer: str
) -> list[Issue]:
    issues: list[Issue] = []
    for index, modality in enumerate(spec.modalities):
        where = f"{pointer}/modalities/{index}"
        if isinstance(modality, AudioModality) and modality.name in headers:
            rates = headers[modality.name].counts.get("sample_rate", Counter())
            found = rate_warnings(
                Counter({int(rate): count for rate, count in rates.items()}), modality.preprocess.sample_rate
            )
            issues += [replace(issue, pointer=f"{where}/column") for issue in found]
        if modality.name in duplicates:
            field_name = "columns" if isinstance(modality, TextModality) and modality.columns else "column"
            issue = duplicate_issue(
                duplicates[modality.name], modality.name, look.survey.sample_ids, f"{where}/{field_name}"
            )
            issues += [issue] if issue is not None else []
    return issues


def fingerprint_of(spec: DatasetSpec, holdout: Holdout, seed: int, look: Look) -> str | None:
    """Of the spec, the source's bytes and the split; None where the split is not known."""
    source = look.survey.source
    split = look.assessment.rows_by_part() if look.assessment is not None else None
    if split is None or source is None:
        return None
    rows = look.survey.rows[look.keep]
    return dataset_fingerprint(
        spec,
        holdout,
        seed=seed if holdout.seed is None else holdout.seed,
        source_digest=source.digest(),
        media={},
        split={part: rows[indices] for part, indices in split.items()},
    )
