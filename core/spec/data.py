"""The data-set part of a job spec: where the rows are, what the target is, which modalities there are, how to split.

Sources and splits have their own files, `core.spec.sources` and `core.spec.split`; this one gives their names too.

The words are those of Ludwig's input features, AutoGluon's column types and Hugging Face's splits.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from core.spec.base import (
    AVERAGE,
    FINE_TUNED,
    FUSED,
    POOL,
    Bool,
    ColumnName,
    Float,
    Int,
    Name,
    Positive,
    SpecModel,
    misplaced,
)
from core.spec.sources import ArraysSource as ArraysSource
from core.spec.sources import FolderSource as FolderSource
from core.spec.sources import ManifestSource as ManifestSource
from core.spec.sources import Source as Source
from core.spec.sources import WebDatasetSource as WebDatasetSource
from core.spec.split import ColumnSplit as ColumnSplit
from core.spec.split import DrawSplit as DrawSplit
from core.spec.split import FilesSplit as FilesSplit
from core.spec.split import Fractions as Fractions
from core.spec.split import HashSplit as HashSplit
from core.spec.split import Holdout as Holdout
from core.spec.split import Split as Split
from core.spec.split import SplitValues as SplitValues

DatasetId = Annotated[str, Field(pattern=r"^ds_[A-Za-z0-9]{1,60}$")]
"""Names a data set that was registered (`POST /v1/datasets`)."""

TargetType = Literal["multiclass", "binary", "multilabel", "regression"]


class Target(SpecModel):
    """What is to be predicted."""

    column: ColumnName
    type: TargetType = "multiclass"
    """`multiclass`: one of several classes. `binary`: one of two; the second in order (`1`, `true`, `yes`) is the
    positive one. `multilabel`: any number of labels per row, as a list, as a text with a separator, or as a
    two-dimensional npz array of 0 and 1, a column per label. `regression`: a number."""
    separator: Annotated[str, Field(min_length=1, max_length=8)] | None = None
    """Multilabel: what stands between two labels in a text. Left out: `;`."""

    @model_validator(mode="after")
    def _separates_labels(self) -> Target:
        if self.separator is not None and self.type != "multilabel":
            raise misplaced(f"a separator is for the type 'multilabel', not {self.type!r}", "separator")
        return self


class BuiltinEncoder(SpecModel):
    """One of the small encoders that come with gblend and train on a CPU.

    `auto` takes `cnn` for image, audio and video, `tcn` for timeseries, `textcnn` for text, `mlp` for tabular and
    embedding.
    """

    type: Literal["builtin"] = "builtin"
    name: Literal["auto", "cnn", "tcn", "mlp", "textcnn"] = "auto"
    features: Annotated[Int, Field(ge=4, le=4096)] = 128
    """Length of the feature vector that the encoder hands to its own head and to the fusion."""
    dropout: Annotated[Float, Field(ge=0.0, lt=1.0)] = 0.0


Encoder = BuiltinEncoder

BUILTIN_FOR = {
    "image": "cnn",
    "audio": "cnn",
    "video": "cnn",
    "timeseries": "tcn",
    "tabular": "mlp",
    "embedding": "mlp",
    "text": "textcnn",
}
"""Modality type -> the built-in encoder that reads it."""


class ImagePreprocess(SpecModel):
    """How an image file becomes a float tensor `[channels, height, width]`, standardised per channel on train."""

    size: tuple[Positive, Positive] | None = None
    """Height and width in pixels; every image is resized to it. Left out: all images must already agree."""
    mode: Literal["auto", "grey", "rgb"] = "auto"
    """`auto` takes the mode of the first image; the others are converted to it."""


class VideoPreprocess(SpecModel):
    """How a video file becomes a float tensor `[frames, channels, height, width]`, standardised per channel on
    train."""

    frames: Annotated[Int, Field(ge=1, le=512)] = 8
    """How many, evenly spaced in time; a clip with fewer shows some of them twice."""
    size: tuple[Positive, Positive] | None = None
    """Height and width in pixels; every frame is resized to it. Left out: all clips must already agree."""
    mode: Literal["auto", "grey", "rgb"] = "auto"
    """`auto` takes the mode of the first clip; the others are converted to it."""
    max_seconds: Annotated[Float, Field(gt=0.0, le=600.0)] = 10.0
    """Of longer clips only the beginning counts."""


class AudioPreprocess(SpecModel):
    """How a sound file becomes a log-mel spectrogram `[1, mels, frames]`."""

    sample_rate: Annotated[Int, Field(ge=1000, le=192_000)] = 16_000
    """Hertz; a file with another rate is resampled."""
    max_seconds: Annotated[Float, Field(gt=0.0, le=600.0)] = 4.0
    """Longer files are cropped, shorter ones padded with silence; the longest *training* clip caps the length."""
    mels: Annotated[Int, Field(ge=8, le=256)] = 64
    window_ms: Annotated[Float, Field(gt=0.0, le=1000.0)] = 25.0
    hop_ms: Annotated[Float, Field(gt=0.0, le=1000.0)] = 10.0
    level: Literal["none", "rms"] = "none"
    """`rms` brings every clip to the same root mean square first: recordings that differ in loudness become alike."""
    standardise: Literal["per_band", "global", "none"] = "per_band"
    """Zero mean and unit variance, fitted on train: for each mel band, for all bands together, or not at all."""


class TextPreprocess(SpecModel):
    """How a text becomes word codes `[tokens]`."""

    lowercase: Bool = True
    """Whether case is ignored."""
    max_tokens: Annotated[Int, Field(ge=1, le=8192)] = 128
    """Longer texts lose their ends; the longest *training* text caps the length."""
    vocabulary: Annotated[Int, Field(ge=1, le=1_000_000)] = 20_000
    """The most frequent training words that get a code of their own; all others share one."""
    min_count: Positive = 2
    """How often a word must occur in the training part for that."""


class _NamedModality(SpecModel):
    """What every modality has."""

    name: Name
    missing: Literal["error", "mask"] = "error"
    """What a sample without this modality is: one whose cell is empty (of text and tabular: all of whose cells are), or
    for which a folder or shards hold no file. `error`: a bad sample. `mask`: one like any other, in training and in
    prediction; a learnt vector takes the place of what the encoder would give. A path that leads nowhere, or a file
    that cannot be decoded, is a bad sample either way."""


class ImageModality(_NamedModality):
    """PNG or JPEG files."""

    type: Literal["image"]
    column: ColumnName
    preprocess: ImagePreprocess = ImagePreprocess()
    encoder: Encoder = BuiltinEncoder()


class AudioModality(_NamedModality):
    """WAV or FLAC files."""

    type: Literal["audio"]
    column: ColumnName
    preprocess: AudioPreprocess = AudioPreprocess()
    encoder: Encoder = BuiltinEncoder()


class VideoModality(_NamedModality):
    """MP4, QuickTime, Matroska, WebM or AVI files; their sound is not read."""

    type: Literal["video"]
    column: ColumnName
    preprocess: VideoPreprocess = VideoPreprocess()
    encoder: Encoder = BuiltinEncoder()


class TabularColumn(SpecModel):
    """One column of a table. Numbers are standardised on train; categories unseen in train share one code."""

    name: ColumnName
    type: Literal["number", "category"]


class TabularModality(_NamedModality):
    """Columns of the manifest itself."""

    type: Literal["tabular"]
    columns: Annotated[tuple[TabularColumn, ...], Field(min_length=1)]
    encoder: Encoder = BuiltinEncoder()


class TimeseriesModality(_NamedModality):
    """A list or array column (or an npz array) of shape `[steps, channels]`, or `[steps]` for one channel."""

    type: Literal["timeseries"]
    column: ColumnName
    shape: tuple[Positive | None, Positive]
    """`[steps, channels]`; `null` steps: as long as the longest training sample (shorter ones are zero-padded)."""
    encoder: Encoder = BuiltinEncoder()


class EmbeddingModality(_NamedModality):
    """A fixed-length vector per sample: a list column or a two-dimensional npz array, standardised on train."""

    type: Literal["embedding"]
    column: ColumnName
    encoder: Encoder = BuiltinEncoder()


class TextModality(_NamedModality):
    """Texts in the manifest itself: one column, or several that are read as one text."""

    type: Literal["text"]
    column: ColumnName | None = None
    columns: Annotated[tuple[ColumnName, ...], Field(min_length=1)] | None = None
    """Several columns in the place of `column`, joined by line breaks."""
    preprocess: TextPreprocess = TextPreprocess()
    encoder: Encoder = BuiltinEncoder()

    @model_validator(mode="after")
    def _column_or_columns(self) -> TextModality:
        if (self.column is None) == (self.columns is None):
            raise misplaced("give either 'column' or 'columns'", "column")
        return self

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns, in order."""
        return self.columns if self.columns is not None else (self.column or "",)


