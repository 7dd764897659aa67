"""Tier 3: from a spec to tensors. The training child runs `prepare` before the first epoch.

Everything is decoded once, rows that cannot be used are told (or dropped, where the spec allows it), the split and V
are drawn among those that stay, and preprocessing is fitted on T alone: never on V, validation or test.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.absence import absence_issues
from core.data.assessment import assess
from core.data.blobs import Blob
from core.data.decoding.pool import DecoderPool
from core.data.feature_pass import Telling
from core.data.features import Featuriser, fit_features
from core.data.fingerprint import dataset_fingerprint
from core.data.loading import Loading
from core.data.media import forbidden_issue, locate_files
from core.data.modalities import ModalityInfo, State, fit_modality, info_of, read_modality
from core.data.modalities.base import Reading, presence_of
from core.data.modalities.prepared import fit_prepared
from core.data.modalities.space import Space
from core.data.modalities.tabular import constant_columns
from core.data.pretrained import check_frames, find_pretrained, names_model, pretrained_of
from core.data.problems import UNAVAILABLE, RowProblem, is_passing
from core.data.quantity import TargetScale
from core.data.remote import RemoteBlob, fetching_ahead
from core.data.sources import Limits
from core.data.split import Codes
from core.data.store import Store
from core.data.survey import Survey, judge, take_survey
from core.data.table import Mask, Rows
from core.data.targets import Labels, LabelSets, Quantity, Targets, weight_issues
from core.data.tuning import LoadInputs, Tuned, read_inputs, tuned
from core.errors import DataError, Issue, SpecError
from core.spec.data import MediaModality, Modality, TabularModality, TargetType
from core.spec.job import JobSpec

__all__ = ["ModalityInfo", "PreparedData", "SplitIndices", "TargetScale", "prepare"]

_POINTER, _HOLDOUT_POINTER = "#/dataset", "#/holdout"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitIndices:
    """Row numbers (ascending int64) of each part: T is `train`, V is `holdout`, and no row is in two of them."""

    train: Rows
    holdout: Rows
    validation: Rows
    """May be empty."""
    test: Rows

    def as_dict(self) -> dict[str, Rows]:
        """The parts by name."""
        return {"train": self.train, "holdout": self.holdout, "validation": self.validation, "test": self.test}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedData:
    """Decoded samples, their labels and their split. Rows are numbered 0..N-1 among those in use."""

    modalities: dict[str, ModalityInfo]
    """Sorted by name."""
    task: TargetType
    classes: tuple[str, ...]
    """None for a regression."""
    split: SplitIndices
    targets: NDArray[Any]
    """Multiclass and binary: int64 `[N]`, indices into `classes`. Multilabel: float32 `[N, K]`, 1 where the row has the
    label. Regression: float64 `[N]`, standardised by `target_scale`."""
    target_scale: TargetScale | None
    """Of a regression, fitted on T."""
    sample_ids: tuple[str, ...]
    """The sample-id column's values; where there is none, row numbers of the source, from 0."""
    holdout_groups: tuple[str, ...]
    """The groups that V consists of; empty where V is not group-aware."""
    groups: NDArray[np.int64] | None
    """`[N]`: code of the group (a speaker, a patient) that each row belongs to, by the columns that V is drawn by; None
    where V is drawn without groups. Rows of one group are not independent: errors of means must know."""
    fingerprint: str
    warnings: tuple[Issue, ...]
    preprocessing: dict[str, State]
    """JSON: the fitted state of each modality, for `core.data.modalities.decode_sample`."""
    source_rows: Rows
    """`[N]`: each row's number in the source, from 0."""
    tuned: Mapping[str, Tuned] = field(default_factory=dict)
    """The pretrained models that are trained, by modality, as they are before that."""
    _stores: Mapping[str, Store] = field(repr=False)
    _targets: Targets = field(repr=False)

    @property
    def outputs(self) -> int:
        """How many numbers a head gives per sample: one per class, or one."""
        return len(self.classes) if self.task != "regression" else 1

    def strata(self, rows: Rows) -> Codes:
        """Codes `[len(rows)]` for a stratified draw among `rows`: classes, rarest labels, or bins of the target."""
        return self._targets.strata(rows)[0]

    def of(self, modalities: Collection[str]) -> PreparedData:
        """The same rows, whose batches hold these modalities alone."""
        return replace(self, _stores={name: store for name, store in self._stores.items() if name in modalities})

    def batch(self, rows: Rows) -> dict[str, NDArray[np.float32]]:
        """Encoded samples, modality name -> C-contiguous `[len(rows), *shape]`; labels are `targets[rows]`.

        A modality that may be missing has a second entry, `presence_of(name)` -> `[len(rows)]`: 1 where a row has it.
        Where that is 0 the first entry is a placeholder, zeros, that says nothing.
        """
        found: dict[str, NDArray[np.float32]] = {}
        for name, store in self._stores.items():
            found[name] = store.batch(rows)
            present = store.present(rows)
            if present is not None:
                found[presence_of(name)] = present
        return found


