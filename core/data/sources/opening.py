"""From a spec's source to an opened one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from core.data.sources.base import Limits, Source, source_error
from core.data.sources.binary import NpzSource, ParquetSource
from core.data.sources.text import DelimitedSource, JsonLinesSource
from core.data.uris import is_file, is_folder, resolve
from core.errors import DataError
from core.spec.data import ArraysSource, ManifestSource

_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def open_source(
    source: ManifestSource | ArraysSource,
    roots: Mapping[str, Path],
    *,
    wanted: Collection[str],
    limits: Limits | None = None,
    pointer: str = "#/dataset/source",
) -> Source:
    """Open the source and read its headers; of a text manifest only the `wanted` columns are kept.

    Raises SpecError `source.forbidden` for a URI outside the roots, DataError for everything else; `pointer` is the
    source's own.
    """
    path = resolve(source.uri, roots, pointer=f"{pointer}/uri")
    base = path.parent
    if isinstance(source, ManifestSource) and source.base_uri is not None:
        base = resolve(source.base_uri, roots, pointer=f"{pointer}/base_uri")
        if not is_folder(base):
            raise _no_folder(source.base_uri, f"{pointer}/base_uri")
    try:
        if not is_file(path):
            raise source_error(
                "source.not_found", f"there is no file {source.uri!r}", hint="is it below the root that the URI names?"
            )
        try:
            return _open(source, path, base, wanted, limits or Limits())
        except OSError as error:
            reason = error.strerror or "it cannot be read"
            raise source_error("source.unreadable", f"{source.uri!r}: {reason}") from error
    except DataError as error:
        field = "/format" if error.code == "source.format" else "/uri"
        error.issues = tuple(replace(issue, pointer=f"{pointer}{field}") for issue in error.issues)
        raise


def _no_folder(uri: str, pointer: str) -> DataError:
    error = source_error("source.not_found", f"there is no folder {uri!r}", hint="media paths are relative to it")
    error.issues = tuple(replace(issue, pointer=pointer) for issue in error.issues)
    return error


def _open(
    source: ManifestSource | ArraysSource, path: Path, base: Path, wanted: Collection[str], limits: Limits
) -> Source:
    if path.stat().st_size == 0:
        raise source_error("source.empty", "the file is empty", hint="it holds no bytes at all")
    if isinstance(source, ArraysSource):
        return NpzSource(path, base, wanted, limits)
    kind = source.format or _FORMATS.get(path.suffix.lower())
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
