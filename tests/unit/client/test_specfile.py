"""Specs from files: what YAML means here, and what is wrong with a file that is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gblend_client import InvalidInput
from gblend_client.specfile import load, parse, with_changes


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),  # YAML 1.1, and so PyYAML, reads the text "1e-3"
        ("1", 1),
        ("-2", -2),
        ("0.50", 0.5),
        (".5", 0.5),
        ("010", 10),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("", None),
        ("2026-01-02", "2026-01-02"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        (".nan", ".nan"),
        ("'7'", "7"),
        ("[1, a, {b: 2}]", [1, "a", {"b": 2}]),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    assert parse(f"key: {text}\n") == {"key": value}


def test_keys_are_text() -> None:
    assert parse("1: a\ntrue: b\nc:\n  2: d\n") == {"1": "a", "true": "b", "c": {"2": "d"}}


def test_anchors_and_merges() -> None:
    assert parse("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")["b"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "no YAML at line 3, column 1: the key 'a' occurs twice"),
        ("a: [1,\n", "no YAML at line 2, column 1"),
        ("a: 'x\n", "no YAML at line"),
        ("a: !!python/object/apply:os.getcwd []\n", "no YAML at line 1, column 4: could not determine"),
        ("? [1]\n: 2\n", "a key is no text"),
        ("a: &a [*a]\n", "recursive"),
        ("a: !!int x\n", "invalid literal"),
        ("a: \x00\n", "not allowed"),
        ("- 1\n", "holds no mapping at its top, but list"),
        ("", "holds no mapping at its top, but NoneType"),
        ("a: &a x\nb: [" + "*a," * 1001 + "]\n", "1001 aliases"),
        ("[" * 500 + "]" * 500, "recursion depth|no mapping"),
    ],
)
def test_what_is_no_spec(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,}', "no JSON at line 1, column 9"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' occurs twice"),
        ("[]", "no mapping"),
        ("a: 1", "no JSON"),
    ],
)
def test_what_is_no_json(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse(text, as_json=True)


def test_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfname: x\r\nseed: 1\r\n")
    assert load(tmp_path / "a.yaml") == {"name": "x", "seed": 1}
    (tmp_path / "b.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        load(tmp_path / "b.yaml")
    with pytest.raises(InvalidInput, match=r"cannot read .*c.yaml: No such file"):
        load(tmp_path / "c.yaml")
    with pytest.raises(InvalidInput, match=r"cannot read .*: Is a directory"):
        load(tmp_path)
    (tmp_path / "d.yaml").write_text("a: " + "x" * (4 * 1024**2))
    with pytest.raises(InvalidInput, match="larger than 4 MiB"):
        load(tmp_path / "d.yaml")


def test_changes() -> None:
    spec = {"training": {"epochs": 20}, "dataset": {"modalities": [{"name": "a"}, {"name": "b"}]}}
    changed = with_changes(
        spec,
        [
            "training.epochs=5",
            "training.optimizer.lr=1e-3",
            "dataset.modalities.1.name=c",
            "metadata.note=a=b",
            "dataset.modalities.0={name: z}",
            "blending={strategy: naive}",
            "name=",
        ],
    )
    assert changed == {
        "training": {"epochs": 5, "optimizer": {"lr": 0.001}},
        "dataset": {"modalities": [{"name": "z"}, {"name": "c"}]},
        "metadata": {"note": "a=b"},
        "blending": {"strategy": "naive"},
        "name": None,
    }
    assert spec == {"training": {"epochs": 20}, "dataset": {"modalities": [{"name": "a"}, {"name": "b"}]}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.epochs", "is no change"),
        ("=5", "is no change"),
        ("a..b=5", "is no change"),
        ("training.epochs.x=5", "there is no 'x' at 'training.epochs', which is a plain value"),
        ("modalities.2.name=x", r"there is no '2' at 'modalities', which is a list of 2 \(counted from 0\)"),
        ("modalities.first=x", "there is no 'first' at 'modalities'"),
        ("modalities.-1=x", "there is no '-1'"),
        ("a=[1", "no YAML at line 1"),
    ],
)
def test_what_is_no_change(change: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        with_changes({"training": {"epochs": 1}, "modalities": [{}, {}]}, [change])
