"""JSON objects to columns: some thousand at a time become Arrow arrays, a tenth of the size of Python's objects."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from core.data.problems import EXAMPLES
from core.data.sources.arrow import column_of, header_of, release
from core.data.sources.base import source_error
from core.data.table import Column, ColumnHeader

MOST_KEYS = 10_000
_ROWS_AT_ONCE, _BYTES_AT_ONCE = 4096, 8 * 2**20


def json_object(text: str) -> dict[str, Any]:
    """One JSON object. Raises ValueError for whatever is none, and for a key that is there twice."""
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("lists or objects lie too deep in each other") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} is there twice")
    return found


class RecordColumns:
    """The wanted columns of JSON objects that come one after the other.

    With `arrays` False, only the types of columns of lists of numbers are kept: they are costly.
    """

    def __init__(self, wanted: Collection[str], *, arrays: bool) -> None:
        self.rows = 0
        self._wanted = sorted(wanted)
        self._arrays = arrays
        self._names: dict[str, None] = {}
        self._held: list[Mapping[str, Any]] = []
        self._held_bytes = 0
        self._pieces: dict[str, list[Any]] = {name: [] for name in self._wanted}
        self._mixed: dict[str, None] = {}

    def add(self, record: Mapping[str, Any], size: int) -> None:
        """The next row, of `size` bytes as JSON. Raises ValueError where there are too many different keys."""
        self._names.update(dict.fromkeys(record))
        if len(self._names) > MOST_KEYS:
            raise ValueError(f"more than {MOST_KEYS} different keys")
        self._held.append({name: record[name] for name in self._wanted if name in record})
        self._held_bytes += size
        self.rows += 1
        if len(self._held) >= _ROWS_AT_ONCE or self._held_bytes >= _BYTES_AT_ONCE:
            self._convert()

    def finish(self) -> tuple[dict[str, Column], dict[str, ColumnHeader]]:
        """The wanted columns that there are, of a supported type, and the headers of all. Raises DataError."""
        self._convert()
        columns: dict[str, Column] = {}
        headers = {name: ColumnHeader("text", "json") for name in self._names}
        for name in self._wanted:
            if name not in self._names or name in self._mixed:
                continue
            joint = _joint(self._pieces.pop(name))
            if joint is None:
                self._mixed[name] = None
                continue
            headers[name] = header_of(joint.type)
            if headers[name].kind != "unsupported" and len(joint) == self.rows:
                columns[name] = column_of(joint)
        release()
        if self._mixed:
            raise source_error(
                "source.malformed",
                f"columns mix several types, or hold numbers of more than 64 bits: {_listed(list(self._mixed))}",
                hint="give every line the same type: all numbers, all texts, or all lists of numbers",
                count=len(self._mixed),
                examples=tuple(self._mixed)[:EXAMPLES],
            )
        return columns, headers

    def _convert(self) -> None:
        import pyarrow as pa

        for name, pieces in self._pieces.items():
            if name in self._mixed:
                continue
            try:
                piece = pa.array([record.get(name) for record in self._held])
            except (pa.ArrowException, ValueError, TypeError, OverflowError):
                self._mixed[name] = None
                continue
            keep = self._arrays or header_of(piece.type).kind != "array"
            pieces.append(piece if keep else piece.slice(0, 0))
        self._held, self._held_bytes = [], 0


def _joint(pieces: Sequence[Any]) -> Any | None:
    """One array of all pieces, whose types may differ as far as numbers and nulls do; None where they do not fit."""
    import pyarrow as pa

    try:
        schemas = [pa.schema([("a", piece.type)]) for piece in pieces]
        joint = pa.unify_schemas(schemas, promote_options="permissive").field("a").type
        return pa.chunked_array([piece.cast(joint, safe=False) for piece in pieces], type=joint)
    except pa.ArrowException:
        return None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:EXAMPLES])) + (", ..." if len(names) > EXAMPLES else "")
