"""csv, tsv and jsonl. Cells of a csv stay text: `01` is a label, not the number 1; numbers are parsed where wanted."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from core.data.problems import EXAMPLES
from core.data.sources.arrow import column_of, release
from core.data.sources.base import Limits, Source, source_error
from core.data.sources.records import RecordColumns, json_object
from core.data.table import Column, ColumnHeader, Table
from core.data.uris import escaped
from core.errors import DataError

_CHUNK = 2**20
_LONGEST_HEADER, _MOST_COLUMNS = 2**20, 10_000
_BLOCK = 16 * 2**20
_LONGEST_LINE = 8 * 2**20
"""Bytes of one line of JSON; Python's objects may take twenty times as much."""
_MOST_RAGGED = 100_000
"""Rows with a wrong number of fields, after which none is counted any more."""


class DelimitedSource(Source):
    """A csv or tsv file with a header line, UTF-8 with or without a byte-order mark."""

    def __init__(self, path: Path, base: Path, delimiter: str, wanted: Collection[str], limits: Limits) -> None:
        raw = _bytes_of(path, limits)
        names = _header_line(raw, delimiter)
        self._columns, rows = _parse(raw, names, delimiter, [name for name in names if name in set(wanted)], limits)
        if rows == 0:
            raise source_error("source.empty", "the manifest has a header, but no rows", hint="add one row per sample")
        super().__init__(path, base, {name: ColumnHeader("text", "string") for name in names}, rows)

    def read(self, names: Collection[str]) -> Table:
        """See `Source.read`."""
        return self._table({name: self._columns[name] for name in names if name in self._columns})


class JsonLinesSource(Source):
    """One JSON object per line. Lists of numbers are parsed again where they are read: they are not kept."""

    def __init__(self, path: Path, base: Path, wanted: Collection[str], limits: Limits) -> None:
        self._limits = limits
        records = self._parse(path, wanted, arrays=False)
        if not records.rows:
            raise source_error("source.empty", "the manifest has no rows", hint="write one JSON object per line")
        self._columns, headers = records.finish()
        super().__init__(path, base, headers, records.rows)

    def read(self, names: Collection[str]) -> Table:
        """See `Source.read`."""
        costly = [name for name in names if name in self.costly]
        columns = self._parse(self.path, costly, arrays=True).finish()[0] if costly else {}
        columns |= {name: self._columns[name] for name in names if name in self._columns}
        return self._table(columns)

    def _parse(self, path: Path, wanted: Collection[str], *, arrays: bool) -> RecordColumns:
        records = RecordColumns(wanted, arrays=arrays)
        bad = 0
        shown: list[str] = []
        for number, line in _lines(path, self._limits):
            try:
                records.add(json_object(line), len(line))
            except ValueError as error:
                bad += 1
                if len(shown) < EXAMPLES:
                    shown.append(f"line {number}: {error}")
        if bad:
            raise source_error(
                "source.malformed",
                f"{bad} lines are not JSON objects ({shown[0]})",
                hint="write one JSON object per line, every key once",
                count=bad,
                examples=tuple(shown),
            )
        return records


def _lines(path: Path, limits: Limits) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of every line that is not blank."""
    _check_size(path, limits)
    place = number = 0
    with path.open("rb") as file:
        if sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b"")) > limits.rows:
            raise _too_many_rows(limits)
        file.seek(0)
        while line := file.readline(_LONGEST_LINE + 1):
            number += 1
            if number == 1:
                _check_start(line[:_CHUNK])
            if len(line) > _LONGEST_LINE:
                detail = f"line {number} has more than {_LONGEST_LINE} bytes"
                raise source_error("source.too_large", detail, hint="write it as parquet")
            if line.strip():
                try:
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise _no_utf8(place + error.start) from error
            place += len(line)


def _check_size(path: Path, limits: Limits) -> None:
    size = path.stat().st_size
    if size > limits.text_bytes:
        raise source_error(
            "source.too_large",
            f"the manifest has {size} bytes; at most {limits.text_bytes} are read",
            hint="write it as parquet",
        )


def _check_start(raw: bytes) -> None:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw:
        raise source_error("source.malformed", "the manifest is UTF-16, or holds NUL bytes", hint="save it as UTF-8")


def _bytes_of(path: Path, limits: Limits) -> bytes:
    _check_size(path, limits)
    raw = path.read_bytes()
    _check_start(raw)
    if not raw.strip():
        raise source_error("source.empty", "the manifest is empty", hint="it needs a header and one row per sample")
    _check_utf8(raw)
    return raw


def _check_utf8(raw: bytes) -> None:
    """Arrow finds bad UTF-8 only in the columns that are kept, and prints a traceback for a ragged row with it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(raw), _CHUNK):
        try:
            decoder.decode(raw[start : start + _CHUNK], final=start + _CHUNK >= len(raw))
        except UnicodeDecodeError as error:
            raise _no_utf8(start + error.start) from error


