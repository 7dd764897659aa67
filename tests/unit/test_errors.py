"""What messages carry, whatever the data hold."""

from __future__ import annotations

import json

from core.errors import DataError, Issue, shown


def test_texts_are_cut() -> None:
    issue = Issue(code="x", detail="d" * 5000, hint="h" * 5000, sample="s" * 5000, examples=("e" * 5000, "f"))
    assert [len(text or "") for text in (issue.detail, issue.hint, issue.sample)] == [1000, 1000, 1000]
    assert issue.detail.endswith("ddd ...")
    assert [len(example) for example in issue.examples] == [300, 1]
    assert len(DataError("d" * 50_000).detail) == 10_000


def test_what_no_database_takes_is_escaped() -> None:
    issue = Issue(code="x", detail="a\0b", sample="\ud800", examples=("\0",))
    assert (issue.detail, issue.sample, issue.examples) == ("a\\0b", "\\ud800", ("\\0",))
    assert json.dumps(issue.to_json()).encode()
    assert DataError("\udfff").detail == "\\udfff"


def test_other_texts_stay_as_they_are() -> None:
    assert shown("é\n\t😀") == "é\n\t😀"
    assert shown(None) is None
    assert shown("x" * 1000) == "x" * 1000
