"""From a spec's source to an opened one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.data.remote import Shelf
from core.data.sources.base import Limits, Source, source_error
from core.data.sources.binary import NpzSource
from core.data.sources.folder import FILE_NAME, ID, FolderTable, list_folder, metadata_of
from core.data.sources.hf_disk import open_hf_disk
from core.data.sources.joined import JoinedSource
from core.data.sources.parquet import ParquetSource
from core.data.sources.shards import ShardsSource, find_shards
from core.data.sources.tensors import SafetensorsSource
from core.data.sources.text import DelimitedSource, JsonLinesSource
from core.data.split import PART_NAMES
from core.data.uris import resolve
from core.errors import DataError, GblendError, Issue
from core.spec.sources import ArraysSource, FolderSource, HfDiskSource, ManifestSource, WebDatasetSource
from core.spec.sources import Source as SourceSpec
from core.spec.split import FilesSplit, Split

_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a source is, as the spec says it: a URI, or with `folder` a name relative to it; `pointer` says where."""

    text: str
    pointer: str
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class _Opening:
    """What opening needs beside the place."""

    source: SourceSpec
    roots: Mapping[str, Path]
    wanted: frozenset[str]
    limits: Limits
    pointer: str
    """The source's own."""
    shelf: Shelf


def open_source(
    source: SourceSpec,
    roots: Mapping[str, Path],
    *,
    wanted: Collection[str],
    limits: Limits | None = None,
    split: Split | None = None,
    pointer: str = "#/dataset/source",
    split_pointer: str = "#/dataset/split",
) -> Source:
    """Open the source and read its headers; of a text manifest only the `wanted` columns are kept.

    With a split by files, every part is opened, and what is wrong with any of them is told together.

    Raises SpecError `source.forbidden` for a URI outside the roots, DataError for everything else; the pointers are
    those of the source and of the split.
    """
    limits = limits or Limits()
    shelf = Shelf(roots, limits.fetch_seconds, limits.store_seconds)
    opening = _Opening(source, roots, frozenset(wanted), limits, pointer, shelf)
    if isinstance(split, FilesSplit):
        return _open_parts(opening, split, split_pointer)
    return _open_at(opening, _Place(source.uri, f"{pointer}/uri"))


def _open_parts(opening: _Opening, split: FilesSplit, split_pointer: str) -> Source:
    uri = f"{opening.pointer}/uri"
    folder = resolve(opening.source.uri, opening.roots, pointer=uri)
    if not _asked(lambda: opening.shelf.at(folder).is_folder(folder), uri):
        hint = "with the split method 'files', uri is the folder that the parts' names are relative to"
        raise _not_found("folder", opening.source.uri, uri, hint)
    parts: dict[str, Source] = {}
    failures: list[GblendError] = []
    for name in PART_NAMES:
        text = getattr(split, name)
        if text is None:
            continue
        try:
            parts[name] = _open_at(opening, _Place(text, f"{split_pointer}/{name}", folder))
        except GblendError as error:
            failures.append(error)
    if failures:
        failures[0].issues = tuple(issue for error in failures for issue in error.issues)
        raise failures[0]
    _check_apart(parts, split_pointer)
    try:
        return JoinedSource(folder, next(iter(parts.values())).base, parts, opening.wanted)
    except DataError as error:
        error.issues = _at(error.issues, split_pointer)
        raise


def _check_apart(parts: Mapping[str, Source], pointer: str) -> None:
    inside: dict[Path, str] = {}  # what earlier parts hold
    above: dict[Path, str] = {}  # the folders around it
    for name, source in parts.items():
        other = next((above[path] for path in source.files if path in above), None)
        for path in source.files:
            other = other or next((inside[place] for place in (path, *path.parents) if place in inside), None)
        inside |= dict.fromkeys(source.files, name)
        above |= {folder: name for path in source.files for folder in path.parents}
        if other is not None:
            detail = f"{other} and {name} share files"
            error = source_error("split.leak", detail, hint="give each part rows of its own")
            error.issues = _at(error.issues, f"{pointer}/{name}")
            raise error


def _open_at(opening: _Opening, place: _Place) -> Source:
    """Open what is at one place; every issue gets the pointer of the field that it belongs to."""
    if isinstance(opening.source, WebDatasetSource):
        return _open_shards(opening, place)
    path = resolve(place.text, opening.roots, base=place.folder, pointer=place.pointer)
    base = _media_base(opening, place, path)
    folder = isinstance(opening.source, FolderSource | HfDiskSource)
    try:
        files = opening.shelf.at(path)
        if not (files.is_folder(path) if folder else files.is_file(path)):
            what = "folder" if folder else "file"
            raise _not_found(what, place.text, place.pointer, "is it below the root that the URI names?")
        try:
            if isinstance(opening.source, HfDiskSource):
                return open_hf_disk(path, place.folder or path, opening.roots, opening.limits, opening.shelf)
            return _open_folder(opening, path) if folder else _open_file(opening, path, base)
        except OSError as error:
            reason = error.strerror or "it cannot be read"
            raise source_error("source.unreadable", f"{place.text!r}: {reason}") from error
    except DataError as error:
        formats = error.code == "source.format" and isinstance(opening.source, ManifestSource)
        error.issues = _at(error.issues, f"{opening.pointer}/format" if formats else place.pointer)
        raise


