"""Which rows train, validate and test: the `split` of a data-set spec, and V."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.spec.base import ColumnName, Float, Fraction, Seed, SpecModel


class SplitValues(SpecModel):
    """Which values of the split column mean which part; compared as text. An empty tuple: the part does not exist."""

    train: tuple[str, ...] = ("train", "training")
    validation: tuple[str, ...] = ("validation", "valid", "val", "dev")
    test: tuple[str, ...] = ("test", "testing")


class ColumnSplit(SpecModel):
    """The split is given by a column."""

    method: Literal["column"] = "column"
    column: ColumnName
    values: SplitValues = SplitValues()
    group_by: tuple[ColumnName, ...] = ()
    """Columns whose joint value must stay on one side; a group on both is the error `split.leak`."""


PlaceName = Annotated[str, Field(min_length=1, max_length=2048)]


class FilesSplit(SpecModel):
    """The split is given by files: each part is a manifest, npz, sub-folder or shard pattern of its own.

    Names are relative to `source.uri`, which is then a folder. The columns of all parts must agree.
    """

    method: Literal["files"] = "files"
    train: PlaceName
    validation: PlaceName | None = None
    """Left out: there is no validation part."""
    test: PlaceName
    group_by: tuple[ColumnName, ...] = ()
    """Columns whose joint value must stay on one side; a group on both is the error `split.leak`."""


class Fractions(SpecModel):
    """Parts of the whole; they sum to 1. A validation fraction of 0 leaves the part out."""

    train: Fraction = 0.7
    validation: Annotated[Float, Field(ge=0.0, lt=1.0)] = 0.15
    test: Fraction = 0.15

    @property
    def in_order(self) -> tuple[float, float, float]:
        """Of train, validation and test."""
        return self.train, self.validation, self.test

    @model_validator(mode="after")
    def _sums_to_one(self) -> Fractions:
        total = sum(self.in_order)
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the fractions sum to {total:g}; they must sum to 1")
        return self


class DrawSplit(SpecModel):
    """The split is drawn with a seed, stratified and group-aware."""

    method: Literal["draw"] = "draw"
    fractions: Fractions = Fractions()
    stratify_by: ColumnName | Literal[False] | None = None
    """A column whose proportions every part keeps. Left out: the target; `false`: draw without stratifying."""
    group_by: tuple[ColumnName, ...] = ()
    """Columns whose joint value (a speaker, a patient) is never on two sides."""
    seed: Seed = 0


class HashSplit(SpecModel):
    """Each row's part follows from a keyed hash of its group, or of its sample id, and from nothing else.

    Rows may be added or removed without moving any other one. The fractions hold on average; nothing is stratified.
    """

    method: Literal["hash"] = "hash"
    fractions: Fractions = Fractions()
    group_by: tuple[ColumnName, ...] = ()
    """Columns whose joint value is hashed, so that it is never on two sides; left out: the sample id is."""
    seed: Seed = 0
    """The key: another one gives another split."""


Split = Annotated[ColumnSplit | FilesSplit | DrawSplit | HashSplit, Field(discriminator="method")]


class Holdout(SpecModel):
    """V: the part of *train* that is held out to measure generalisation. Never the validation or the test part."""

    fraction: Annotated[Float, Field(gt=0.0, le=0.5)] = 0.15
    """Share of the training rows; with groups, whole groups are taken, at least one, until it is reached."""
    group_by: tuple[ColumnName, ...] | None = None
    """Group columns; left out: those of the split. An empty list draws V at random on purpose."""
    seed: Seed | None = None
    """Left out: the job's seed."""
