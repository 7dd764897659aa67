"""The same sample in two parts: what a model has been trained on cannot measure how well it generalises.

Files are the same where their bytes are, texts where they are equal but for blanks at their ends. Files are compared by
size first, so that only those of one size are ever read.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from core.data.blobs import Blob
from core.data.modalities.base import hashed
from core.data.problems import EXAMPLES
from core.data.remote import RemoteBlob
from core.data.split import Codes
from core.errors import Issue

PARTS = ("train", "holdout", "validation", "test")
"""T, V and the two others: what `part` codes 0 to 3 mean here."""


@dataclass(slots=True)
class Duplicates:
    """Rows of one modality whose value occurs in an earlier part too."""

    between: dict[tuple[str, str], int] = field(default_factory=dict)
    """(earlier part, later part) -> rows of the later one whose value the earlier one has; pairs without any are left
    out."""
    examples: list[tuple[int, int]] = field(default_factory=list)
    """At most five pairs of rows: of the earlier part, of the later one."""
    rows: int = 0
    """Rows (of all parts but T) whose value occurs in a part before theirs."""
    complete: bool = True
    """Whether all files were compared."""


@dataclass(slots=True)
class Budget:
    """What reading files may cost, shared by all modalities."""

    bytes: int
    deadline: float
    """Of `time.monotonic`."""

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may be read."""
        return self.bytes <= 0 or time.monotonic() > self.deadline


def same_texts(texts: Sequence[str], parts: Codes) -> Duplicates:
    """Texts `[N]` that occur in several parts (codes of PARTS, -1: none). Empty ones are not compared."""
    found = Duplicates()
    keys: list[Hashable] = [text.strip() or None for text in texts]
    _compare(found, keys, parts)
    return found


def same_files(blobs: Sequence[Blob | None], parts: Codes, budget: Budget) -> Duplicates:
    """Files `[N]` (None: unknown, not compared) whose bytes occur in several parts (codes of PARTS, -1: none)."""
    found = Duplicates()
    by_size: dict[int, list[int]] = defaultdict(list)
    for row, size in _sizes(blobs, parts, found, budget):
        by_size[size].append(row)
    keys: list[Hashable] = [None] * len(blobs)
    for rows in by_size.values():
        if len({int(parts[row]) for row in rows}) < 2:
            continue
        for row in rows:
            if budget.is_spent:
                found.complete = False
                break
            keys[row] = _digest(blobs[row], budget)
    _compare(found, keys, parts)
    return found


def duplicate_issue(found: Duplicates, modality: str, samples: Sequence[str], pointer: str) -> Issue | None:
    """A warning where a value is in two parts; `samples` names the rows."""
    if not found.between:
        return None
    pairs = ", ".join(f"{count} of {later} also in {earlier}" for (earlier, later), count in found.between.items())
    return Issue(
        code="split.duplicates",
        severity="warning",
        detail=f"modality {modality!r}: the same contents are in two parts: {pairs}",
        pointer=pointer,
        hint="remove the copies, or keep them on one side with split.group_by: results look better than they are",
        sample=samples[found.examples[0][1]],
        count=found.rows,
        examples=tuple(f"{samples[first]} = {samples[second]}" for first, second in found.examples),
    )


def _sizes(blobs: Sequence[Blob | None], parts: Codes, found: Duplicates, budget: Budget) -> Iterator[tuple[int, int]]:
    for row, blob in enumerate(blobs):
        if parts[row] < 0:
            continue
        if blob is None or isinstance(blob, RemoteBlob) or budget.is_spent:  # those would have to be fetched
            found.complete = False
            continue
        try:
            yield row, blob.size()
        except OSError:  # gone since it was looked for: the next look says so
            found.complete = False


def _digest(blob: Blob | None, budget: Budget) -> Hashable:
    assert blob is not None
    try:
        budget.bytes -= blob.size()
        with blob.open() as file:
            return hashed(file)
    except OSError:
        return None


def _compare(found: Duplicates, keys: Sequence[Hashable], parts: Codes) -> None:
    first: list[dict[Hashable, int]] = [{} for _ in PARTS]
    for row, key in enumerate(keys):
        if key is not None and parts[row] >= 0:
            first[parts[row]].setdefault(key, row)
    counts: dict[tuple[int, int], int] = defaultdict(int)
    for row in np.argsort(parts, kind="stable").tolist():
        key, part = keys[row], int(parts[row])
        if key is None or part < 1:
            continue
        earlier = [before for before in range(part) if key in first[before]]
        for before in earlier:
            counts[before, part] += 1
        if earlier:
            found.rows += 1
            if len(found.examples) < EXAMPLES:
                found.examples.append((first[earlier[0]][key], row))
    for before, part in combinations(range(len(PARTS)), 2):
        if counts.get((before, part)):
            found.between[PARTS[before], PARTS[part]] = counts[before, part]
