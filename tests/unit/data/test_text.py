"""Texts to word codes: how they are cut, what the vocabulary is made of, what cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from core.data.dataset import prepare
from core.data.modalities import decode_sample, encode, info_of
from core.data.modalities.text import fit_texts, read_texts, tokens_of
from core.data.table import text_column
from core.data.validation import check
from core.errors import DataError
from core.spec.data import DatasetSpec, Holdout, TextPreprocess
from tests.unit.data.builders import job, table_spec, write_csv

Roots = dict[str, Path]
TRAIN = np.array([0, 1, 2], dtype=np.int64)


def raw_of(*texts: str) -> Any:
    return read_texts([text_column(list(texts))]).raw


def text_spec(**changes: Any) -> dict[str, Any]:
    modalities = [
        {"name": "words", "type": "text", "columns": ["title", "body"], "preprocess": {"min_count": 1}},
        {"name": "numbers", "type": "tabular", "columns": [{"name": "x", "type": "number"}]},
    ]
    return table_spec(modalities=modalities, **changes)


def text_rows(n: int = 16) -> list[dict[str, Any]]:
    return [
        {
            "label": "ab"[i % 2],
            "split": "train" if i < n // 2 else "test",
            "x": i * i,
            "title": ("good", "bad")[i % 2],
            "body": "" if i % 4 == 0 else f"number {i}",
        }
        for i in range(n)
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Can't STOP :)", ["can't", "stop", ":", ")"]),
        ("@air 3.5h late!!", ["@", "air", "3", ".", "5h", "late", "!", "!"]),
        ("\ufb01ne stra\u00dfe don\u2019t", ["fine", "strasse", "don\u2019t"]),
        ("\u4f60\u597d \U0001f600", ["\u4f60\u597d", "\U0001f600"]),
        (" \n\t ", []),
    ],
)
def test_words_and_marks(text: str, words: list[str]) -> None:
    assert tokens_of(text, lowercase=True) == words


def test_case_can_count() -> None:
    assert tokens_of("US us", lowercase=False) == ["US", "us"]


def test_the_vocabulary_is_that_of_train_by_frequency_then_alphabet() -> None:
    raw = raw_of("b a b", "c a", "b d", "z z z z z")
    state = fit_texts(raw, TRAIN, TextPreprocess(min_count=1))
    assert state == {"type": "text", "lowercase": True, "tokens": 3, "vocabulary": ["b", "a", "c", "d"]}
    assert fit_texts(raw, TRAIN, TextPreprocess(min_count=2))["vocabulary"] == ["b", "a"]
    assert fit_texts(raw, TRAIN, TextPreprocess(min_count=1, vocabulary=1))["vocabulary"] == ["b"]
    # 0 is padding and 1 any other word; the last text is longer than any of train.
    assert encode(raw, state).tolist() == [[2, 3, 2], [4, 3, 0], [2, 5, 0], [1, 1, 1]]
    info = info_of("words", state)
    assert (info.kind, info.shape, info.categories) == ("text", (3,), (6,))


def test_long_texts_lose_their_ends() -> None:
    state = fit_texts(raw_of("a b c d", "a b", "a"), TRAIN, TextPreprocess(min_count=1, max_tokens=2))
    assert state["tokens"] == 2
    assert encode(raw_of("b c a"), state).tolist() == [[3, 4]]


def test_columns_are_joined_and_empty_texts_are_problems() -> None:
    reading = read_texts([text_column(["one", "", " "]), text_column(["two", "alone", ""])])
    assert reading.raw[:2].tolist() == ["one\ntwo", "alone"]
    assert [(problem.row, problem.code) for problem in reading.problems] == [(2, "value.missing")]


def test_a_text_without_end_is_refused() -> None:
    reading = read_texts([text_column(["x" * 1_000_001])])
    assert [problem.code for problem in reading.problems] == ["value.too_long"]


def test_a_whole_data_set_and_a_new_sample(roots: Roots) -> None:
    write_csv(roots["data"] / "t.csv", text_rows())
    data = prepare(job(text_spec()), roots)
    assert data.modalities["words"].shape == (3,)
    batch = data.batch(np.arange(16, dtype=np.int64))["words"]
    assert batch.shape == (16, 3)
    new = decode_sample(data.preprocessing, {"words": ["good", "number 1"], "numbers": {"x": 3}})
    again = decode_sample(data.preprocessing, {"words": "Good number 1", "numbers": {"x": 3}})
    assert np.array_equal(new["words"], again["words"])
    assert (new["words"] > 1).sum() >= 1
    with pytest.raises(DataError, match="neither a text nor a list of texts") as raised:
        decode_sample(data.preprocessing, {"words": 7, "numbers": {"x": 3}})
    assert [(issue.code, issue.pointer) for issue in raised.value.issues] == [("value.dtype", "#/words")]


def test_bad_texts_are_told_at_their_columns(roots: Roots) -> None:
    rows = text_rows()
    rows[3] |= {"title": "", "body": " "}
    write_csv(roots["data"] / "t.csv", rows)
    with pytest.raises(DataError) as raised:
        prepare(job(text_spec()), roots)
    issue = raised.value.issues[0]
    assert (issue.code, issue.pointer, issue.sample) == ("value.missing", "#/dataset/modalities/0/columns", "3")


@pytest.mark.parametrize(
    ("names", "code", "pointer"),
    [
        ({"columns": ["title", "bodie"]}, "column.missing", "#/dataset/modalities/0/columns/1"),
        ({"column": "titel"}, "column.missing", "#/dataset/modalities/0/column"),
        ({"columns": ["title", "label"]}, "leak.target_in_features", "#/dataset/modalities/0/columns/1"),
    ],
)
def test_columns_are_checked_by_name(roots: Roots, names: dict[str, Any], code: str, pointer: str) -> None:
    write_csv(roots["data"] / "t.csv", text_rows())
    raw = text_spec()
    raw["modalities"][0] = {"name": "words", "type": "text", **names}
    issues = check(DatasetSpec.model_validate(raw), Holdout(), roots)
    assert [(issue.code, issue.pointer) for issue in issues if issue.severity == "error"] == [(code, pointer)]


@pytest.mark.parametrize("names", [{}, {"column": "title", "columns": ["title"]}, {"columns": []}])
def test_either_column_or_columns(names: dict[str, Any]) -> None:
    raw = text_spec()
    raw["modalities"][0] = {"name": "words", "type": "text", **names}
    with pytest.raises(ValidationError, match=r"either 'column' or 'columns'|at least 1 item"):
        DatasetSpec.model_validate(raw)
