"""WebDataset shards as a table: a row per key, a column per extension. Members are read where they lie."""

from __future__ import annotations

import fnmatch
import io
import itertools
import math
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from core.data.blobs import digest_of_files
from core.data.problems import EXAMPLES
from core.data.remote import RemoteFiles, Shelf
from core.data.sources.base import Limits, Source, source_error
from core.data.sources.binary import damage_named, read_npy_header
from core.data.sources.records import RecordColumns, json_object
from core.data.sources.spans import SpanBlob
from core.data.sources.tar import OpenShard, members
from core.data.table import Column, ColumnHeader, ColumnKind, Table, text_column
from core.data.uris import is_folder, resolve

KEY = "__key__"
TEXTS = ("txt", "text", "transcript", "cls", "cls2", "class", "index", "inx", "id", "count")
PICKLED = ("pkl", "pickle", "pyd", "pth", "pt", "npz", "ten", "tb")
_MOST_SHARDS, _MOST_EXTENSIONS = 10_000, 1000
_MOST_TEXT = 2**20
_TIMED = 256
"""Texts after which the clock is looked at."""
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]*://")
_BRACES = re.compile(r"\{([^{}]*)\}")


class ShardsSource(Source):
    """The samples of some tar files. Headers are read once; json and text members where they are wanted."""

    def __init__(self, shards: Sequence[Path], folder: Path, wanted: Collection[str], limits: Limits) -> None:
        self._limits = limits
        self._shards = shards
        self._keys: list[str] = []
        self._members: dict[str, dict[int, SpanBlob]] = {}
        self._index(limits)
        if not self._keys:
            raise source_error(
                "source.empty",
                "the shards hold no samples",
                hint="members are called <key>.<extension>: 0001.jpg, 0001.wav, 0001.cls",
            )
        kinds: dict[str, ColumnHeader] = {KEY: ColumnHeader("text", "string")}
        for extension in self._members:
            if extension != "json":
                kinds[extension] = ColumnHeader(*_kind_of(extension))
        self._json, json_headers = self._read_json(wanted, arrays=False)
        twice = sorted(set(json_headers) & set(kinds))
        if twice:
            raise source_error(
                "source.malformed",
                f"the json members have a key {twice[0]!r}, which is an extension too",
                hint="call it something else",
                examples=tuple(twice[:EXAMPLES]),
            )
        super().__init__(shards[0], folder, {**kinds, **json_headers}, len(self._keys))
        self._costly_keys = frozenset(name for name in self.costly if name in json_headers)
        self.id_column = KEY
        self.files = tuple(shards)

    def read(self, names: Collection[str]) -> Table:
        """See `Source.read`."""
        usable = [name for name in names if name in self.headers and self.headers[name].kind != "unsupported"]
        columns = {name: self._column(name) for name in usable if name not in self._left_out()}
        costly = [name for name in usable if name in self._costly_keys]
        if costly:  # lists of numbers are read when they are asked for, and not kept
            columns |= self._read_json(costly, arrays=True)[0]
        return self._table(columns)

    def digest(self) -> str:
        """SHA-256 over the names and bytes of all shards, in hex."""
        return digest_of_files(self._shards)

    def _left_out(self) -> set[str]:
        """Keys of the json members that are not kept: those that nobody wanted, and costly ones."""
        return set(self.headers) - set(self._json) - set(self._members) - {KEY}

    def _index(self, limits: Limits) -> None:
        count = 0
        for shard in self._shards:
            last = None
            for name, blob in members(shard, limits):
                count += 1
                if count > limits.files:
                    raise source_error("source.too_large", f"the shards hold more than {limits.files} members")
                key, extension = _split_name(name)
                if not key or not extension:
                    continue
                if key != last:
                    self._keys.append(key)
                    last = key
                cells = self._members.setdefault(extension, {})
                if len(self._keys) - 1 in cells:
                    raise source_error(
                        "source.ambiguous",
                        f"the sample {key!r} of {shard.name!r} has two members {extension!r}",
                        hint="a sample has one member per extension",
                        examples=(name,),
                    )
                cells[len(self._keys) - 1] = blob
                if len(self._members) > _MOST_EXTENSIONS:
                    raise source_error(
                        "source.malformed",
                        f"the members have more than {_MOST_EXTENSIONS} extensions",
                        hint="the key ends at the first dot of a name",
                    )

    def _column(self, name: str) -> Column:
        if name == KEY:
            return text_column(self._keys)
        if name in self._json:
            column: Column = self._json[name]
            return column
        cells = self._members[name]
        if name in TEXTS:
            texts = dict(self._texts(name))
            return text_column([texts.get(row, "") for row in range(self.rows)])
        values = np.empty(self.rows, dtype=object)
        missing = np.array([row not in cells for row in range(self.rows)], dtype=np.bool_)
        if name == "npy":
            for row, value in self._arrays(cells):
                values[row] = value
            for row in np.flatnonzero(missing).tolist():
                values[row] = np.empty(0)
        else:
            values[:] = [cells.get(row) for row in range(self.rows)]
        return Column(self.headers[name], values, missing)

    def _texts(self, extension: str) -> Iterator[tuple[int, str]]:
        """Row and text of every member with an extension; each and all together are bounded."""
        total = 0
        with OpenShard() as shard:
            for row, blob in self._members[extension].items():
                total += blob.length
                self._check_text(row, extension, blob, total)
                if row % _TIMED == 0:
                    self._limits.check_time()
                try:
                    yield row, shard.read(blob).decode("utf-8-sig").strip()
                except UnicodeDecodeError as error:
                    raise self._bad_member(row, extension, "invalid UTF-8") from error

    def _check_text(self, row: int, extension: str, blob: SpanBlob, total: int) -> None:
        if blob.length > _MOST_TEXT or total > self._limits.text_bytes:
            raise source_error(
                "source.too_large",
                f"the {extension} members take more than {self._limits.text_bytes} bytes, or one of them "
                f"({self._keys[row]!r}) more than {_MOST_TEXT}",
                hint="texts and json are for labels and numbers; put arrays into npy members",
                examples=(self._keys[row],),
            )

    def _read_json(self, wanted: Collection[str], *, arrays: bool) -> tuple[dict[str, Column], dict[str, ColumnHeader]]:
        if "json" not in self._members:
            return {}, {}
        records = RecordColumns(wanted, arrays=arrays)
        for row, text in self._texts("json"):
            while records.rows < row:  # samples without a json member
                records.add({}, 0)
            try:
                records.add(json_object(text), len(text))
            except ValueError as error:
                raise self._bad_member(row, "json", str(error)) from error
        while records.rows < len(self._keys):
            records.add({}, 0)
        return records.finish()

    def _arrays(self, cells: Mapping[int, SpanBlob]) -> Iterator[tuple[int, Any]]:
        """Every npy member; its header must agree with its length. Raises `source.object_array` for Python objects."""
        if sum(blob.length for blob in cells.values()) > self._limits.array_bytes:
            raise source_error("source.too_large", f"the arrays take more than {self._limits.array_bytes} bytes")
        for row, blob in cells.items():
            with damage_named("npy"), blob.open() as file:
                shape, dtype = read_npy_header(file, f"{self._keys[row]}.npy")
                if dtype.kind not in "biuf" or file.tell() + math.prod(shape) * dtype.itemsize != blob.length:
                    raise self._bad_member(row, "npy", f"{dtype}{list(shape)} in {blob.length} bytes")
                file.seek(0)
                yield row, npy.read_array(io.BytesIO(file.read()), allow_pickle=False)

    def _bad_member(self, row: int, extension: str, reason: str) -> Exception:
        name = f"{self._keys[row]}.{extension}"
        return source_error(
            "source.malformed", f"the member {name!r} cannot be read: {reason}", examples=(name,), hint="write it again"
        )


