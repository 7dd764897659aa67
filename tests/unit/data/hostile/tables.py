"""csv, tsv and JSON lines that mean harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.data.builders import table_rows
from tests.unit.data.hostile.cases import Case, Spec, manifest, source_case

ROWS = table_rows(16)
HEADER = b"label,split,x,c\n"
LINES = [f"{row['label']},{row['split']},{row['x']},{row['c']}\n".encode() for row in ROWS]
CSV = HEADER + b"".join(LINES)
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def more(line: bytes) -> bytes:
    """The good lines and one more."""
    return JSONL + line + b"\n"


CSVS: dict[str, tuple[bytes, str]] = {
    "a quotation mark that is never closed": (CSV + b'"' + b"a,b\n" * 6_000_000, "source.malformed"),
    "a field of 20 MB": (CSV + b'"' + b"a" * 20_000_000 + b'",train,1,p\n', "target.unusable_name"),
    "a header of one million columns": (b",".join(b"c%d" % number for number in range(1_000_000)) + b"\n",
                                        "source.malformed"),
    "a header of 200 kB in one name": (b'"' + b"a" * 200_000 + b'"\n1\n', "source.malformed"),
    "the same name ten thousand times": (b",".join([b"a"] * 10_000) + b"\n", "source.malformed"),
    "ragged": (HEADER + b"1\n" * 300_000, "source.malformed"),
    "UTF-16": (CSV.decode().encode("utf-16"), "source.malformed"),
    "UTF-16 without a mark": (CSV.decode().encode("utf-16-le"), "source.malformed"),
    "UTF-32": (CSV.decode().encode("utf-32"), "source.malformed"),
    "Latin-1": (CSV + "é,train,1,p\n".encode("latin-1"), "source.malformed"),
    "surrogates": (CSV + b"\xed\xa0\x80,train,1,p\n", "source.malformed"),
    "overlong NUL": (CSV + b"\xc0\x80,train,1,p\n", "source.malformed"),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(100), "source.malformed"),
    "nothing but NUL": (bytes(10_000), "source.malformed"),
    "blank": (b" \n\t\n" * 1000, "source.empty"),
    "a header alone": (HEADER, "source.empty"),
}  # fmt: skip

JSONLS: dict[str, tuple[bytes, str]] = {
    "deep": (more(b'{"x":' * 100_000), "source.malformed"),
    "deep and closed": (more(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "source.malformed"),
    "a number of a million digits": (more(b'{"x": ' + b"9" * 1_000_000 + b"}"), "source.malformed"),
    "a number beyond 64 bits": (more(b'{"x": ' + b"9" * 400 + b"}"), "source.malformed"),
    "a number with an exponent of a million": (JSONL.replace(b'"x": 9', b'"x": 1e1000000'), "value.not_finite"),
    "a key twice": (more(b'{"x": 1, "x": 2}'), "source.malformed"),
    "a key twice inside": (more(b'{"x": {"y": 1, "y": 2}}'), "source.malformed"),
    "two objects in a line": (more(b'{"x": 1}{"x": 2}'), "source.malformed"),
    "a list": (more(b"[1, 2]"), "source.malformed"),
    "a line of 20 MB": (more(b'{"x": "' + b"a" * 20_000_000 + b'"}'), "source.too_large"),
    "two million empty lists": (more(b'{"x": [' + b"[]," * 2_500_000 + b"[]]}"), "source.malformed"),
    "twenty thousand keys": (b"".join(b'{"k%d": 1}\n' % number for number in range(20_000)), "source.malformed"),
    "objects in place of numbers": (more(b'{"x": {"a": 1}}'), "source.malformed"),
    "half a surrogate": (more(b'{"c": "\\ud800"}'), "source.malformed"),
    "UTF-16": (JSONL.decode().encode("utf-16"), "source.malformed"),
    "UTF-16 without a mark": (JSONL.decode().encode("utf-16-le"), "source.malformed"),
    "no UTF-8": (more(b'{"c": "\xff"}'), "source.malformed"),
    "NUL between": (more(b'{"x": \0 1}'), "source.malformed"),
    "JavaScript": (more(b"while(1);"), "source.malformed"),
    "blank": (b"\n" * 100_000, "source.empty"),
}  # fmt: skip


def _many_rows(name: str, start: bytes, row: bytes) -> Callable[[Path], Spec]:
    """Eleven million rows of a few bytes."""

    def build(data: Path) -> Spec:
        with (data / name).open("wb") as file:
            file.write(start)
            for _ in range(11):
                file.write(row * 1_000_000)
        return manifest(name)

    return build


def _column(name: str, values: list[Any], codes: tuple[str, ...]) -> Case:
    """Good rows but for one column's last values."""

    def build(data: Path) -> Spec:
        rows = [dict(row) for row in ROWS]
        for row, value in zip(reversed(rows), values, strict=False):
            row["label"] = value
        (data / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return manifest("t.jsonl")

    return Case(name=name, build=build, codes=codes)


CASES = [
    *(source_case(f"csv: {name}", "t.csv", raw, code) for name, (raw, code) in CSVS.items()),
    *(source_case(f"jsonl: {name}", "t.jsonl", raw, code) for name, (raw, code) in JSONLS.items()),
    Case(name="csv: eleven million rows", build=_many_rows("t.csv", HEADER, b",,,\n"), codes=("source.too_large",)),
    Case(name="jsonl: eleven million rows", build=_many_rows("t.jsonl", JSONL, b"{}\n"), codes=("source.too_large",)),
    Case(name="jsonl: eleven million blanks", build=_many_rows("t.jsonl", JSONL, b"\n"), codes=("source.too_large",)),
    _column("a label of a million letters", ["a" * 1_000_000], ("target.unusable_name",)),
    _column("a label of NULs", ["\0" * 10], ("target.unusable_name",)),
]