@dataclass(frozen=True, slots=True)
class _Means:
    """What reading has at hand."""

    pool: DecoderPool
    space: Space
    featuriser: Featuriser | None
    load_inputs: LoadInputs | None
    store_seconds: float
    telling: Telling
    tuned: dict[str, Tuned] = field(default_factory=dict)
    """Is filled while reading."""


def prepare(
    spec: JobSpec,
    roots: Mapping[str, Path],
    loading: Loading | None = None,
    featuriser: Featuriser | None = None,
    load_inputs: LoadInputs | None = None,
    telling: Telling | None = None,
) -> PreparedData:
    """Decode, split and fit. `roots` maps a URI scheme to its folder; `loading` says by what means, and changes no
    result; left out, all happens in this process. Modalities with frozen encoders need a `featuriser`, those whose
    pretrained models are trained `load_inputs`; how far these are is told to `telling` (a featuriser has its own).

    Raises DataError with every issue found: those of `core.data.validation`, and what only contents show (files that
    cannot be decoded, NaN, shapes); where an object store is away, with that alone (`core.data.problems.is_passing`).
    """
    dataset = spec.dataset
    loading = loading or Loading()
    survey = take_survey(
        dataset,
        spec.holdout,
        roots,
        arrays=True,
        pointer=_POINTER,
        holdout_pointer=_HOLDOUT_POINTER,
        limits=Limits(store_seconds=loading.store_seconds),
    )
    issues = survey.issues
    if survey.table is None or survey.source is None:
        raise _failure(issues)
    with DecoderPool(loading.processes, loading.file_seconds) as pool:
        space = Space(loading.scratch, loading.memory_bytes)
        means = _Means(pool, space, featuriser, load_inputs, loading.store_seconds, telling or Telling())
        readings = _read_all(survey, spec, roots, means)
    found, keep = judge(survey, dataset.on_bad_sample, _POINTER)
    issues += found
    if dataset.target.column not in survey.table.columns:
        raise _failure(issues)
    assessment = assess(
        survey.ruling_table(keep),
        dataset,
        spec.holdout,
        seed=spec.seed,
        pointer=_POINTER,
        holdout_pointer=_HOLDOUT_POINTER,
    )
    issues += assessment.issues
    issues += weight_issues(assessment.labels, spec.training.loss.class_weights)
    absent = {name: mask[keep] for name, mask in survey.absent.items()}
    issues += absence_issues(dataset.modalities, absent, assessment, _POINTER)
    rows_by_part = assessment.rows_by_part()
    if rows_by_part is None or any(issue.severity == "error" for issue in issues):
        raise _failure(issues)
    split = SplitIndices(**rows_by_part)
    states, stores = _fit_all(spec, readings, keep, split, absent, issues, means.space)
    rows = survey.rows[keep]
    targets, target_scale = _targets_of(assessment.labels, split)
    return PreparedData(
        modalities={name: info_of(name, state) for name, state in states.items()},
        task=dataset.target.type,
        classes=assessment.labels.classes,
        split=split,
        targets=targets,
        target_scale=target_scale,
        sample_ids=tuple(survey.sample_ids[row] for row in keep.tolist()),
        holdout_groups=assessment.holdout_groups,
        groups=assessment.groups,
        fingerprint=dataset_fingerprint(
            dataset,
            spec.holdout,
            seed=spec.seed if spec.holdout.seed is None else spec.holdout.seed,
            source_digest=survey.source.digest(),
            media={
                name: [reading.digests[row] for row in keep.tolist()]
                for name, reading in readings.items()
                if reading.digests
            },
            split={part: rows[indices] for part, indices in split.as_dict().items()},
            frozen={
                name: how["digest"]
                for name, reading in readings.items()
                if (how := reading.frozen or reading.prepared) is not None
            },
        ),
        warnings=tuple(issues),
        preprocessing=states,
        source_rows=rows,
        tuned=means.tuned,
        _stores=stores,
        _targets=assessment.labels,
    )


def _read_all(survey: Survey, spec: JobSpec, roots: Mapping[str, Path], means: _Means) -> dict[str, Reading]:
    """Decode every modality that can be; problems go to the survey. Sorted by name."""
    readings: dict[str, Reading] = {}
    for index, modality in sorted(enumerate(spec.dataset.modalities), key=lambda pair: pair[1].name):
        if modality.name not in survey.usable:
            continue
        where = f"{_POINTER}/modalities/{index}/{'column' if getattr(modality, 'column', None) else 'columns'}"
        try:
            reading = _read_one(modality, where, survey, roots, means)
        except (SpecError, DataError) as error:  # a property of the modality or its encoder, not of one row
            found = tuple(replace(issue, pointer=issue.pointer or where) for issue in error.issues)
            if is_passing(error):  # who asks for the next modality waits once more
                error.issues = found
                raise
            survey.issues += found
            continue
        survey.tell(modality.name, where, reading.problems)
        survey.issues += [replace(warning, pointer=where) for warning in reading.warnings]
        readings[modality.name] = reading
    return readings


