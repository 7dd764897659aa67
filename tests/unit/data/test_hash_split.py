"""The split by hash: a row's part is its name's affair alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.dataset import prepare
from core.data.split import TEST, TRAIN, VALIDATION, hash_parts
from core.data.validation import check, schema_issues
from tests.unit.data.builders import errors, job, only, table_spec, write_csv

Roots = dict[str, Path]
FRACTIONS = (0.7, 0.15, 0.15)
HASH = {"method": "hash", "seed": 3}


def rows(n: int, *, first: int = 0) -> list[dict[str, Any]]:
    return [{"id": f"s{i}", "label": "ab"[i % 2], "x": i * i, "c": "pqr"[i % 3]} for i in range(first, first + n)]


def test_the_hash_is_the_same_for_ever() -> None:
    names = [f"clip-{i}" for i in range(12)]
    assert hash_parts(names, FRACTIONS, 0).tolist() == PINNED
    assert hash_parts(names, FRACTIONS, 1).tolist() != PINNED


PINNED = [2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 1]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=6), min_size=1, max_size=30), st.lists(st.text(max_size=6), max_size=30))
def test_rows_that_are_added_move_no_other(old: list[str], new: list[str]) -> None:
    before = hash_parts(old, FRACTIONS, 5)
    after = hash_parts([*new, *old], FRACTIONS, 5)
    assert after[len(new) :].tolist() == before.tolist()


def test_the_fractions_hold_on_average() -> None:
    parts = hash_parts([str(i) for i in range(20_000)], FRACTIONS, 0)
    np.testing.assert_allclose(np.bincount(parts) / 20_000, FRACTIONS, atol=0.01)
    assert set(hash_parts([str(i) for i in range(500)], (0.5, 0.0, 0.5), 0).tolist()) == {TRAIN, TEST}


def test_a_larger_test_part_takes_rows_of_the_others_alone() -> None:
    names = [str(i) for i in range(1000)]
    small, large = hash_parts(names, (0.8, 0.1, 0.1), 0), hash_parts(names, (0.7, 0.1, 0.2), 0)
    assert (large[small == TEST] == TEST).all()
    assert (large[small == VALIDATION] != TRAIN).all()


def test_by_sample_id_through_both_tiers(roots: Roots) -> None:
    spec = job(table_spec(sample_id="id", split=HASH))
    write_csv(roots["data"] / "t.csv", rows(60))
    assert errors(check(spec.dataset, spec.holdout, roots)) == []
    first = prepare(spec, roots)
    write_csv(roots["data"] / "t.csv", rows(40, first=60) + rows(60))
    second = prepare(spec, roots)

    def ids(data: Any, part: str) -> set[str]:
        indices = data.split.as_dict()[part]
        return {data.sample_ids[row] for row in indices.tolist()}

    for part in ("validation", "test"):
        assert ids(first, part)
        assert ids(first, part) == {name for name in ids(second, part) if int(name[1:]) < 60}


def test_by_group(roots: Roots) -> None:
    table = [{**row, "who": f"w{i % 12}"} for i, row in enumerate(rows(48))]
    write_csv(roots["data"] / "t.csv", table)
    data = prepare(job(table_spec(split={**HASH, "group_by": ["who"]})), roots)
    sides = {part: {table[row]["who"] for row in where.tolist()} for part, where in data.split.as_dict().items()}
    everyone = [who for side in sides.values() for who in side]
    assert sorted(everyone) == sorted({f"w{i}" for i in range(12)})


def test_nothing_to_hash(roots: Roots) -> None:
    issues = schema_issues(job(table_spec(split=HASH)).dataset)
    assert errors(issues) == [("split.no_id", "#/dataset/split")]
    assert schema_issues(job(table_spec(split=HASH, sample_id="id")).dataset) == []
    assert schema_issues(job(table_spec(split={**HASH, "group_by": ["c"]})).dataset) == []


def test_a_part_that_nothing_is_hashed_to(roots: Roots) -> None:
    write_csv(roots["data"] / "t.csv", rows(2))
    spec = job(table_spec(sample_id="id", split=HASH))
    issue = only(check(spec.dataset, spec.holdout, roots), "split.empty")
    assert issue.pointer == "#/dataset/split"
    assert issue.hint is not None
    assert "split.seed" in issue.hint


def test_ids_that_are_missing_or_twice(roots: Roots) -> None:
    table = rows(40)
    table[3]["id"], table[5]["id"] = "", "s4"
    write_csv(roots["data"] / "t.csv", table)
    spec = job(table_spec(sample_id="id", split=HASH))
    found = errors(check(spec.dataset, spec.holdout, roots))
    assert ("sample_id.missing", "#/dataset/sample_id") in found
    assert ("sample_id.duplicate", "#/dataset/sample_id") in found


def test_other_words_for_the_split_are_refused() -> None:
    with pytest.raises(ValueError, match="stratify_by"):
        job(table_spec(split={**HASH, "stratify_by": "label"}))
