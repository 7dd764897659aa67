"""The small parts of answers: tags, pointers, file names, addresses, JSON."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from api.conditional import matches
from api.problems import title_of
from api.routers.artifacts import disposition
from api.schema_walk import pointer_of
from api.server import address_of, is_loopback, listen
from api.spec_errors import body_errors
from api.strict_json import parse
from core.spec import JobSpec
from tests.tiny import tiny_spec


@pytest.mark.parametrize(
    ("header", "expected"),
    [(None, False), ('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"b"', False), ("a", False)],
)
def test_if_none_match_compares_weakly(header: str | None, expected: bool) -> None:
    assert matches(header, '"a"') is expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), "#"),
        (("dataset", "modalities", 1, "column"), "#/dataset/modalities/1/column"),
        (("a/b", "c~d"), "#/a~1b/c~0d"),
        (("", "x y", "\u00e9", 'q"'), "#//x%20y/%C3%A9/q%22"),
    ],
)
def test_pointers_are_uri_fragments(parts: tuple[int | str, ...], expected: str) -> None:
    assert pointer_of(parts) == expected


def test_titles_are_those_of_rfc_9110() -> None:
    assert [title_of(status) for status in (404, 413, 416, 422, 299, 999)] == [
        "Not Found",
        "Content Too Large",
        "Range Not Satisfiable",
        "Unprocessable Content",
        "Error",
        "Error",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.bin", "attachment; filename=\"model.bin\"; filename*=UTF-8''model.bin"),
        ("a/b/c.csv", "attachment; filename=\"c.csv\"; filename*=UTF-8''c.csv"),
        ('x"; rm=1\r\n.bin', "attachment; filename=\"x__ rm_1__.bin\"; filename*=UTF-8''x%22%3B%20rm%3D1%0D%0A.bin"),
        ("\u00e9.md", "attachment; filename=\"_.md\"; filename*=UTF-8''%C3%A9.md"),
    ],
)
def test_a_download_has_a_safe_name(name: str, expected: str) -> None:
    assert disposition(name) == expected


def test_strict_json_takes_what_json_is() -> None:
    assert parse(b'{"a": [1, 2.5, null, true, "\\u00e9 \\ud83d\\ude00 \\\\u0000"]}') == {
        "a": [1, 2.5, None, True, "\u00e9 \U0001f600 \\u0000"]
    }


def test_a_list_with_wrong_items_is_not_called_too_short() -> None:
    too_short = {
        "type": "too_short",
        "loc": ("body", "dataset", "modalities"),
        "msg": "Tuple should have at least 2 items",
        "input": [1],
        "ctx": {"min_length": 2, "actual_length": 1},
    }
    below = {"type": "missing", "loc": ("body", "dataset", "modalities", 0), "msg": "Field required", "input": 1}
    assert [error.detail for error in body_errors([too_short])] == [
        "modalities: needs at least 2 entries, not 1; got [1]"
    ]
    assert [error.code for error in body_errors([too_short, below])] == ["spec.missing_field"]


def test_addresses_are_those_of_this_machine() -> None:
    with listen("127.0.0.1", 0, drop_after_seconds=1) as one, listen("0.0.0.0", 0, drop_after_seconds=1) as every:
        assert address_of(one) == f"http://127.0.0.1:{one.getsockname()[1]}"
        assert address_of(every) == f"http://127.0.0.1:{every.getsockname()[1]}"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False)],
)
def test_only_loopback_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("parts", "pointer", "detail"),
    [
        (
            {"blending": {"strategy": "online", "floor": {"fused": 2}}},
            "#/blending/floor/fused",
            "fused: should be less than or equal to 1; got 2",
        ),
        (
            {"training": {"loss": {"class_weights": {"0": 0, "1": 1.0}}}},
            "#/training/loss/class_weights/0",
            "0: should be greater than 0; got 0",
        ),
        (
            {"blending": {"strategy": "online", "floor": "half"}},
            "#/blending/floor",
            'floor: should be a valid number; got "half"; or: floor: should be an object; got "half"',
        ),
    ],
)
def test_a_wrong_entry_of_an_object_is_what_is_pointed_at(parts: dict[str, Any], pointer: str, detail: str) -> None:
    with pytest.raises(ValidationError) as caught:
        JobSpec.model_validate(tiny_spec() | parts)
    (error,) = body_errors([{**each, "loc": ("body", *each["loc"])} for each in caught.value.errors()])
    assert (error.pointer, error.detail) == (pointer, detail)
