"""The modalities of a data set: what each type of column holds, how it is prepared, and what encodes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from core.spec.augmentation import AudioAugment, ImageAugment, TimeseriesAugment
from core.spec.base import Bool, ColumnName, Float, Int, Name, Positive, SpecModel, misplaced


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


_HUB_NAME = r"[A-Za-z0-9_]+(?:[.\-][A-Za-z0-9_]+)*"
_HUB_ID = rf"^{_HUB_NAME}/{_HUB_NAME}$"


_TRAINABLE = r"^(none|last_n:[1-9][0-9]{0,2}|all)$"


def _trainable(raw: Any) -> Any:
    if not isinstance(raw, str) or re.fullmatch(_TRAINABLE, raw) is None:
        shown = "null" if raw is None else repr(raw)[:40]
        message = f'must be "none", "all" or "last_n:K" with K from 1 to 999, as "last_n:2"; got {shown}'
        raise PydanticCustomError("value_error", "{message}", {"message": message})
    return raw


class PretrainedEncoder(SpecModel):
    """A model of the library `transformers`, in a folder below `models://` or on a hub. For image, audio, video and
    text.

    Through a frozen one (`trainable: "none"`) every sample goes once; what comes out is kept, and shared by all jobs
    (docs/data.md). Otherwise it is trained with the rest. Only safetensors are read, and no code of the model's own is
    ever run.
    """

    type: Literal["transformers"]
    path: Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^models://")] | None = None
    """The folder that `save_pretrained` wrote: `models://bert-base`."""
    hub: Annotated[str, Field(max_length=200, pattern=_HUB_ID)] | None = None
    """In the place of `path`, where the operator allows it: a model on the hub, `google-bert/bert-base-uncased`, which
    the worker fetches once."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    """With `hub`: the full hash of a commit. Branches and tags move, and with them what a job computes."""
    trainable: Annotated[str, Field(pattern=_TRAINABLE), BeforeValidator(_trainable)] = "none"
    """`none`: the model stays as it is. `last_n:2`: its last two blocks are trained, and what comes after them. `all`:
    all of it. A layer over its features is trained in any case."""
    pooling: Literal["mean", "cls"] = "mean"
    """What a sample's vector is: the mean over its tokens, patches or steps, or the first token's last hidden state, of
    models that put a token for the whole sample in front."""
    features: Annotated[Int, Field(ge=4, le=4096)] = 128
    """Length of the feature vector that the layer hands to its own head and to the fusion."""
    dropout: Annotated[Float, Field(ge=0.0, lt=1.0)] = 0.0

    @property
    def is_frozen(self) -> bool:
        """Whether nothing of the model is trained."""
        return self.trainable == "none"

    @property
    def last_blocks(self) -> int | None:
        """How many of the last blocks are trained, where that is not all or nothing."""
        kind, _, count = self.trainable.partition(":")
        return int(count) if kind == "last_n" else None

    @model_validator(mode="after")
    def _one_place(self) -> PretrainedEncoder:
        if (self.path is None) == (self.hub is None):
            raise misplaced("give either 'path' or 'hub'", "path")
        if self.hub is not None and self.revision is None:
            raise misplaced("a model of the hub needs the full hash of a commit (40 hexadecimal digits)", "revision")
        if self.hub is None and self.revision is not None:
            raise misplaced("only a model of the hub has a 'revision'", "revision")
        return self


def _builtin_by_default(raw: Any) -> Any:
    return {"type": "builtin", **raw} if isinstance(raw, Mapping) else raw


Encoder = Annotated[
    Annotated[BuiltinEncoder | PretrainedEncoder, Field(discriminator="type")], BeforeValidator(_builtin_by_default)
]

PRETRAINED_TYPES = ("image", "audio", "video", "text")
"""Modality types that a model of `transformers` can encode."""

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
    """Longer texts lose their ends; the longest *training* text caps the length. For a frozen encoder its own tokens
    count, and never more than it takes."""
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
    augment: ImageAugment = ImageAugment()
    """How training batches are varied at random; nothing that is measured or predicted is."""
    encoder: Encoder = BuiltinEncoder()


class AudioModality(_NamedModality):
    """WAV or FLAC files."""

    type: Literal["audio"]
    column: ColumnName
    preprocess: AudioPreprocess = AudioPreprocess()
    augment: AudioAugment = AudioAugment()
    """How training batches are varied at random; nothing that is measured or predicted is."""
    encoder: Encoder = BuiltinEncoder()

    @model_validator(mode="after")
    def _masks_with_the_mean(self) -> AudioModality:
        for field in ("time_masks", "frequency_masks"):
            if getattr(self.augment, field) and self.preprocess.standardise == "none":
                raise misplaced(
                    "masks set values to 0, which is the mean only of standardised ones: set preprocess.standardise to "
                    "'per_band' or 'global', or leave masks out",
                    *("augment", field),
                )
        return self


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
    augment: TimeseriesAugment = TimeseriesAugment()
    """How training batches are varied at random; nothing that is measured or predicted is."""
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
