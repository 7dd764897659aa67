"""csv, tsv and jsonl. Cells of a csv stay text: `01` is a label, not the number 1; numbers are parsed where wanted."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.data.problems import EXAMPLES
from core.data.sources.arrow import column_of, header_of
from core.data.sources.base import Limits, Source, source_error
from core.data.table import Column, ColumnHeader, Table
from core.errors import DataError

_CHUNK = 2**20


class DelimitedSource(Source):
    """A csv or tsv file with a header line, UTF-8 with or without a byte-order mark."""

    def __init__(self, path: Path, base: Path, delimiter: str, wanted: Collection[str], limits: Limits) -> None:
        raw = _bytes_of(path, limits)
        names = _header_line(raw, delimiter)
        self._arrow = _parse(raw, names, delimiter, [name for name in names if name in set(wanted)])
        rows = self._arrow.num_rows
        if rows == 0:
            raise source_error("source.empty", "the manifest has a header, but no rows", hint="add one row per sample")
        super().__init__(path, base, {name: ColumnHeader("text", "string") for name in names}, rows)

    def read(self, names: Collection[str]) -> Table:
        """See `Source.read`."""
        have = set(self._arrow.column_names)
        return self._table({name: column_of(self._arrow[name]) for name in names if name in have})


class JsonLinesSource(Source):
    """One JSON object per line."""

    def __init__(self, path: Path, base: Path, wanted: Collection[str], limits: Limits) -> None:
        records, names = _records(_bytes_of(path, limits))
        if not records:
            raise source_error("source.empty", "the manifest has no rows", hint="write one JSON object per line")
        self._columns, headers = columns_of_records(records, names, wanted)
        super().__init__(path, base, headers, len(records))

    def read(self, names: Collection[str]) -> Table:
        """See `Source.read`."""
        return self._table({name: self._columns[name] for name in names if name in self._columns})


def columns_of_records(
    records: Sequence[Mapping[str, Any]], names: Sequence[str], wanted: Collection[str]
) -> tuple[dict[str, Column], dict[str, ColumnHeader]]:
    """The wanted columns of JSON objects (those of a supported type), and the headers of all."""
    import pyarrow as pa

    columns: dict[str, Column] = {}
    headers = {name: ColumnHeader("text", "json") for name in names}
    mixed: list[str] = []
    for name in names:
        if name not in wanted:
            continue
        try:
            values = pa.array([record.get(name) for record in records])
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            mixed.append(name)
            continue
        headers[name] = header_of(values.type)
        if headers[name].kind != "unsupported":
            columns[name] = column_of(values)
    if mixed:
        raise source_error(
            "source.malformed",
            f"columns mix several types: {', '.join(map(repr, mixed))}",
            hint="give every line the same type: all numbers, all texts, or all lists of numbers",
            count=len(mixed),
            examples=tuple(mixed[:EXAMPLES]),
        )
    return columns, headers


def _bytes_of(path: Path, limits: Limits) -> bytes:
    size = path.stat().st_size
    if size > limits.text_bytes:
        raise source_error(
            "source.too_large",
            f"the manifest has {size} bytes; at most {limits.text_bytes} are read",
            hint="write it as parquet",
        )
    raw = path.read_bytes()
    if not raw.strip():
        raise source_error("source.empty", "the manifest is empty", hint="it needs a header and one row per sample")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise source_error("source.malformed", "the manifest is UTF-16", hint="save it as UTF-8")
    _check_utf8(raw)
    return raw


def _check_utf8(raw: bytes) -> None:
    """Arrow finds bad UTF-8 only in the columns that are kept, and prints a traceback for a ragged row with it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(raw), _CHUNK):
        try:
            decoder.decode(raw[start : start + _CHUNK], final=start + _CHUNK >= len(raw))
        except UnicodeDecodeError as error:
            place = f"near byte {start + error.start}"
            raise source_error("source.malformed", f"invalid UTF-8 {place}", hint="save it as UTF-8") from error


def _header_line(raw: bytes, delimiter: str) -> list[str]:
    head = raw[: 2**20].decode("utf-8-sig", errors="replace")
    try:
        names = next((row for row in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter) if row), [])
    except csv.Error as error:
        raise source_error("source.malformed", f"the header line cannot be read: {error}") from error
    if not any(name.strip() for name in names):
        raise source_error("source.empty", "the manifest has no header", hint="the first line must name the columns")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise source_error(
            "source.malformed",
            f"the header names {', '.join(map(repr, twice[:EXAMPLES]))} more than once",
            hint="column names must differ",
            count=len(twice),
            examples=tuple(twice[:EXAMPLES]),
        )
    return names


def _parse(raw: bytes, names: list[str], delimiter: str, keep: list[str]) -> Any:
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    ragged: list[str] = []

    def note(row: Any) -> str:
        fields = "1 field" if row.actual_columns == 1 else f"{row.actual_columns} fields"
        ragged.append(f"row {row.number - 2}: {fields} instead of {row.expected_columns}")
        return "skip"

    try:
        table = arrow_csv.read_csv(
            io.BytesIO(raw if raw.endswith(b"\n") else raw + b"\n"),
            # One thread: only then does Arrow number the rows that it complains of.
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=max(2**20, min(len(raw), 2**30))),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), include_columns=keep or names[:1]
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise _not_parsed(str(error)) from error
    if ragged:
        raise source_error(
            "source.malformed",
            f"{len(ragged)} rows have another number of fields than the header",
            hint="quote texts that hold the delimiter or a line break; rows are counted from 0 below the header",
            count=len(ragged),
            examples=tuple(ragged[:EXAMPLES]),
        )
    return table


def _not_parsed(message: str) -> DataError:
    hint = "it must be a table with a header line"
    return source_error("source.malformed", f"the manifest cannot be parsed: {message}", hint=hint)


def _records(raw: bytes) -> tuple[list[dict[str, Any]], list[str]]:
    """The objects, and every key in the order of its first appearance."""
    text = raw.decode("utf-8-sig")
    records: list[dict[str, Any]] = []
    names: dict[str, None] = {}
    bad: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            bad.append(f"line {number}: {error}")
            continue
        if not isinstance(record, dict):
            bad.append(f"line {number}: not an object")
            continue
        records.append(record)
        names.update(dict.fromkeys(record))
    if bad:
        raise source_error(
            "source.malformed",
            f"{len(bad)} lines are not JSON objects",
            hint="write one JSON object per line",
            count=len(bad),
            examples=tuple(bad[:EXAMPLES]),
        )
    return records, list(names)
