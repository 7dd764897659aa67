"""A data set opened to be looked at: its rows, their labels and their parts, as a job would have them now."""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from core.data.assessment import assess
from core.data.describing import part_codes
from core.data.duplicates import PARTS
from core.data.inspection import InspectionLimits, fingerprint_of, header_problems
from core.data.label_sets import LabelSets
from core.data.media_headers import Headers
from core.data.sources import Limits
from core.data.split import Codes
from core.data.survey import judge, take_survey
from core.data.table import Column, Mask, Rows
from core.data.targets import Labels, Quantity
from core.data.validation import CheckLimits, Look, look_at
from core.errors import ConflictError, DataError, Issue, NotFoundError, SpecError
from core.spec.registration import DatasetRegistration

ARRAY_BYTES = 2**30
"""Of what is read of a parquet, npz or safetensors file: less than a job reads."""
DIGESTED_BYTES = 256 * 2**20
"""Of sources that are larger it is not said whether they have changed."""
TOO_LARGE = "it takes more memory than a preview may"
_POINTER, _HOLDOUT_POINTER = "#/dataset", "#/holdout"


def _limits(seconds: float) -> CheckLimits:
    source = Limits(array_bytes=ARRAY_BYTES, fetched_now=512 * 2**20, fetch_seconds=seconds)
    return CheckLimits(seconds=seconds, source=source)


@dataclass(slots=True)
class Opened:
    """Rows are those of the survey's table, by their places in it, unless they are said to be the source's."""

    registration: DatasetRegistration
    roots: Mapping[str, Path]
    look: Look
    parts: Codes
    """Each row's place in `core.data.duplicates.PARTS`; -1 for a row that a job would not use."""
    fingerprint: str | None
    """As a registration would have it now; None where the source is too large for that."""
    stamps: tuple[tuple[str, int, int], ...]
    _columns: dict[str, Column] = field(default_factory=dict)

    @property
    def rows(self) -> Rows:
        """Numbers in the source, ascending."""
        return self.look.survey.rows

    def column(self, name: str) -> Column:
        """A column of all rows; those that a look does without are read when they are first asked for, and kept.

        Raises DataError.
        """
        survey = self.look.survey
        assert survey.table is not None
        assert survey.source is not None
        if name in survey.table.columns:
            return survey.table.columns[name]
        if name not in self._columns:
            try:
                self._columns[name] = survey.source.read([name]).columns[name].take(survey.rows)
            except DataError as error:
                if not isinstance(error.__cause__, MemoryError):
                    raise
                raise DataError(TOO_LARGE, code="preview.too_large") from None
        return self._columns[name]

    def place_of(self, source_row: int) -> int:
        """Raises NotFoundError (`sample.not_found`)."""
        place = int(np.searchsorted(self.rows, source_row))
        if place == len(self.rows) or int(self.rows[place]) != source_row:
            raise NotFoundError(f"the data set has no row {source_row} in use", code="sample.not_found")
        return place

    def chosen(self, part: str | None, name: str | None) -> Rows:
        """The rows of a part and of a class. Raises SpecError (`dataset.unknown_class`)."""
        mask = np.ones(len(self.rows), dtype=np.bool_)
        if part is not None:
            mask &= self.parts == PARTS.index(part)
        if name is not None:
            mask &= self._having(name)
        return np.flatnonzero(mask).astype(np.int64)

    def labels(self, places: Rows) -> list[tuple[list[str], float | None]]:
        """Of each row its classes, and the number of a regression."""
        assert self.look.assessment is not None
        targets = self.look.assessment.labels
        found: list[tuple[list[str], float | None]] = []
        for own, usable in zip(np.searchsorted(self.look.keep, places), self._usable(places), strict=True):
            if not usable:
                found.append(([], None))
            elif isinstance(targets, Quantity):
                found.append(([], float(targets.values[own])))
            elif isinstance(targets, LabelSets):
                found.append(([targets.classes[code] for code in np.flatnonzero(targets.members[own])], None))
            else:
                assert isinstance(targets, Labels)
                found.append(([targets.classes[targets.codes[own]]], None))
        return found

    def is_stale(self) -> bool:
        """Whether the source's files are others than when it was opened."""
        return self.stamps != _stamps(self.look)

    def _having(self, name: str) -> Mask:
        assert self.look.assessment is not None
        targets = self.look.assessment.labels
        if name not in targets.classes:
            close = difflib.get_close_matches(name[:200], targets.classes[:1000], n=1)
            hint = f"did you mean {close[0]!r}?" if close else None
            hint = "the target is a number" if isinstance(targets, Quantity) else hint
            raise SpecError(f"the data set has no class {name[:80]!r}", code="dataset.unknown_class", hint=hint)
        code = targets.classes.index(name)
        mask = np.zeros(len(self.rows), dtype=np.bool_)
        if isinstance(targets, LabelSets):
            mask[self.look.keep] = targets.members[:, code]
        else:
            assert isinstance(targets, Labels)
            mask[self.look.keep] = targets.codes == code
        return mask

    def _usable(self, places: Rows) -> Mask:
        mask = np.zeros(len(self.rows), dtype=np.bool_)
        mask[self.look.keep] = True
        return mask[places]