MediaModality = ImageModality | AudioModality | VideoModality
"""Those whose samples are files."""

Modality = Annotated[
    ImageModality
    | AudioModality
    | VideoModality
    | TabularModality
    | TimeseriesModality
    | EmbeddingModality
    | TextModality,
    Field(discriminator="type"),
]


class OnBadSample(SpecModel):
    """What to do with rows whose contents cannot be used (missing, undecodable, NaN)."""

    action: Literal["error", "drop"] = "error"
    max_fraction: Annotated[Float, Field(ge=0.0, le=1.0)] = 0.0
    """With `drop`: the largest share of bad rows that is accepted."""


class DatasetSpec(SpecModel):
    """A data set: source, target, modalities, split."""

    source: Source
    sample_id: ColumnName | None = None
    """A column that names each row, used in messages and checked for duplicates; the row number when left out."""
    target: Target
    modalities: Annotated[tuple[Modality, ...], Field(min_length=2, max_length=16)]
    split: Split = DrawSplit()
    on_bad_sample: OnBadSample = OnBadSample()

    @model_validator(mode="after")
    def _modality_names(self) -> DatasetSpec:
        seen: set[str] = set()
        for k, modality in enumerate(self.modalities):
            at = ("modalities", k, modality.type, "name")
            if modality.name == FUSED:
                raise misplaced(f"no modality may be called {FUSED!r}: it is the name of the joint head", *at)
            if modality.name in (FINE_TUNED, AVERAGE, POOL):
                raise misplaced(f"no modality may be called {modality.name!r}: it is the name of an answer", *at)
            if modality.name in seen:
                raise misplaced(f"two modalities are called {modality.name!r}; names must differ", *at)
            seen.add(modality.name)
        return self

    @model_validator(mode="after")
    def _encoders_fit(self) -> DatasetSpec:
        for k, modality in enumerate(self.modalities):
            fitting = BUILTIN_FOR[modality.type]
            if modality.encoder.name not in ("auto", fitting):
                raise misplaced(
                    f"the encoder {modality.encoder.name!r} cannot read the type {modality.type!r}; "
                    f"use 'auto' or {fitting!r}",
                    *("modalities", k, modality.type, "encoder", "name"),
                )
        return self


def _looked_up(raw: Any) -> Any:
    """A name means something to the service alone: it puts the data set in its place before a spec is parsed."""
    if isinstance(raw, str):
        raise PydanticCustomError("value_error", "a registered data set is known by its id to the service only")
    return raw


DatasetOrId = Annotated[DatasetSpec, BeforeValidator(_looked_up, json_schema_input_type=DatasetSpec | DatasetId)]
"""A data set, or the id of one that was registered."""
