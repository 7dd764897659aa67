"""JSON objects to columns, batch by batch; lists of numbers only when they are asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.data.sources import Limits, open_source
from core.data.sources import records as module
from core.data.sources.records import RecordColumns, json_object
from core.data.table import Column, ColumnHeader
from core.errors import DataError
from core.spec.data import ManifestSource

Roots = dict[str, Path]


def columns(rows: list[dict[str, Any]], *, arrays: bool = True) -> tuple[dict[str, Column], dict[str, ColumnHeader]]:
    records = RecordColumns(["a", "b"], arrays=arrays)
    for row in rows:
        records.add(row, 10)
    return records.finish()


@pytest.fixture(autouse=True)
def _two_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 2)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3], ["1", "2", "3"]),
        ([1, 2, 2.5], ["1", "2", "2.5"]),
        ([None, None, "x"], ["", "", "x"]),
        ([True, None, False], ["true", "", "false"]),
        (["x", "y", None], ["x", "y", ""]),
    ],
)
def test_types_that_fit_across_batches(values: list[Any], expected: list[str]) -> None:
    found, _ = columns([{"a": value} for value in values])
    assert found["a"].text() == expected


@pytest.mark.parametrize("values", [[1, 2, "x"], [1, 2, True], [[1], [2], 3], ["x", "y", {"z": 1}], [1, 2, 2**70]])
def test_types_that_do_not(values: list[Any]) -> None:
    with pytest.raises(DataError) as raised:
        columns([{"a": value, "b": 1} for value in values])
    assert (raised.value.code, raised.value.issues[0].examples) == ("source.malformed", ("a",))


def test_keys_that_come_late_or_never() -> None:
    found, headers = columns([{"c": 1}, {"c": 2}, {"c": 3, "a": "x"}])
    assert found["a"].text() == ["", "", "x"]
    assert "b" not in found
    assert sorted(headers) == ["a", "c"]
    assert headers["a"].kind == "text"


def test_lists_of_integers_and_fractions() -> None:
    found, _ = columns([{"a": [1, 2]}, {"a": [3, 4]}, {"a": [0.5, 1]}, {"a": None}, {"a": []}])
    assert [row.tolist() for row in found["a"].values[[0, 2, 4]]] == [[1.0, 2.0], [0.5, 1.0], []]
    assert found["a"].missing.tolist() == [False, False, False, True, False]


def test_lists_of_numbers_may_stay_unread() -> None:
    found, headers = columns([{"a": [1.0], "b": "x"}] * 3, arrays=False)
    assert sorted(found) == ["b"]
    assert (headers["a"].kind, headers["b"].kind) == ("array", "text")


def test_too_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEYS", 2)
    with pytest.raises(ValueError, match="more than 2 different keys"):
        columns([{"a": 1}, {"b": 1}, {"c": 1}])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1]", "not an object"),
        ("{", "Expecting"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is there twice"),
        ("[" * 100_000, "too deep"),
    ],
)
def test_what_is_no_object(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        json_object(text)


def test_a_jsonl_keeps_no_vectors_but_reads_them(roots: Roots) -> None:
    rows = [{"a": "x", "b": [1.5, 2.5]}, {"a": "y", "b": [3.5, 4.5]}, {"a": "z", "b": [5, 6]}]
    (roots["data"] / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = open_source(ManifestSource(uri="data://t.jsonl"), roots, wanted=["a", "b"])
    assert source.costly == {"b"}
    assert source.read(["a"]).columns["a"].text() == ["x", "y", "z"]
    assert source.read(["a", "b"]).columns["b"].values.tolist() == [[1.5, 2.5], [3.5, 4.5], [5.0, 6.0]]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_more_rows_than_are_read(roots: Roots, name: str) -> None:
    text = "a\n" + "1\n" * 10 if name == "t.csv" else '{"a": 1}\n' * 10
    (roots["data"] / name).write_text(text)
    spec = ManifestSource(uri=f"data://{name}")
    assert open_source(spec, roots, wanted=["a"], limits=Limits(rows=10)).rows == 10
    with pytest.raises(DataError, match=r"source\.too_large"):
        open_source(spec, roots, wanted=["a"], limits=Limits(rows=9))


def test_a_csv_of_several_blocks(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.data.sources.text._BLOCK", 64)
    (roots["data"] / "t.csv").write_text("a,b\n" + "".join(f'"{row}\n",x\n' for row in range(100)))
    source = open_source(ManifestSource(uri="data://t.csv"), roots, wanted=["a"])
    assert source.read(["a"]).columns["a"].text() == [f"{row}\n" for row in range(100)]
    (roots["data"] / "t.csv").write_text(
        "a,b\n" + "".join(f"{row},x\n" if row != 77 else "\n3\n" for row in range(100))
    )
    with pytest.raises(DataError) as raised:
        open_source(ManifestSource(uri="data://t.csv"), roots, wanted=["a"])
    assert raised.value.issues[0].examples == ("row 77: 1 field instead of 2",)
    (roots["data"] / "t.csv").write_text('a,b\n1,x\n"' + "y" * 200 + '",x\n')
    with pytest.raises(DataError, match="more than 64 bytes"):
        open_source(ManifestSource(uri="data://t.csv"), roots, wanted=["a"])