def _open_shards(opening: _Opening, place: _Place) -> Source:
    try:
        shards = find_shards(place.text, opening.roots, base=place.folder, pointer=place.pointer, shelf=opening.shelf)
        try:
            fetched = opening.shelf.fetch(shards, opening.limits)
            source = ShardsSource(fetched.paths, shards[0].parent, opening.wanted, opening.limits)
            source.held = fetched.held
            return source
        except OSError as error:
            reason = error.strerror or "it cannot be read"
            raise source_error("source.unreadable", f"{place.text!r}: {reason}") from error
    except DataError as error:
        error.issues = _at(error.issues, place.pointer)
        raise


def _media_base(opening: _Opening, place: _Place, path: Path) -> Path:
    source = opening.source
    if isinstance(source, ManifestSource) and source.base_uri is not None:
        pointer = f"{opening.pointer}/base_uri"
        base = resolve(source.base_uri, opening.roots, pointer=pointer)
        if not _asked(lambda: opening.shelf.at(base).is_folder(base), pointer):
            raise _not_found("folder", source.base_uri, pointer, "media paths are relative to it")
        return base
    return place.folder or path.parent


def _not_found(what: str, text: str, pointer: str, hint: str) -> DataError:
    error = source_error("source.not_found", f"there is no {what} {text!r}", hint=hint)
    error.issues = _at(error.issues, pointer)
    return error


def _at(issues: tuple[Issue, ...], pointer: str) -> tuple[Issue, ...]:
    return tuple(replace(issue, pointer=issue.pointer or pointer) for issue in issues)


def _asked(question: Callable[[], bool], pointer: str) -> bool:
    """The answer; where a store refuses one, its error is at the pointer."""
    try:
        return question()
    except DataError as error:
        error.issues = _at(error.issues, pointer)
        raise


def _open_file(opening: _Opening, named: Path, base: Path) -> Source:
    source, limits = opening.source, opening.limits
    text = isinstance(source, ManifestSource) and (source.format or _FORMATS.get(named.suffix.lower())) != "parquet"
    fetched = opening.shelf.fetch([named], limits, most=limits.text_bytes if text else None)
    opened = _open_fetched(opening, fetched.paths[0], base)
    opened.held = fetched.held
    return opened


def _open_fetched(opening: _Opening, path: Path, base: Path) -> Source:
    source, wanted, limits = opening.source, opening.wanted, opening.limits
    if path.stat().st_size == 0:
        raise source_error("source.empty", "the file is empty", hint="it holds no bytes at all")
    if isinstance(source, ArraysSource):
        kind = SafetensorsSource if path.suffix.lower() == ".safetensors" else NpzSource
        return kind(path, base, wanted, limits)
    assert isinstance(source, ManifestSource)
    return open_manifest(path, base, source.format, wanted, limits)


def _open_folder(opening: _Opening, path: Path) -> Source:
    assert isinstance(opening.source, FolderSource)
    listed = list_folder(path, opening.roots, opening.limits, opening.shelf)
    found = metadata_of(listed)
    metadata = None
    if found is not None and found.path is not None:
        kind = found.path.suffix.lower().removeprefix(".")
        most = opening.limits.text_bytes if kind != "parquet" else None
        fetched = opening.shelf.fetch([found.path], opening.limits, most=most)
        if fetched.paths[0].stat().st_size == 0:
            raise source_error("source.empty", f"{found.text} is empty")
        metadata = open_manifest(fetched.paths[0], path, kind, {*opening.wanted, FILE_NAME, ID}, opening.limits)
        metadata.held = fetched.held
    return FolderTable(path, opening.source.layout, metadata, listed, opening.wanted)


def open_manifest(path: Path, base: Path, kind: str | None, wanted: Collection[str], limits: Limits) -> Source:
    """A table in one of the manifest formats; `kind` None: what the extension says. Raises DataError."""
    kind = kind or _FORMATS.get(path.suffix.lower())
    if kind == "csv":
        return DelimitedSource(path, base, ",", wanted, limits)
    if kind == "tsv":
        return DelimitedSource(path, base, "\t", wanted, limits)
    if kind == "jsonl":
        return JsonLinesSource(path, base, wanted, limits)
    if kind == "parquet":
        return ParquetSource(path, base, limits)
    raise source_error(
        "source.format",
        f"the extension {path.suffix!r} does not say what the manifest is",
        hint="set format to csv, tsv, jsonl or parquet",
    )
