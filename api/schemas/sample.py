"""Samples of a registered data set, as far as a page shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.base import ListOut, WireModel

PartName = Literal["train", "holdout", "validation", "test"]


class ValueErrorOut(WireModel):
    """Why a value cannot be shown."""

    code: str
    """As in a data set's `warnings`: `file.undecodable`, `file.truncated`, `source.forbidden`, ..."""
    detail: str
    """For people."""


class _ValueOut(WireModel):
    missing: bool
    """Whether the row lacks the modality."""
    error: ValueErrorOut | None
    """Where it is there and cannot be used; all that would describe it is `null` then."""


class ImageValueOut(_ValueOut):
    """A PNG or JPEG, by its header: it may still turn out to be damaged."""

    type: Literal["image"]
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    """In Pillow's words: `L`, `RGB`, ..."""
    format: str | None = None
    preview: str | None = None
    """Where a PNG of at most 256 pixels a side is."""


class AudioValueOut(_ValueOut):
    """A WAV or FLAC, by its header."""

    type: Literal["audio"]
    bytes: int | None = None
    seconds: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    format: str | None = None
    preview: str | None = None
    """Where a PNG of its log-mel spectrogram is."""
    sound: str | None = None
    """Where a WAV of its first seconds is, mono."""


class VideoValueOut(_ValueOut):
    """A video, by its header."""

    type: Literal["video"]
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    frames: int | None = None
    format: str | None = None
    preview: str | None = None
    """Where a PNG of four of its frames is, side by side."""


class TextValueOut(_ValueOut):
    """A text."""

    type: Literal["text"]
    text: str | None = None
    """Its first 500 characters."""
    characters: int | None = None
    """Of the whole text."""


class TabularValueOut(_ValueOut):
    """Cells of a table."""

    type: Literal["tabular"]
    columns: dict[str, float | str | None] | None = None
    """Column -> cell; a number that is none is told as the text it is, and `null` is an empty cell."""


class LineOut(WireModel):
    """One channel of a series."""

    steps: list[int]
    """Where the values stand."""
    values: list[float | None]
    """`null` for NaN and infinity."""


class TimeseriesValueOut(_ValueOut):
    """A series, thinned out."""

    type: Literal["timeseries"]
    shape: list[int] | None = None
    """Of the whole series."""
    series: list[LineOut] | None = None
    """The first 12 channels. Of more than 200 steps, the least and the largest of each of 100 spans."""


class EmbeddingValueOut(_ValueOut):
    """A vector."""

    type: Literal["embedding"]
    length: int | None = None
    values: list[float | None] | None = None
    """The first 12 entries."""
    min: float | None = None
    max: float | None = None
    norm: float | None = None
    """Euclidean, of the finite entries."""


ValueOut = Annotated[
    ImageValueOut
    | AudioValueOut
    | VideoValueOut
    | TextValueOut
    | TabularValueOut
    | TimeseriesValueOut
    | EmbeddingValueOut,
    Field(discriminator="type"),
]


class SampleOut(WireModel):
    """One row."""

    object: Literal["dataset.sample"] = "dataset.sample"
    row: int
    """Its number in the source, from 0."""
    id: str
    """What it is called in messages."""
    part: PartName | None
    """Where a job puts it that has the registration's `holdout` and `seed`; `null` for a row that it would drop."""
    labels: list[str]
    """Its class; of a multilabel target, any number of them."""
    quantity: float | None
    """The target of a regression."""
    values: dict[str, ValueOut]
    """Modality -> what the row has of it."""


class SampleListOut(ListOut[SampleOut]):
    """One page of a data set's samples."""

    total: int
    """How many the filters let through."""
    changed: bool | None
    """Whether the source is another one than was registered; `null` where it is too large to compare. Files that it
    names are not compared."""

    @classmethod
    def of(cls, found: dict[str, Any], *, fingerprint: str) -> SampleListOut:
        """What a previewer has found; `fingerprint` is the registration's."""
        rows = [SampleOut.model_validate(row) for row in found["rows"]]
        now = found["fingerprint"]
        return cls(
            data=rows,
            has_more=found["has_more"],
            next_after=str(rows[-1].row) if rows else None,
            total=found["total"],
            changed=None if now is None else now != fingerprint,
        )