def open_dataset(registration: DatasetRegistration, roots: Mapping[str, Path], *, seconds: float) -> Opened:
    """Raises ConflictError (`dataset.unreadable`) where the data are no longer what was registered.

    Files are looked for only where a job might drop rows whose files are bad: then they decide which rows are split.
    """
    spec, holdout = registration.dataset, registration.holdout
    if spec.on_bad_sample.action == "drop":
        headers: dict[str, Headers] = {}
        look = look_at(
            spec,
            holdout,
            roots,
            seed=registration.seed,
            limits=_limits(seconds),
            look_into=header_problems(headers, InspectionLimits()),
        )
    else:
        look = _quick_look(registration, roots, seconds)
    survey = look.survey
    if survey.table is None or look.assessment is None or look.assessment.parts is None:
        errors = [issue for issue in look.issues if issue.severity == "error"] or look.issues
        raise _unreadable(errors)
    wrong = [issue for issue in survey.issues if issue.severity == "error"]
    if wrong:
        raise _unreadable(wrong)
    stamps = _stamps(look)
    size = sum(size for _, _, size in stamps)
    return Opened(
        registration=registration,
        roots=roots,
        look=look,
        parts=part_codes(look),
        fingerprint=fingerprint_of(spec, holdout, registration.seed, look) if size <= DIGESTED_BYTES else None,
        stamps=stamps,
    )


def _quick_look(registration: DatasetRegistration, roots: Mapping[str, Path], seconds: float) -> Look:
    spec, holdout = registration.dataset, registration.holdout
    survey = take_survey(
        spec,
        holdout,
        roots,
        arrays=False,
        pointer=_POINTER,
        holdout_pointer=_HOLDOUT_POINTER,
        limits=replace(_limits(seconds).source, deadline=time.monotonic() + seconds),
    )
    look = Look(survey, list(survey.issues))
    if survey.table is None:
        return look
    found, look.keep = judge(survey, spec.on_bad_sample, _POINTER)
    look.issues += found
    if spec.target.column in survey.table.columns:
        look.assessment = assess(
            survey.ruling_table(look.keep),
            spec,
            holdout,
            seed=registration.seed,
            pointer=_POINTER,
            holdout_pointer=_HOLDOUT_POINTER,
        )
        look.issues += look.assessment.issues
    return look


def _unreadable(issues: list[Issue]) -> ConflictError:
    detail = "the data set cannot be read any more as it was registered"
    hint = "register it anew, or put its files back"
    return ConflictError(detail, code="dataset.unreadable", hint=hint, issues=tuple(issues))


def _stamps(look: Look) -> tuple[tuple[str, int, int], ...]:
    """Path, time of change and size of the source's files; of a folder, of itself alone."""
    assert look.survey.source is not None
    found = []
    for path in look.survey.source.files:
        try:
            stat = os.stat(path)
        except OSError:  # gone: that is another state than any other
            found.append((os.fspath(path), -1, 0))
            continue
        found.append((os.fspath(path), stat.st_mtime_ns, stat.st_size))
    return tuple(found)
