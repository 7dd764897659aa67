"""Multilabel and regression targets: reading, what is wrong with them, stratification, and the split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data.dataset import PreparedData, prepare
from core.data.label_sets import LabelSets
from core.data.quantity import Quantity, nearest_number
from core.data.validation import check
from core.errors import DataError, Issue
from tests.unit.data.builders import errors, job, only, table_rows, table_spec, warnings, write_csv

Roots = dict[str, Path]
Rows = list[dict[str, Any]]

DRAWN = {"method": "draw", "fractions": {"train": 0.6, "validation": 0.2, "test": 0.2}, "seed": 1}


def checked(roots: Roots, rows: Rows, target: dict[str, Any], **changes: Any) -> list[Issue]:
    write_csv(roots["data"] / "t.csv", rows)
    spec = job(table_spec(target=target, **changes))
    return check(spec.dataset, spec.holdout, roots, seed=spec.seed)


def prepared(roots: Roots, rows: Rows, target: dict[str, Any], **changes: Any) -> PreparedData:
    write_csv(roots["data"] / "t.csv", rows)
    return prepare(job(table_spec(target=target, **changes)), roots)


def with_target(values: list[Any]) -> Rows:
    """Rows whose target, the column `t`, is given; the first half is train, the second test."""
    return [row | {"t": value} for row, value in zip(table_rows(len(values)), values, strict=True)]


LABELS = {"column": "t", "type": "multilabel"}
NUMBER = {"column": "t", "type": "regression"}
SETS = ["a;b", "b", "a", "b; a", "a;b", ";", "a", "b"] * 2


# multilabel


def test_a_separated_text(roots: Roots) -> None:
    data = prepared(roots, with_target(SETS), LABELS)
    assert (data.task, data.classes, data.outputs, data.target_scale) == ("multilabel", ("a", "b"), 2, None)
    assert data.targets.dtype == np.float32
    assert data.targets[:8].tolist() == [[1, 1], [0, 1], [1, 0], [1, 1], [1, 1], [0, 0], [1, 0], [0, 1]]


def test_another_separator(roots: Roots) -> None:
    rows = with_target([text.replace(";", " | ") for text in SETS])
    assert prepared(roots, rows, LABELS | {"separator": "|"}).classes == ("a", "b")
    issue = only(checked(roots, rows, LABELS), "target.separator")
    assert (issue.severity, issue.pointer, issue.hint) == ("warning", "#/dataset/target/separator", "did you mean '|'?")


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_lists_of_texts_and_of_numbers(roots: Roots, kind: str) -> None:
    rows = table_rows(16)
    words = [["b", "a"], ["b"], [], ["a"]] * 4
    numbers = [[10, 9], [10], [], [9]] * 4
    path = roots["data"] / f"t.{kind}"
    if kind == "parquet":
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        pq.write_table(pa.table(columns | {"words": words, "numbers": numbers}), path)
    else:
        full = [row | {"words": w, "numbers": n} for row, w, n in zip(rows, words, numbers, strict=True)]
        path.write_text("\n".join(map(json.dumps, full)))
    for column, classes in (("words", ("a", "b")), ("numbers", ("9", "10"))):
        spec = table_spec(
            source={"type": "manifest", "uri": f"data://t.{kind}"}, target={"column": column, "type": "multilabel"}
        )
        assert errors(check(job(spec).dataset, job(spec).holdout, roots)) == []
        data = prepare(job(spec), roots)
        assert data.classes == classes
        assert data.targets[:4].tolist() == [[1, 1], [0, 1], [0, 0], [1, 0]]


def arrays(roots: Roots, marks: np.ndarray[Any, Any], target: dict[str, Any] = LABELS) -> Any:
    parts = np.array(["train", "test"])[np.arange(len(marks)) % 2]
    x = np.random.default_rng(0).normal(size=(len(marks), 2)).astype(np.float32)
    np.savez(roots["data"] / "t.npz", t=marks, split=parts, x=x, z=x)
    modalities = [{"name": name, "type": "embedding", "column": name} for name in ("x", "z")]
    return job(table_spec(source={"type": "arrays", "uri": "data://t.npz"}, target=target, modalities=modalities))


def test_an_array_of_zero_and_one(roots: Roots) -> None:
    marks = np.tile([[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]], (5, 1)).astype(np.uint8)
    spec = arrays(roots, marks)
    data = prepare(spec, roots)
    assert data.classes == ("0", "2")  # the second label is never there
    assert data.targets[:3].tolist() == [[1, 0], [1, 0], [0, 1]]
    assert warnings(data.warnings) == ["target.label_never"]
    assert data.warnings[0].examples == ("1",)
    assert warnings(check(spec.dataset, spec.holdout, roots)) == ["target.label_never"]


def test_an_array_of_anything_else_names_the_rows(roots: Roots) -> None:
    marks = np.tile([[1.0, 0.0], [0.0, 1.0]], (10, 1))
    marks[3], marks[5] = [2.0, 0.0], [np.nan, 1.0]
    spec = arrays(roots, marks)
    issue = only(check(spec.dataset, spec.holdout, roots), "target.not_zero_or_one")
    assert (issue.pointer, issue.count) == ("#/dataset/target/column", 2)
    assert issue.examples == ("3: [2, 0] is no row of 0 and 1", "5: [nan, 1] is no row of 0 and 1")


def test_several_labels_need_the_type(roots: Roots) -> None:
    spec = arrays(roots, np.eye(2)[np.arange(20) % 2], target={"column": "t"})
    issue = only(check(spec.dataset, spec.holdout, roots), "value.dtype")
    assert issue.pointer == "#/dataset/target/column"
    assert issue.hint == 'for several labels per row set target.type to "multilabel"'


def test_an_empty_cell_is_missing_and_a_separator_alone_is_not(roots: Roots) -> None:
    issues = checked(roots, with_target(["", *SETS[1:]]), LABELS)
    assert errors(issues) == [("target.missing", "#/dataset/target/column")]
    assert issues[0].examples == ("0: there is no label; an empty list, or a separator alone, says that none applies",)


def test_no_label_and_all_labels(roots: Roots) -> None:
    assert errors(checked(roots, with_target([";"] * 16), LABELS)) == [("target.one_class", "#/dataset/target/column")]
    assert errors(checked(roots, with_target(["a;b"] * 16), LABELS)) == [("target.constant", "#/dataset/target/column")]


def test_a_label_seen_only_in_test(roots: Roots) -> None:
    issue = only(checked(roots, with_target([*SETS[:-1], "a;new"]), LABELS), "split.class_not_in_train")
    assert (issue.severity, issue.pointer, issue.examples) == ("error", "#/dataset/split", ("new",))


def test_the_stratum_is_the_rarest_label() -> None:
    members = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0]], dtype=np.bool_)
    labels = LabelSets(("often", "two", "one"), members)
    codes, names = labels.strata(np.arange(5))
    assert [names[code] for code in codes] == ["two", "one", "often", "(no label)", "two"]
    # Among the rows 0, 1, 2 both are on one row: the first of the equally rare ones counts.
    codes, names = labels.strata(np.array([0, 1, 2]))
    assert [names[code] for code in codes] == ["two", "one", "often"]


def test_a_drawn_split_spreads_rare_labels(roots: Roots) -> None:
    texts = ["a;rare" if row % 10 == 0 else "a;b" if row % 2 else "a" for row in range(100)]
    data = prepared(roots, with_target(texts), LABELS, split=DRAWN)
    rare = data.targets[:, data.classes.index("rare")]
    counts = {part: int(rare[rows].sum()) for part, rows in data.split.as_dict().items()}
    assert counts == {"train": 5, "holdout": 1, "validation": 2, "test": 2}


# regression


def test_a_number_is_standardised_on_t(roots: Roots) -> None:
    values = [float(3 * row + (row % 4)) for row in range(40)]
    data = prepared(roots, with_target(values), NUMBER)
    assert (data.task, data.classes, data.outputs) == ("regression", (), 1)
    own = np.array(values)[data.split.train]
    assert data.target_scale is not None
    assert (data.target_scale.mean, data.target_scale.scale) == (own.mean(), own.std())
    assert data.targets * data.target_scale.scale + data.target_scale.mean == pytest.approx(values)
    assert abs(data.targets[data.split.train].mean()) < 1e-12
    assert data.targets[data.split.train].std() == pytest.approx(1.0)


def test_texts_that_are_no_numbers_with_the_nearest(roots: Roots) -> None:
    values = ["12,5", "n/a", "inf", "nan", "1e200", "", *map(str, range(14))]
    issues = checked(roots, with_target(values), NUMBER)
    assert {(issue.code, issue.count) for issue in issues if issue.severity == "error"} == {
        ("target.not_a_number", 2),
        ("target.not_finite", 3),
        ("target.missing", 1),
    }
    assert {issue.pointer for issue in issues} == {"#/dataset/target/column"}
    assert only(issues, "target.not_a_number").examples == (
        "0: '12,5' is no number; did you mean 12.5?",
        "1: 'n/a' is no number",
    )
    assert only(issues, "target.not_finite").examples == (
        "2: inf is not finite",
        "3: nan is not finite",
        "4: 1e+200 is too large to be squared",
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12,5", "12.5"),
        ("-3,0", "-3.0"),
        ("1.234,5", "1234.5"),
        ("1,234.5", "1234.5"),
        ("1 000", "1000"),
        ("1_000", "1000"),
        ("12 km", "12"),
        ("7.5%", "7.5"),
        ("2024-01-02", None),
        ("north", None),
        ("1:30", None),
    ],
)
def test_the_nearest_number(text: str, number: str | None) -> None:
    assert nearest_number(text) == number


def test_classes_are_no_numbers(roots: Roots) -> None:
    issue = only(checked(roots, with_target(["cat", "dog"] * 8), NUMBER), "target.not_a_number")
    assert (issue.count, issue.hint) == (
        16,
        'write plain numbers with a decimal point; for classes set target.type to "multiclass"',
    )


def test_rows_without_a_number_can_be_dropped(roots: Roots) -> None:
    values = ["?", *map(str, range(19))]
    allowed = {"action": "drop", "max_fraction": 0.1}
    data = prepared(roots, with_target(values), NUMBER, on_bad_sample=allowed)
    assert data.source_rows.tolist() == list(range(1, 20))
    assert warnings(data.warnings) == ["target.not_a_number"]


def test_all_rows_dropped_is_an_error_and_no_crash(roots: Roots) -> None:
    allowed = {"action": "drop", "max_fraction": 1.0}
    with pytest.raises(DataError) as raised:
        prepared(roots, with_target(["?"] * 16), NUMBER, on_bad_sample=allowed)
    assert raised.value.code == "target.constant"


def test_a_constant_target(roots: Roots) -> None:
    assert errors(checked(roots, with_target(["5"] * 16), NUMBER)) == [("target.constant", "#/dataset/target/column")]
    # Constant over train alone: T cannot be standardised.
    issue = only(checked(roots, with_target(["5"] * 8 + list("12345678")), NUMBER), "target.constant")
    assert "in every row of T" in issue.detail


def test_two_values_look_like_a_class(roots: Roots) -> None:
    issue = only(checked(roots, with_target(["0", "1"] * 8), NUMBER), "target.two_values")
    assert (issue.severity, issue.pointer) == ("warning", "#/dataset/target/type")


def test_a_number_as_a_class_hints_at_regression(roots: Roots) -> None:
    path = roots["data"] / "t.parquet"
    rows = table_rows(16)
    columns = {name: [row[name] for row in rows] for name in rows[0]} | {"t": [row / 4 for row in range(16)]}
    pq.write_table(pa.table(columns), path)
    spec = job(table_spec(source={"type": "manifest", "uri": "data://t.parquet"}, target={"column": "t"}))
    assert 'set target.type to "regression"' in str(only(check(spec.dataset, spec.holdout, roots), "target.dtype").hint)


def test_bins_hold_equally_many_rows_and_equal_numbers_stay_together() -> None:
    quantity = Quantity(np.array([5.0] * 30 + list(range(100, 170))))
    codes, names = quantity.strata(np.arange(100))
    assert np.bincount(codes).tolist() == [30] + [10] * 7
    assert len(names) == 8
    assert Quantity(np.arange(19.0)).strata(np.arange(19))[0].tolist() == [0] * 19


def test_a_drawn_split_keeps_the_distribution(roots: Roots) -> None:
    values = [float(row**2) for row in range(100)]
    data = prepared(roots, with_target(values), NUMBER, split=DRAWN)
    ranks = np.arange(100)
    for part, size in (("validation", 20), ("test", 20)):
        rows = data.split.as_dict()[part]
        assert np.bincount(ranks[rows] // 10, minlength=10).tolist() == [size // 10] * 10


# the weights of the loss


def test_weights_of_unknown_classes(roots: Roots) -> None:
    write_csv(roots["data"] / "t.csv", table_rows())
    spec = job(table_spec())
    issues = check(spec.dataset, spec.holdout, roots, class_weights={"a": 2.0, "A": 1.0, "x/y": 1.0})
    assert errors(issues) == [
        ("loss.unknown_class", "#/training/loss/class_weights/A"),
        ("loss.unknown_class", "#/training/loss/class_weights/x~1y"),
    ]
    assert issues[1].hint == "the classes are 'a', 'b'"
    loss = spec.training.loss.model_copy(update={"class_weights": {"A": 1.0}})
    training = spec.training.model_copy(update={"loss": loss})
    with pytest.raises(DataError) as raised:
        prepare(spec.model_copy(update={"training": training}), roots)
    assert raised.value.code == "loss.unknown_class"


def test_weights_of_known_classes_are_fine(roots: Roots) -> None:
    write_csv(roots["data"] / "t.csv", table_rows())
    spec = job(table_spec())
    assert check(spec.dataset, spec.holdout, roots, class_weights={"a": 2.0, "b": 0.5}) == []
