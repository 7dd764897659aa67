"""The data-set part of a job spec: where the rows are, what the target is, which modalities there are, how to split.

Sources, splits and modalities have their own files, `core.spec.sources`, `core.spec.split` and `core.spec.modalities`;
this one gives their names too.

The words are those of Ludwig's input features, AutoGluon's column types and Hugging Face's splits.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from core.spec.augmentation import AudioAugment as AudioAugment
from core.spec.augmentation import ImageAugment as ImageAugment
from core.spec.augmentation import TimeseriesAugment as TimeseriesAugment
from core.spec.base import (
    AVERAGE,
    FINE_TUNED,
    FUSED,
    POOL,
    ColumnName,
    Float,
    SpecModel,
    misplaced,
)
from core.spec.modalities import BUILTIN_FOR as BUILTIN_FOR
from core.spec.modalities import PRETRAINED_TYPES
from core.spec.modalities import AudioModality as AudioModality
from core.spec.modalities import AudioPreprocess as AudioPreprocess
from core.spec.modalities import BuiltinEncoder as BuiltinEncoder
from core.spec.modalities import EmbeddingModality as EmbeddingModality
from core.spec.modalities import Encoder as Encoder
from core.spec.modalities import ImageModality as ImageModality
from core.spec.modalities import ImagePreprocess as ImagePreprocess
from core.spec.modalities import MediaModality as MediaModality
from core.spec.modalities import Modality as Modality
from core.spec.modalities import PretrainedEncoder as PretrainedEncoder
from core.spec.modalities import TabularColumn as TabularColumn
from core.spec.modalities import TabularModality as TabularModality
from core.spec.modalities import TextModality as TextModality
from core.spec.modalities import TextPreprocess as TextPreprocess
from core.spec.modalities import TimeseriesModality as TimeseriesModality
from core.spec.modalities import VideoModality as VideoModality
from core.spec.modalities import VideoPreprocess as VideoPreprocess
from core.spec.sources import ArraysSource as ArraysSource
from core.spec.sources import FolderSource as FolderSource
from core.spec.sources import HfDiskSource as HfDiskSource
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
            if isinstance(modality.encoder, PretrainedEncoder):
                if modality.type not in PRETRAINED_TYPES:
                    raise misplaced(
                        f"no model of 'transformers' reads the type {modality.type!r}; use the type 'builtin'",
                        *("modalities", k, modality.type, "encoder", "type"),
                    )
                _refuse_augment(k, modality, modality.encoder)
            elif modality.encoder.name not in ("auto", fitting):
                raise misplaced(
                    f"the encoder {modality.encoder.name!r} cannot read the type {modality.type!r}; "
                    f"use 'auto' or {fitting!r}",
                    *("modalities", k, modality.type, "encoder", "name"),
                )
        return self


def _refuse_augment(k: int, modality: Modality, encoder: PretrainedEncoder) -> None:
    """What is computed once cannot vary, and a wave is no spectrogram."""
    if not isinstance(modality, ImageModality | AudioModality) or modality.augment == type(modality.augment)():
        return
    at = ("modalities", k, modality.type, "augment")
    if encoder.is_frozen:
        raise misplaced("the features of a frozen model are computed once: train the model, or leave augment out", *at)
    if isinstance(modality, AudioModality):
        raise misplaced("what a pretrained model of sounds reads is not varied: leave augment out", *at)


def _looked_up(raw: Any) -> Any:
    """A name means something to the service alone: it puts the data set in its place before a spec is parsed."""
    if isinstance(raw, str):
        raise PydanticCustomError("value_error", "a registered data set is known by its id to the service only")
    return raw


DatasetOrId = Annotated[DatasetSpec, BeforeValidator(_looked_up, json_schema_input_type=DatasetSpec | DatasetId)]
"""A data set, or the id of one that was registered."""