def _read_one(modality: Modality, where: str, survey: Survey, roots: Mapping[str, Path], means: _Means) -> Reading:
    assert survey.table is not None
    assert survey.source is not None
    blobs: Sequence[Blob | None] = ()
    missing: list[RowProblem] = []
    if isinstance(modality, MediaModality):
        cells = survey.table.columns[modality.column].cells()
        located = locate_files(cells, survey.source.base, roots, store_seconds=means.store_seconds)
        issue = forbidden_issue(located, cells, survey.sample_ids, where)
        if issue is not None:
            survey.issues.append(issue)
        blobs, missing = located.blobs, located.problems
    encoder = pretrained_of(modality)
    # What is fetched while it is decoded is decoded here: another process would have to fetch it itself.
    pool = None if any(isinstance(blob, RemoteBlob) for blob in blobs) else means.pool.worth(blobs)
    with fetching_ahead(blobs) as at_hand:
        if encoder is None:
            reading = read_modality(modality, survey.table, at_hand, pool, means.space)
        else:
            pointer = names_model(encoder, where.rpartition("/")[0])
            hub = None if means.featuriser is None else means.featuriser.hub
            files = find_pretrained(encoder, modality.type, roots, pointer, hub)
            if encoder.is_frozen:
                if means.featuriser is None:
                    raise ValueError(f"{modality.name!r} has a frozen encoder: prepare() needs a featuriser")
                reading = means.featuriser.read(modality, files, pointer, survey.table, at_hand)
            else:
                if means.load_inputs is None:
                    raise ValueError(f"{modality.name!r} has a pretrained model: prepare() needs load_inputs")
                begun_with = tuned(files, pointer)
                check_frames(modality, files, pointer)
                inputs = means.load_inputs(modality, files, pointer)
                reading = read_inputs(
                    modality, files, inputs, survey.table, at_hand, pool, means.space, means.telling, pointer
                )
                digest = (reading.prepared or {})["digest"]
                means.tuned[modality.name] = replace(begun_with, digest=digest)
    reading.problems = sorted([*missing, *reading.problems], key=lambda problem: problem.row)
    return reading


def _targets_of(targets: Targets, split: SplitIndices) -> tuple[NDArray[Any], TargetScale | None]:
    """What heads are trained on (see `PreparedData.targets`), and a regression's scale."""
    if isinstance(targets, LabelSets):
        return targets.members.astype(np.float32), None
    if isinstance(targets, Quantity):
        scale = targets.fit(split.train)
        return (targets.values - scale.mean) / scale.scale, scale
    assert isinstance(targets, Labels)
    return targets.codes, None


def _fit_all(
    spec: JobSpec,
    readings: dict[str, Reading],
    keep: Rows,
    split: SplitIndices,
    absent: Mapping[str, Mask],
    issues: list[Issue],
    space: Space,
) -> tuple[dict[str, State], dict[str, Store]]:
    """Fit every modality on the rows of T that have it, and encode it. Each reading is let go as soon as its store
    holds its samples."""
    by_name = {modality.name: (index, modality) for index, modality in enumerate(spec.dataset.modalities)}
    states: dict[str, State] = {}
    stores: dict[str, Store] = {}
    for name, reading in readings.items():
        index, modality = by_name[name]
        raw: NDArray[Any] = reading.raw
        reading.raw = np.empty(0)
        gone = absent.get(name)
        train = keep[split.train if gone is None else split.train[~gone[split.train]]]
        if reading.prepared:
            states[name] = fit_prepared(raw, train, reading.prepared)
        elif reading.frozen:
            states[name] = fit_features(raw, train, reading.frozen)
        else:
            states[name] = fit_modality(modality, raw, train)
        if gone is not None:
            states[name]["missing"] = "mask"
        if isinstance(modality, TabularModality):
            where = f"{_POINTER}/modalities/{index}/columns"
            issues += [replace(issue, pointer=where) for issue in constant_columns(modality.columns, raw, train)]
        stores[name] = Store(raw, states[name], gone, rows=keep, space=space)
    return states, stores


def _failure(issues: list[Issue]) -> DataError:
    """All issues in one error that carries the first one's words; of what may pass only where there is nothing else."""
    ordered = sorted(issues, key=lambda issue: (issue.severity != "error", issue.code == UNAVAILABLE))
    errors = [issue for issue in ordered if issue.severity == "error"]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return DataError(f"{errors[0].detail}{more}", code=errors[0].code, hint=errors[0].hint, issues=tuple(ordered))
