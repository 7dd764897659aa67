"""From a look at a data set to its statistics (`core.data.statistics`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from core.data.absence import absent_rows
from core.data.assessment import Assessment, joint_values
from core.data.duplicates import PARTS, Duplicates
from core.data.media_headers import Headers
from core.data.modalities.text import joined, tokens_of
from core.data.split import TEST, TRAIN, UNUSED, VALIDATION, Codes
from core.data.statistics import (
    ClassStatistics,
    ColumnStatistics,
    DatasetStatistics,
    DuplicateStatistics,
    ModalityStatistics,
    PartStatistics,
    Spread,
    TargetStatistics,
)
from core.data.survey import Survey
from core.data.table import Column, Table
from core.data.targets import Quantity
from core.data.validation import Look
from core.spec.data import DatasetSpec, Holdout, MediaModality, Modality, TabularColumn, TabularModality, TextModality

MOST_CLASSES = 1000
_COMMON = 5
_TEXTS = 20_000
"""Texts whose words are counted; of more, an even sample."""


def part_codes(look: Look) -> Codes:
    """`[N]` over the rows of the survey's table: each row's place in PARTS, -1 for rows without a part."""
    assert look.survey.table is not None
    codes = np.full(look.survey.table.rows, UNUSED, dtype=np.int64)
    assessment = look.assessment
    if assessment is None or assessment.parts is None:
        return codes
    place = np.array([PARTS.index("train"), PARTS.index("validation"), PARTS.index("test")])
    parts = assessment.parts.astype(np.int64)
    assert (TRAIN, VALIDATION, TEST) == (0, 1, 2)
    mine = np.where(parts >= 0, place[parts], UNUSED)
    if assessment.holdout is not None:
        mine[assessment.holdout] = PARTS.index("holdout")
    codes[look.keep] = mine
    return codes


def describe(
    spec: DatasetSpec,
    holdout: Holdout,
    look: Look,
    parts: Codes,
    headers: Mapping[str, Headers],
    duplicates: Mapping[str, Duplicates],
    texts: Mapping[str, list[str]],
) -> DatasetStatistics:
    """Count everything. `parts` is `part_codes(look)`, `texts` has `joined_texts` of every usable text modality; needs
    the survey's table."""
    survey = look.survey
    assert survey.table is not None
    assert survey.source is not None
    return DatasetStatistics(
        rows=survey.source.rows,
        left_out=survey.source.rows - survey.table.rows,
        unusable=len(survey.problems.rows),
        parts=_parts(spec, holdout, look, parts),
        holdout_groups=look.assessment.holdout_groups if look.assessment is not None else (),
        target=_target(spec, look, parts),
        modalities=tuple(
            _modality(modality, survey, headers.get(modality.name), duplicates.get(modality.name), texts)
            for modality in spec.modalities
            if modality.name in survey.usable
        ),
        complete=all(found.complete for found in headers.values())
        and all(found.complete for found in duplicates.values()),
    )


def _parts(spec: DatasetSpec, holdout: Holdout, look: Look, parts: Codes) -> tuple[PartStatistics, ...]:
    table, assessment = look.survey.table, look.assessment
    assert table is not None
    if assessment is None or assessment.parts is None:
        return ()
    columns = spec.split.group_by or holdout.group_by or ()
    groups = np.array(joint_values(table, columns), dtype=object) if columns else None
    found = []
    for code, name in enumerate(PARTS):
        rows = parts == code
        found.append(
            PartStatistics(
                name=name,
                rows=int(rows.sum()),
                groups=None if groups is None else len(set(groups[rows].tolist())),
                quantity=_quantity(assessment, parts[look.keep] == code),
            )
        )
    return tuple(found)


def _quantity(assessment: Assessment, rows: np.ndarray) -> Spread | None:
    return Spread.of(assessment.labels.values[rows]) if isinstance(assessment.labels, Quantity) else None


def _target(spec: DatasetSpec, look: Look, parts: Codes) -> TargetStatistics | None:
    assessment = look.assessment
    if assessment is None:
        return None
    names = assessment.labels.classes
    mine = parts[look.keep]
    there = [name for code, name in enumerate(PARTS) if (mine == code).any()]
    counts = {name: assessment.labels.counts(mine == PARTS.index(name)) for name in there} if names else {}
    trained = [int(count) for count in counts.get("train", ()) if count]
    return TargetStatistics(
        type=spec.target.type,
        missing=len(look.survey.problems.without_label),
        class_count=len(names),
        classes=tuple(
            ClassStatistics(name=name, rows={part: int(count[place]) for part, count in counts.items()})
            for place, name in enumerate(names[:MOST_CLASSES])
        ),
        imbalance=max(trained) / min(trained) if trained else None,
    )


def _modality(
    modality: Modality,
    survey: Survey,
    headers: Headers | None,
    duplicates: Duplicates | None,
    texts: Mapping[str, list[str]],
) -> ModalityStatistics:
    assert survey.table is not None
    missing, measures, counts, shape = _missing(modality, survey.table), {}, {}, None
    if headers is not None:
        measures = {name: spread for name, values in headers.measures.items() if (spread := Spread.of(values))}
        counts = {name: dict(found.most_common(20)) for name, found in headers.counts.items()}
    elif isinstance(modality, TextModality):
        measures = _texts(texts[modality.name], modality)
    elif not isinstance(modality, TabularModality | MediaModality):
        assert survey.source is not None
        shape = survey.source.headers[modality.column].shape
    return ModalityStatistics(
        name=modality.name,
        type=modality.type,
        missing=missing,
        files=None if headers is None else headers.looked_at,
        measures=measures,
        counts=counts,
        shape=shape,
        columns=_columns(modality, survey.table) if isinstance(modality, TabularModality) else (),
        duplicates=None if duplicates is None else _told(duplicates),
    )


def joined_texts(table: Table, modality: TextModality) -> list[str]:
    """Each row's text, the columns joined by line breaks."""
    columns = [table.columns[name].text() for name in modality.text_columns]
    return [joined(cells) for cells in zip(*columns, strict=True)]


def _missing(modality: Modality, table: Table) -> int | None:
    absent = absent_rows(modality, table)
    return None if absent is None else int(absent.sum())  # None: an array that has not been loaded


def _texts(texts: list[str], modality: TextModality) -> dict[str, Spread]:
    step = -(-len(texts) // _TEXTS) if len(texts) > _TEXTS else 1
    words = [len(tokens_of(text, modality.preprocess.lowercase)) for text in texts[::step] if text]
    spreads = {"characters": Spread.of([len(text) for text in texts if text]), "words": Spread.of(words)}
    return {name: spread for name, spread in spreads.items() if spread is not None}


def _columns(modality: TabularModality, table: Table) -> tuple[ColumnStatistics, ...]:
    return tuple(_column(spec, table.columns[spec.name]) for spec in modality.columns)


def _column(spec: TabularColumn, column: Column) -> ColumnStatistics:
    values = Counter(text.strip() for text in column.text() if text) if spec.type == "category" else Counter()
    return ColumnStatistics(
        name=spec.name,
        type=spec.type,
        missing=int(column.missing.sum()),
        spread=Spread.of(column.numbers()[0]) if spec.type == "number" else None,
        distinct=len(values) if spec.type == "category" else None,
        common=dict(values.most_common(_COMMON)),
    )


def _told(found: Duplicates) -> tuple[DuplicateStatistics, ...]:
    return tuple(
        DuplicateStatistics(earlier=earlier, later=later, rows=rows) for (earlier, later), rows in found.between.items()
    )