def _no_utf8(place: int) -> DataError:
    return source_error("source.malformed", f"invalid UTF-8 near byte {place}", hint="save it as UTF-8")


def _header_line(raw: bytes, delimiter: str) -> list[str]:
    head = raw[:_LONGEST_HEADER].decode("utf-8-sig", errors="replace")
    try:
        names = next((row for row in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter) if row), [])
    except csv.Error as error:
        raise source_error(
            "source.malformed", f"the header line cannot be read: {error}", hint="the first line must name the columns"
        ) from error
    if len(names) > _MOST_COLUMNS:
        detail = f"the header names more than {_MOST_COLUMNS} columns"
        raise source_error("source.malformed", detail, hint="put vectors into one column of a parquet file")
    if not any(name.strip() for name in names):
        raise source_error("source.empty", "the manifest has no header", hint="the first line must name the columns")
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise source_error(
            "source.malformed",
            f"the header names {', '.join(map(escaped, twice[:EXAMPLES]))} more than once",
            hint="column names must differ",
            count=len(twice),
            examples=tuple(twice[:EXAMPLES]),
        )
    return names


def _parse(
    raw: bytes, names: list[str], delimiter: str, keep: list[str], limits: Limits
) -> tuple[dict[str, Column], int]:
    """The columns to keep, and the number of rows. In blocks, so that a few bytes a row never become many rows."""
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    ragged = rows = 0
    shown: list[str] = []
    pieces: list[Any] = []

    def note(row: Any) -> str:
        nonlocal ragged
        ragged += 1
        if ragged > _MOST_RAGGED:
            return "error"
        if len(shown) < EXAMPLES:
            fields = "1 field" if row.actual_columns == 1 else f"{row.actual_columns} fields"
            shown.append(f"row {row.number - 2}: {fields} instead of {row.expected_columns}")
        return "skip"

    try:
        reader = arrow_csv.open_csv(
            io.BytesIO(raw if raw.endswith(b"\n") else raw + b"\n"),
            # One thread: only then does Arrow number the rows that it complains of.
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), include_columns=keep or names[:1]
            ),
        )
        for piece in reader:
            rows += piece.num_rows
            if rows > limits.rows:
                raise _too_many_rows(limits)
            pieces.append(piece)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        if ragged <= _MOST_RAGGED:
            raise _not_parsed(str(error)) from error
    if ragged:
        raise source_error(
            "source.malformed",
            f"{ragged} rows {'or more ' if ragged > _MOST_RAGGED else ''}have another number of fields than the header",
            hint="quote texts that hold the delimiter or a line break; rows are counted from 0 below the header",
            count=ragged,
            examples=tuple(shown),
        )
    columns = {name: column_of(pa.chunked_array([piece[name] for piece in pieces], type=pa.string())) for name in keep}
    pieces.clear()
    release()
    return columns, rows


def _not_parsed(message: str) -> DataError:
    if "straddl" in message:
        message = f"a row has more than {_BLOCK} bytes (is a quotation mark never closed?)"
    hint = "it must be a table with a header line"
    return source_error("source.malformed", f"the manifest cannot be parsed: {message}", hint=hint)


def _too_many_rows(limits: Limits) -> DataError:
    hint = "train on a part of it"
    return source_error("source.too_large", f"the manifest has more than {limits.rows} rows", hint=hint)
