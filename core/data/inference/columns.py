"""What a column is for: the target, the split, groups, ids, a modality, or nothing; by its name and its values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.data.table import Column, ColumnHeader
from core.spec.split import SplitValues

TARGETS = (
    "label", "target", "class", "y", "category", "outcome", "diagnosis", "emotion", "sentiment", "cls", "labels",
)  # fmt: skip
"""Names of targets, the likeliest first."""
SPLITS = ("split", "subset", "fold", "partition", "set", "phase")
TESTS = ("is_test", "test", "is_train", "train")
GROUPS = (
    "speaker", "client", "patient", "subject", "participant", "person", "user", "author", "group", "session",
    "recording", "scene", "site", "hospital", "location", "device",
)  # fmt: skip
IDS = ("id", "key", "uuid", "guid", "name", "index", "row", "file_name", "filename")
COUNTERS = ("take", "trial", "repeat", "repetition", "run", "order", "position", "seq", "sequence_number", "line")
"""Names of what merely counts."""
PARTS: Mapping[str, tuple[str, ...]] = SplitValues().model_dump()
"""What the values of a split column mean where a spec does not say."""
_MOST_PARTS = sum(map(len, PARTS.values()))
_NUMBERED = re.compile(r"[-_. ]?(?:id|no|nr|number|name|code)$")
MOST_CLASSES = 1000
_FIRST = 1000
_WORDS = 3.0
"""Texts of so many words on average are texts; shorter ones are names of something."""


@dataclass(kw_only=True)
class Seen:
    """One column and what its values are like. Values are None where they were not loaded (arrays)."""

    name: str
    header: ColumnHeader
    column: Column | None

    @property
    def plain(self) -> str:
        """The name in lower case, without `_id` and the like at its end."""
        return _NUMBERED.sub("", self.name.strip().lower()) or self.name.strip().lower()

    @cached_property
    def texts(self) -> list[str]:
        """Every value as text; empty where it is missing."""
        return [] if self.column is None else [text.strip() for text in self.column.text()]

    @cached_property
    def distinct(self) -> set[str]:
        """Different values, the empty one left out."""
        return set(self.texts) - {""}

    @property
    def missing(self) -> int:
        """Empty cells."""
        return 0 if self.column is None else int(self.column.missing.sum())

    @property
    def is_unique(self) -> bool:
        """Whether every row has a value of its own."""
        return not self.missing and len(self.distinct) == len(self.texts)

    @cached_property
    def numbers(self) -> np.ndarray | None:
        """As numbers (NaN where missing); None where any value is none."""
        if self.column is None or self.header.kind not in ("number", "boolean", "text"):
            return None
        some = self.column.take(np.arange(min(_FIRST, len(self.column.values))))
        if some.numbers()[1].any():  # most texts are told from numbers by a few
            return None
        values, unreadable = self.column.numbers()
        return None if unreadable.any() or np.isnan(values).all() else values

    @cached_property
    def is_whole(self) -> bool:
        """Whether its numbers are all whole."""
        values = self.numbers
        return values is not None and bool(np.all(np.isnan(values) | (values == np.floor(values))))

    @property
    def counts_rows(self) -> bool:
        """Whether it is 0, 1, 2, ... or 1, 2, 3, ..., in any order."""
        if not self.is_whole or not self.is_unique or self.numbers is None:
            return False
        values = np.sort(self.numbers)
        return bool(values[0] in (0.0, 1.0) and (np.diff(values) == 1).all())

    @cached_property
    def words(self) -> float:
        """Words of a text, on average over those that have any."""
        texts = [text for text in self.texts if text]
        return sum(len(text.split()) for text in texts) / max(1, len(texts))

    @property
    def is_prose(self) -> bool:
        """Whether it holds texts rather than names: several words, and hardly ever the same ones."""
        return (
            self.header.kind == "text"
            and self.numbers is None
            and self.words >= _WORDS
            and len(self.distinct) > 0.5 * (len(self.texts) - self.missing)
        )


def split_values(seen: Seen) -> Mapping[str, tuple[str, ...]] | None:
    """Part -> the values that mean it, where the column says which row is in which part; None where it does not."""
    if len(seen.distinct) > _MOST_PARTS:
        return None
    lower = {value.lower(): value for value in seen.distinct}
    if len(lower) != len(seen.distinct):
        return None
    found = {part: tuple(lower[name] for name in names if name in lower) for part, names in PARTS.items()}
    if found["train"] and found["test"] and sum(map(len, found.values())) == len(lower):
        return found
    if seen.name.lower() in TESTS:
        yes = tuple(value for key, value in lower.items() if key in ("1", "true", "yes"))
        no = tuple(value for key, value in lower.items() if key in ("0", "false", "no"))
        if len(yes) == len(no) == 1 and len(lower) == 2:
            train, test = (yes, no) if "train" in seen.name.lower() else (no, yes)
            return {"train": train, "validation": (), "test": test}
    return None


def target_of(columns: Sequence[Seen]) -> Seen | None:
    """The likeliest target: by its name; else the last column with few values, each of them more than once."""
    for name in TARGETS:
        named = [seen for seen in columns if seen.name.lower() == name and (_has_classes(seen) or _is_quantity(seen))]
        if named:
            return named[0]
    for name in TARGETS:
        named = [seen for seen in columns if seen.plain == name and _has_classes(seen)]
        if named:
            return named[0]
    classes = [seen for seen in columns if _has_classes(seen) and not seen.is_prose and seen.plain not in GROUPS]
    complete = [seen for seen in classes if not seen.missing]  # a row without a label cannot be used
    return next(reversed(complete or classes), None)


def target_type(seen: Seen) -> str:
    """`multiclass`, `binary`, `multilabel` or `regression`."""
    if seen.header.kind in ("texts", "array"):
        return "multilabel"
    if _is_quantity(seen):
        return "regression"
    return "binary" if len(seen.distinct) == 2 else "multiclass"


def says_the_same(seen: Seen, target: Seen) -> bool:
    """Whether the column's values tell the target's, one by one: a name of the class, a number for it."""
    if not target.texts or not seen.texts or len(seen.distinct) > 2 * max(1, len(target.distinct)):
        return False
    pairs = {(mine, other) for mine, other in zip(seen.texts, target.texts, strict=True) if mine and other}
    return len({mine for mine, _ in pairs}) == len(pairs) > 1 and len({other for _, other in pairs}) > 1


def keeps_apart(split: Seen, groups: Seen) -> bool:
    """Whether no group is in two parts."""
    parts: dict[str, str] = {}
    return all(parts.setdefault(group, part) == part for group, part in zip(groups.texts, split.texts, strict=True))


def groups_of(columns: Iterable[Seen]) -> list[Seen]:
    """Columns whose values name whom or what several rows come from, the likeliest first."""
    found = [
        seen
        for seen in columns
        if seen.plain in GROUPS and 2 < len(seen.distinct) < 0.8 * len(seen.texts) and not seen.is_prose
    ]
    return sorted(found, key=lambda seen: GROUPS.index(seen.plain))


def is_id(seen: Seen) -> bool:
    """Whether the column names the rows. Names of many words, as of people, tell something of their own."""
    named = (seen.name.lower() in IDS and not seen.is_prose) or seen.name.lower().endswith("_id")
    return named and seen.is_unique and seen.header.kind in ("text", "number")


def _has_classes(seen: Seen) -> bool:
    if seen.header.kind == "texts":
        return True
    few = 2 <= len(seen.distinct) <= min(MOST_CLASSES, max(2, len(seen.texts) // 5))
    return few and (seen.numbers is None or seen.is_whole)


def _is_quantity(seen: Seen) -> bool:
    return seen.numbers is not None and len(seen.distinct) > 20 and not _has_classes(seen)
