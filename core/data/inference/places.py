"""What lies at a URI: which kind of source it is, opened with all of its columns."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from core.data.remote import RemoteFiles, Shelf
from core.data.sources import Limits, Source, open_source
from core.data.sources.folder import METADATA
from core.data.sources.hf_disk import DICT, STATE
from core.data.uris import is_file, resolve
from core.errors import GblendError
from core.spec.sources import ArraysSource, FolderSource, HfDiskSource, ManifestSource, WebDatasetSource
from core.spec.sources import Source as SourceSpec
from core.spec.split import FilesSplit

_TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet", ".pq")
_ARRAYS = (".npz", ".safetensors")
_LOOKED_AT = 500
_SECONDS = 10.0
_LIMITS = Limits(array_bytes=512 * 2**20, fetched_bytes=512 * 2**20, fetch_seconds=15.0)
"""A guess is made in the service's own process: less is read there than in a worker."""


@dataclass(frozen=True, slots=True)
class Place:
    """An opened source, and how a spec names it."""

    source: Source
    spec: dict[str, Any]
    split: dict[str, Any] | None
    """Where each part is a file of its own."""
    note: str


def open_place(uri: str, roots: Mapping[str, Path]) -> Place:
    """Raises SpecError `source.forbidden` and DataError, with the pointer `#/uri`."""
    path = resolve(uri, roots, pointer="#/uri")
    shelf = Shelf(roots, _LIMITS.fetch_seconds)
    limits = replace(_LIMITS, deadline=time.monotonic() + _SECONDS)
    try:
        spec, note, split = _source_of(uri, path, shelf)
        first = open_source(spec, roots, wanted=(), limits=limits, split=split, pointer="#", split_pointer="#")
        # Text manifests keep the columns that are wanted alone, and only the header says which there are.
        source = open_source(
            spec, roots, wanted=set(first.headers), limits=limits, split=split, pointer="#", split_pointer="#"
        )
    except GblendError as error:
        error.issues = tuple(replace(issue, pointer="#/uri", severity="error") for issue in error.issues)
        raise
    written = spec.model_dump(mode="json", exclude_defaults=True)
    files = None if split is None else split.model_dump(mode="json", exclude_defaults=True)
    return Place(
        source,
        {"type": spec.type, **written},
        None if files is None else {"method": "files", **files},
        f"{source.rows:,} rows; {note}",
    )


def _source_of(uri: str, path: Path, shelf: Shelf) -> tuple[SourceSpec, str, FilesSplit | None]:
    if shelf.at(path).is_folder(path):
        return _folder(uri, path, shelf)
    if path.suffix.lower() in _ARRAYS:
        return ArraysSource(type="arrays", uri=uri), "arrays", None
    if path.suffix.lower() == ".tar" or any(mark in uri for mark in "{*?"):
        return WebDatasetSource(type="webdataset", uri=uri), "tar shards", None
    return ManifestSource(uri=uri), "a table", None


def _folder(uri: str, path: Path, shelf: Shelf) -> tuple[SourceSpec, str, FilesSplit | None]:
    files = shelf.at(path)
    if isinstance(files, RemoteFiles):
        entries = {*files.listing(path).files, *files.listing(path).folders}
    else:
        entries = {entry.name for entry in path.iterdir()}
    names = sorted(name for name in entries if not name.startswith("."))
    below = uri if uri.endswith("/") else f"{uri}/"
    if STATE in names:
        return HfDiskSource(type="hf_disk", uri=uri), "a saved Hugging Face data set", None
    if DICT in names:
        parts = _split_of([entry.name for entry in path.iterdir() if is_file(entry / STATE)])
        if parts is not None:
            return HfDiskSource(type="hf_disk", uri=uri), f"saved data sets {', '.join(_names_of(parts))}", parts
    if any(name in METADATA for name in names):
        return FolderSource(type="folder", uri=uri), "a folder with metadata", None
    if any(name.endswith(".tar") for name in names):
        return WebDatasetSource(type="webdataset", uri=uri), "tar shards", None
    tables = [name for name in names if Path(name).suffix.lower() in _TABLES]
    parts = _split_of(tables)
    if parts is not None:
        return ManifestSource(uri=uri), f"tables {', '.join(_names_of(parts))}", parts
    # Of several tables the one called manifest, as most people call it.
    tables = [name for name in tables if Path(name).stem.lower() == "manifest"] or tables
    if tables:
        return ManifestSource(uri=below + tables[0]), f"the table {tables[0]} of the folder", None
    arrays = [name for name in names if Path(name).suffix.lower() in _ARRAYS]
    if len(arrays) == 1:
        return ArraysSource(type="arrays", uri=below + arrays[0]), "arrays", None
    # Remote folders would be listed one after the other: which layout it is can be said in the spec.
    if not isinstance(files, RemoteFiles) and _is_per_modality(path):
        return FolderSource(type="folder", uri=uri, layout="modalities"), "a folder per modality", None
    return FolderSource(type="folder", uri=uri), "class folders", None


def _split_of(tables: Sequence[str]) -> FilesSplit | None:
    """Train and test (and validation) as tables, or folders, of their own."""
    stems = {Path(name).stem.lower(): name for name in tables}
    validation = next((stems[stem] for stem in ("validation", "valid", "val", "dev") if stem in stems), None)
    if "train" in stems and "test" in stems:
        return FilesSplit(method="files", train=stems["train"], validation=validation, test=stems["test"])
    return None


def _names_of(files: FilesSplit) -> list[str]:
    return [name for name in (files.train, files.validation, files.test) if name is not None]


def _is_per_modality(path: Path) -> bool:
    """Whether sub-folders hold files of the same stems: joined by them rather than told apart."""
    folders = [entry for entry in path.iterdir() if entry.is_dir() and not entry.is_symlink()]
    stems = [
        {entry.stem for entry in islice(folder.rglob("*"), _LOOKED_AT) if entry.is_file()} for folder in folders[:2]
    ]
    return len(stems) == 2 and len(stems[0] & stems[1]) > 0.5 * max(1, min(map(len, stems)))