def _split_name(name: str) -> tuple[str, str]:
    """Key and extension: the base name is cut at its first dot. Names that begin with a dot have no key."""
    name = name.removeprefix("./")
    head, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return (head + slash + stem if stem else ""), extension.lower()


def _kind_of(extension: str) -> tuple[ColumnKind, str]:
    if extension in TEXTS:
        return "text", "string"
    if extension == "npy":
        return "array", "npy"
    if extension in PICKLED:
        return "unsupported", f"{extension} (never unpickled)"
    return "file", "files"


def find_shards(text: str, roots: Mapping[str, Path], *, base: Path | None, pointer: str, shelf: Shelf) -> list[Path]:
    """The tar files of a URI (with `base`: a name below it): one, a folder's, `{0000..0003}`, `{a,b}`, `*`, `?`.

    Patterns are for the last part of a name alone. Raises SpecError `source.forbidden`, DataError.
    """
    shards: list[Path] = []
    for name in _braces(text):
        scheme = _SCHEME.match(name)
        start = scheme.end() if scheme else 0
        head, slash, last = name[start:].rpartition("/")
        if any(mark in head for mark in "*?["):
            raise source_error("source.format", f"{name!r}: only the last part of a name may be a pattern")
        if not any(mark in last for mark in "*?["):
            path = resolve(name, roots, base=base, pointer=pointer)
            shards += _matches(path, "*.tar", roots, pointer, shelf) if shelf.at(path).is_folder(path) else [path]
        else:
            folder = resolve(name[:start] + (head + slash or "."), roots, base=base, pointer=pointer)
            shards += _matches(folder, last, roots, pointer, shelf)
        if len(shards) > _MOST_SHARDS:
            raise _too_many()
    missing = [path.name for path in shards if not shelf.at(path).is_file(path)]
    if missing or not shards:
        told = f"there is no shard {missing[0]!r}" if missing else f"no shard is called {text!r}"
        hint = "is it below the root that the URI names?"
        raise source_error(
            "source.not_found", told, hint=hint, count=len(missing) or None, examples=tuple(missing[:EXAMPLES])
        )
    return shards


