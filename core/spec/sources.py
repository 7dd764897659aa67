"""Where the rows of a data set are: the `source` of a data-set spec. docs/sources.md has an example of each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from core.spec.base import SpecModel, Uri


class ManifestSource(SpecModel):
    """A table with one row per sample; media columns hold paths relative to `base_uri`."""

    type: Literal["manifest"] = "manifest"
    uri: Uri
    """Where the table is: `data://...`, below a root that the operator configured."""
    format: Literal["csv", "tsv", "jsonl", "parquet"] | None = None
    """Taken from the file's extension when left out."""
    base_uri: Uri | None = None
    """What media paths are relative to; left out: the folder that holds the manifest (with `split.method` `files`:
    `uri`)."""


class ArraysSource(SpecModel):
    """One NumPy `.npz` or one `.safetensors` whose arrays share their first axis (the samples); no object arrays."""

    type: Literal["arrays"] = "arrays"
    uri: Uri


class FolderSource(SpecModel):
    """A folder of files: class folders (`cat/1.png`), or a folder per modality (`rgb/1.png`, `audio/1.wav`).

    Files of one stem are one sample, whose `id` is that stem below the folder. The columns are `image`, `audio`,
    `video`, `text` or `file` by extension, with a folder per modality the folders' names; `label` is the class
    folder's name. A `metadata.csv` (tsv, jsonl, parquet) adds columns: its `file_name` or `id` says of which sample.
    """

    type: Literal["folder"] = "folder"
    uri: Uri
    layout: Literal["auto", "classes", "modalities"] = "auto"
    """`auto`: a folder per modality if any sub-folder is called like a column that the spec uses."""


class WebDatasetSource(SpecModel):
    """Tar shards: members are grouped by the key before the first dot of their names, columns are the extensions."""

    type: Literal["webdataset"] = "webdataset"
    uri: Uri
    """A tar, a folder of them, or a pattern: `data://shards/train-{0000..0003}.tar`, `{a,b}`, `*`, `?`."""


class HfDiskSource(SpecModel):
    """A data set as Hugging Face's `datasets.save_to_disk` leaves it; class labels are called by their names.

    Of a `DatasetDict`, `uri` is one of its folders, or with `split.method` `files` the one that holds them all.
    """

    type: Literal["hf_disk"] = "hf_disk"
    uri: Uri
    """The folder with `state.json`, `dataset_info.json` and the Arrow files."""


Source = Annotated[
    ManifestSource | ArraysSource | FolderSource | WebDatasetSource | HfDiskSource, Field(discriminator="type")
]
