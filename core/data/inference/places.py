"""What lies at a URI: which kind of source it is, opened with all of its columns."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from core.data.inference.columns import PARTS, TARGETS
from core.data.remote import RemoteFiles, Shelf
from core.data.sources import Limits, Source, open_source
from core.data.sources.folder import METADATA, kind_of_file
from core.data.sources.saved_folder import DICT, STATE
from core.data.uris import is_file, resolve
from core.errors import GblendError, Issue
from core.spec.sources import ArraysSource, FolderSource, HfDiskSource, ManifestSource, WebDatasetSource
from core.spec.sources import Source as SourceSpec
from core.spec.split import FilesSplit

_TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet", ".pq")
_ARRAYS = (".npz", ".safetensors")
_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?")
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
    targets: tuple[str, ...] = ()
    """Columns that train has and test lacks: what is to be predicted of it is among them."""


def open_place(uri: str, roots: Mapping[str, Path]) -> Place:
    """Raises SpecError `source.forbidden` and DataError, with the pointer `#/uri`."""
    path = resolve(uri, roots, pointer="#/uri")
    shelf = Shelf(roots, _LIMITS.fetch_seconds)
    try:
        spec, note, split = _source_of(uri, path, shelf)
        source = _open(spec, split, roots)
        targets: tuple[str, ...] = ()
        if isinstance(spec, ManifestSource) and split is not None:
            targets = _only_in_train(spec, split, source, roots)
        if targets and split is not None:
            spec, note = ManifestSource(uri=_below(uri) + split.train), f"the table {split.train}; {split.test} has no "
            note += f"column {', '.join(map(repr, targets[:5]))}, so that nothing can be measured with it"
            split = None
            source = _open(spec, split, roots)
    except GblendError as error:
        error.issues = tuple(_pointed(issue) for issue in error.issues)
        raise
    if isinstance(spec, ManifestSource) and _looks_like_a_row(source.headers):
        shown = ", ".join(list(source.headers)[:3])
        note += f"; its header looks like a row of values ({shown}): if it is one, write the columns' names above it"
    written = spec.model_dump(mode="json", exclude_defaults=True)
    files = None if split is None else split.model_dump(mode="json", exclude_defaults=True)
    return Place(
        source,
        {"type": spec.type, **written},
        None if files is None else {"method": "files", **files},
        f"{source.rows:,} rows; {note}",
        targets,
    )


def _open(
    spec: SourceSpec, split: FilesSplit | None, roots: Mapping[str, Path], wanted: Collection[str] | None = None
) -> Source:
    """With all columns, or those that are `wanted`. Text manifests keep the columns that are asked for alone, and only
    their headers say which there are: such are opened twice."""
    limits = replace(_LIMITS, deadline=time.monotonic() + _SECONDS)

    def opened(names: Collection[str]) -> Source:
        return open_source(spec, roots, wanted=names, limits=limits, split=split, pointer="#", split_pointer="#")

    return opened(set(opened(()).headers) if wanted is None else wanted)


def _only_in_train(spec: ManifestSource, split: FilesSplit, both: Source, roots: Mapping[str, Path]) -> tuple[str, ...]:
    """Columns of train that test lacks, where test has no column of its own and neither has anything called a target:
    the labels of a competition are kept from who takes part."""
    if any(name.lower() in TARGETS for name in both.headers):
        return ()
    train, test = (
        _open(ManifestSource(uri=_below(spec.uri) + name), None, roots, wanted=()).headers
        for name in (split.train, split.test)
    )
    return tuple(name for name in train if name not in test) if set(test) < set(train) else ()


def _looks_like_a_row(names: Collection[str]) -> bool:
    """Whether most columns are called like measured numbers (columns may well be called 0, 1, 2, ...)."""
    numbers = [name for name in names if _NUMBER.fullmatch(name.strip())]
    return len(numbers) > 0.5 * len(names) and any(mark in name for name in numbers for mark in ".-")


def _pointed(issue: Issue) -> Issue:
    """An issue of the source as one of the URI, which is all that a guess is asked with."""
    hint = issue.hint
    if issue.code == "source.format" and "extension" in issue.detail:
        hint = f"give it one of the extensions {', '.join((*_TABLES, *_ARRAYS))}, .tar, or name a folder"
    return replace(issue, pointer="#/uri", hint=hint, severity="error")


def _below(uri: str) -> str:
    return uri if uri.endswith("/") else f"{uri}/"


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
    lone: Collection[str] = ()
    if isinstance(files, RemoteFiles):
        folders, lone = sorted(files.listing(path).folders), files.listing(path).files
        entries = {*lone, *folders}
    else:
        folders = [folder.name for folder in _folders(path)]
        entries = {entry.name for entry in path.iterdir()}
    names = sorted(name for name in entries if not name.startswith("."))
    if STATE in names:
        return HfDiskSource(type="hf_disk", uri=uri), "a saved Hugging Face data set", None
    if DICT in names:
        parts = _split_of([name for name in names if name not in lone and files.is_file(path / name / STATE)])
        if parts is not None:
            return HfDiskSource(type="hf_disk", uri=uri), f"saved data sets {_told(parts)}", parts
    if any(name in METADATA for name in names):
        return FolderSource(type="folder", uri=uri), "a folder with metadata", None
    if any(name.endswith(".tar") for name in names):
        return WebDatasetSource(type="webdataset", uri=uri), "tar shards", None
    tables = [name for name in names if Path(name).suffix.lower() in _TABLES]
    parts = _split_of(tables)
    if parts is not None:
        return ManifestSource(uri=uri), f"tables {_told(parts)}", parts
    # Of several tables the one called manifest, as most people call it.
    tables = [name for name in tables if Path(name).stem.lower() == "manifest"] or tables
    if tables:
        return ManifestSource(uri=_below(uri) + tables[0]), f"the table {tables[0]} of the folder", None
    arrays = [name for name in names if Path(name).suffix.lower() in _ARRAYS]
    if len(arrays) == 1:
        return ArraysSource(type="arrays", uri=_below(uri) + arrays[0]), "arrays", None
    parts = _split_of(folders)
    if parts is not None:
        if isinstance(files, RemoteFiles):
            return _classes(uri), f"folders {_told(parts)}", parts
        if any(entry.suffix == ".tar" for entry in (path / parts.train).iterdir()):
            return WebDatasetSource(type="webdataset", uri=uri), f"tar shards in {_told(parts)}", parts
        modal = _is_per_modality(path / parts.train)
        source = FolderSource(type="folder", uri=uri, layout="modalities") if modal else _classes(uri)
        return source, f"folders {_told(parts)}" + (", in each a folder per modality" if modal else ""), parts
    # Remote folders would be listed one after the other: which layout it is can be said in the spec.
    if not isinstance(files, RemoteFiles) and _is_per_modality(path):
        return FolderSource(type="folder", uri=uri, layout="modalities"), "a folder per modality", None
    return _classes(uri), "class folders", None


def _classes(uri: str) -> FolderSource:
    return FolderSource(type="folder", uri=uri)


def _split_of(names: Sequence[str]) -> FilesSplit | None:
    """Train and test (and validation) as tables, or folders, of their own; without a test, validation is one."""
    stems = {Path(name).stem.lower(): name for name in names}
    train, validation, test = (
        next((stems[stem] for stem in PARTS[part] if stem in stems), None) for part in ("train", "validation", "test")
    )
    if test is None:
        validation, test = None, validation
    if train is None or test is None:
        return None
    return FilesSplit(method="files", train=train, validation=validation, test=test)


def _told(files: FilesSplit) -> str:
    names = ", ".join(name for name in (files.train, files.validation, files.test) if name is not None)
    tests = Path(files.test).stem.lower() in PARTS["test"]
    return names if tests else f"{names} (in place of a test, which there is not)"


def _folders(path: Path) -> list[Path]:
    return sorted(
        entry
        for entry in path.iterdir()
        if not entry.name.startswith(".") and not entry.is_symlink() and entry.is_dir()
    )


def _is_per_modality(path: Path) -> bool:
    """Whether sub-folders hold files of the same stems, to be joined by them, rather than classes.

    Classes may number their files alike. They are classes where one folder has two files of one stem, and where all
    files are of one kind with no folders below: as modalities these would have no label.
    """
    folders = _folders(path)[:2]
    if len(folders) < 2:
        return False
    first, second = (_some_files(folder) for folder in folders)
    if (
        not first
        or not second
        or any(len({name.with_suffix("") for name in some}) < len(some) for some in (first, second))
    ):
        return False
    kinds = {kind_of_file(name.name) for name in (*first, *second)}
    if len(kinds) == 1 and all(len(name.parts) == 1 for name in (*first, *second)):
        return False
    suffixes = {name.suffix for name in second}
    shared = sum(any(is_file(folders[1] / name.with_suffix(suffix)) for suffix in suffixes) for name in first)
    return shared > 0.5 * min(len(first), len(second))


def _some_files(folder: Path) -> list[Path]:
    """Below the folder, relative to it."""
    return [each.relative_to(folder) for each in islice(folder.rglob("*"), _LOOKED_AT) if each.is_file()]