def _matches(folder: Path, pattern: str, roots: Mapping[str, Path], pointer: str, shelf: Shelf) -> list[Path]:
    names: list[str] = []
    files = shelf.at(folder)
    if isinstance(files, RemoteFiles):
        found = sorted(files.listing(folder).files)
        names = [name for name in found if not name.startswith(".") and fnmatch.fnmatchcase(name, pattern)]
    elif is_folder(folder):
        with os.scandir(folder) as entries:
            names = sorted(
                entry.name
                for entry in itertools.islice(entries, 100 * _MOST_SHARDS)
                if not entry.name.startswith(".") and fnmatch.fnmatchcase(entry.name, pattern)
            )
    if len(names) > _MOST_SHARDS:
        raise _too_many()
    return [resolve(name, roots, base=folder, pointer=pointer) for name in names]


def _braces(text: str) -> list[str]:
    """`a-{00..02}{x,y}` written out; numbers keep their leading zeros."""
    names = [text]
    while match := _BRACES.search(names[0]):
        choices = _choices(match.group(1))
        if len(names) * len(choices) > _MOST_SHARDS:
            raise _too_many()
        names = [_BRACES.sub(lambda _, choice=choice: choice, name, count=1) for name in names for choice in choices]  # type: ignore[misc]
    return names


def _choices(inside: str) -> list[str]:
    span = re.fullmatch(r"(\d{1,9})\.\.(\d{1,9})", inside)
    if span is None:
        return inside.split(",")
    first, last = int(span.group(1)), int(span.group(2))
    if last < first or last - first >= _MOST_SHARDS:
        raise _too_many() if last > first else source_error("source.format", f"{{{inside}}} counts downwards")
    return [str(number).zfill(len(span.group(1))) for number in range(first, last + 1)]


def _too_many() -> Exception:
    return source_error("source.too_large", f"more than {_MOST_SHARDS} shards")
