"""Several sources as one: the parts of a split that is given by files."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.problems import EXAMPLES
from core.data.sources.base import Source, source_error
from core.data.split import PART_NAMES
from core.data.table import Column, ColumnHeader, Table, text_column

OWN_NAMES = "(id)"
"""The joint column of names. Each part may number its files from 1: the part's name makes them differ."""


class JoinedSource(Source):
    """The rows of several sources, one after the other, in the order train, validation, test."""

    def __init__(self, folder: Path, base: Path, parts: Mapping[str, Source], wanted: Collection[str]) -> None:
        names = [name for name in PART_NAMES if name in parts]
        self._sources = [parts[name] for name in names]
        self._names = names
        headers = _common_headers(parts, wanted)
        super().__init__(folder, base, headers, sum(source.rows for source in self._sources))
        self.files = tuple(path for source in self._sources for path in source.files)
        codes = [PART_NAMES.index(name) for name in names]
        self.parts = np.repeat(np.array(codes, dtype=np.int8), [source.rows for source in self._sources])
        self.costly = frozenset[str]().union(*(source.costly for source in self._sources))
        if all(source.id_column is not None for source in self._sources):
            self.id_column = OWN_NAMES

    def read(self, names: Collection[str]) -> Table:
        """See `Source.read`."""
        tables = [source.read([*names, *_own(source)]) for source in self._sources]
        kept = [name for name in tables[0].columns if name in names and all(name in table.columns for table in tables)]
        columns = {name: _concatenated([table.columns[name] for table in tables]) for name in kept}
        if self.id_column in names:
            ids = [
                f"{part}/{name}"
                for part, source, table in zip(self._names, self._sources, tables, strict=True)
                for name in table.columns[str(source.id_column)].text()
            ]
            columns[OWN_NAMES] = text_column(ids)
        return self._table(columns)

    def digest(self) -> str:
        """SHA-256 over the parts' digests, in hex."""
        told = "\n".join(f"{name} {source.digest()}" for name, source in zip(self._names, self._sources, strict=True))
        return hashlib.sha256(told.encode()).hexdigest()


def _own(source: Source) -> list[str]:
    return [source.id_column] if source.id_column is not None else []


def _common_headers(parts: Mapping[str, Source], wanted: Collection[str]) -> dict[str, ColumnHeader]:
    """The columns that every part has; raises `source.columns_differ` for a wanted one that only some have so."""
    everywhere = [source.headers for source in parts.values()]
    different: list[str] = []
    for name in sorted(set(wanted)):
        kinds = {part: source.headers[name].kind for part, source in parts.items() if name in source.headers}
        missing = [part for part in parts if part not in kinds]
        if kinds and missing:
            different.append(f"{name!r} is missing in {' and '.join(missing)}")
        elif len(set(kinds.values())) > 1:
            different.append(f"{name!r} is " + ", ".join(f"{kind} in {part}" for part, kind in kinds.items()))
    if different:
        raise source_error(
            "source.columns_differ",
            f"the parts of the split do not agree: {different[0]}",
            hint="every part needs the same columns, of the same types",
            count=len(different),
            examples=tuple(different[:EXAMPLES]),
        )
    joint: dict[str, ColumnHeader] = {}
    for name, header in everywhere[0].items():
        others = [headers[name] for headers in everywhere if name in headers]
        if len(others) == len(everywhere) and all(other.kind == header.kind for other in others):
            same_shape = all(other.shape == header.shape for other in others)
            joint[name] = header if same_shape else ColumnHeader(header.kind, header.dtype)
    return joint


def _concatenated(columns: list[Column]) -> Column:
    header = columns[0].header
    values: list[NDArray[Any]] = [column.values for column in columns]
    missing = np.concatenate([column.missing for column in columns])
    if len({part.shape[1:] for part in values}) > 1 or len({part.dtype.kind == "O" for part in values}) > 1:
        joint = np.empty(len(missing), dtype=object)
        joint[:] = [value for part in values for value in part]
        return Column(header, joint, missing)
    return Column(header, np.concatenate(values), missing)
