"""Tier 2: every row of the table of bad inputs, with its code and pointer; and all problems in one answer."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data.sources import Limits
from core.data.validation import CheckLimits, check, schema_issues
from core.errors import Issue
from tests.unit.data.builders import (
    clip_spec,
    clips,
    errors,
    grey,
    job,
    only,
    table_rows,
    table_spec,
    warnings,
    write_csv,
)

Roots = dict[str, Path]


def checked(roots: Roots, dataset: dict[str, Any], *, limits: CheckLimits | None = None, **rest: Any) -> list[Issue]:
    spec = job(dataset, **rest)
    return check(spec.dataset, spec.holdout, roots, seed=spec.seed, limits=limits)


def of_table(roots: Roots, rows: list[dict[str, Any]], **changes: Any) -> list[Issue]:
    write_csv(roots["data"] / "t.csv", rows)
    return checked(roots, table_spec(**changes))


def of_clips(roots: Roots, rows: list[dict[str, Any]], **changes: Any) -> list[Issue]:
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    return checked(roots, clip_spec(**changes))


@pytest.fixture
def rows(roots: Roots) -> list[dict[str, Any]]:
    return clips(roots["data"] / "clips")


def test_good_data_have_no_issues(roots: Roots, rows: list[dict[str, Any]]) -> None:
    assert of_clips(roots, rows) == []
    assert of_table(roots, table_rows()) == []


# columns


def test_a_missing_column_with_the_nearest_name(roots: Roots) -> None:
    issues = of_table(roots, table_rows(), target={"column": "lable"}, split={"method": "column", "column": "Splits"})
    assert errors(issues) == [
        ("column.missing", "#/dataset/target/column"),
        ("column.missing", "#/dataset/split/column"),
    ]
    assert [issue.hint for issue in issues] == ["did you mean 'label'?", "did you mean 'split'?"]


def test_a_missing_column_like_no_other_lists_them(roots: Roots) -> None:
    issue = only(of_table(roots, table_rows(), target={"column": "zzz"}), "column.missing")
    assert issue.hint == "the columns are 'label', 'split', 'x', 'c'"


def test_every_place_that_names_a_column_has_its_pointer(roots: Roots, rows: list[dict[str, Any]]) -> None:
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    spec = clip_spec(
        sample_id="n1",
        split={"method": "draw", "stratify_by": "n2", "group_by": ["speaker", "n3"]},
        modalities=[
            {"name": "a", "type": "image", "column": "n4"},
            {
                "name": "b",
                "type": "tabular",
                "columns": [{"name": "height", "type": "number"}, {"name": "n5", "type": "category"}],
            },
            {"name": "c", "type": "timeseries", "column": "n6", "shape": [None, 1]},
        ],
    )
    issues = checked(roots, spec, holdout={"group_by": ["n7"]})
    assert errors(issues) == [
        ("column.missing", "#/dataset/sample_id"),
        ("column.missing", "#/dataset/modalities/0/column"),
        ("column.missing", "#/dataset/modalities/1/columns/1/name"),
        ("column.missing", "#/dataset/modalities/2/column"),
        ("column.missing", "#/dataset/split/stratify_by"),
        ("column.missing", "#/dataset/split/group_by/1"),
        ("column.missing", "#/holdout/group_by/0"),
    ]


def test_the_wrong_delimiter_is_guessed(roots: Roots) -> None:
    (roots["data"] / "t.csv").write_text("label;split;x;c\na;train;1;p\n")
    hints = {issue.hint for issue in checked(roots, table_spec())}
    assert hints == {"the header is one single name: is the file separated by something else than its format says?"}


def test_columns_of_the_wrong_kind(roots: Roots) -> None:
    n = 8
    table = {"label": ["a", "b"] * 4, "split": ["train"] * 4 + ["test"] * 4, "x": [[1.0]] * n, "c": list(range(n))}
    pq.write_table(pa.table(table), roots["data"] / "t.parquet")
    spec = table_spec(
        source={"type": "manifest", "uri": "data://t.parquet"},
        modalities=[
            {"name": "a", "type": "tabular", "columns": [{"name": "x", "type": "number"}]},
            {"name": "b", "type": "image", "column": "c"},
            {"name": "d", "type": "embedding", "column": "c"},
        ],
    )
    issues = checked(roots, spec)
    assert errors(issues) == [
        ("value.dtype", "#/dataset/modalities/0/columns/0/name"),
        ("value.dtype", "#/dataset/modalities/1/column"),
        ("value.dtype", "#/dataset/modalities/2/column"),
    ]
    assert issues[1].detail == "the column 'c' is int64; paths of files (text) or files (binary) are expected"


def test_a_csv_holds_no_lists(roots: Roots) -> None:
    modalities = [
        {"name": "a", "type": "tabular", "columns": [{"name": "c", "type": "category"}]},
        {"name": "b", "type": "timeseries", "column": "x", "shape": [None, 2]},
    ]
    issue = only(of_table(roots, table_rows(), modalities=modalities), "value.dtype")
    assert issue.hint == "csv and tsv hold no lists: use parquet, jsonl or npz"


@pytest.mark.parametrize(
    ("modality", "fits"),
    [
        ({"type": "embedding", "column": "flat"}, True),
        ({"type": "embedding", "column": "deep"}, False),
        ({"type": "timeseries", "column": "deep", "shape": [None, 2]}, True),
        ({"type": "timeseries", "column": "deep", "shape": [None, 3]}, False),
        ({"type": "timeseries", "column": "flat", "shape": [5, 1]}, True),
        ({"type": "timeseries", "column": "flat", "shape": [5, 2]}, False),
    ],
)
def test_shapes_of_npz_arrays_are_checked_by_their_headers(roots: Roots, modality: dict[str, Any], fits: bool) -> None:
    y, split = np.array([0, 1] * 4), np.array(["train"] * 4 + ["test"] * 4)
    np.savez(roots["data"] / "t.npz", label=y, split=split, flat=np.zeros((8, 4)), deep=np.zeros((8, 5, 2)))
    other = {"name": "other", "type": "embedding", "column": "flat"}
    spec = table_spec(source={"type": "arrays", "uri": "data://t.npz"}, modalities=[{"name": "one", **modality}, other])
    assert errors(checked(roots, spec)) == ([] if fits else [("value.shape", "#/dataset/modalities/0/column")])


# leaks in the spec


def test_the_target_among_the_features(roots: Roots) -> None:
    columns = [{"name": "x", "type": "number"}, {"name": "label", "type": "category"}]
    spec = table_spec()
    spec["modalities"][0]["columns"] = columns
    expected = [("leak.target_in_features", "#/dataset/modalities/0/columns/1/name")]
    assert errors(schema_issues(job(spec).dataset)) == expected
    assert errors(of_table(roots, table_rows(), modalities=spec["modalities"])) == expected


def test_a_split_value_that_means_two_parts() -> None:
    values = {"train": ["a"], "validation": [], "test": ["b", " A"]}
    spec = table_spec(split={"method": "column", "column": "split", "values": values})
    assert errors(schema_issues(job(spec).dataset)) == [("split.values_overlap", "#/dataset/split/values")]


# the source


@pytest.mark.parametrize(
    "uri", ["data://../t.csv", "s3://b/t.csv", "/t.csv", "data://%2e%2e/t.csv", "data://t\x00.csv"]
)
def test_a_source_outside_the_roots(roots: Roots, uri: str) -> None:
    issues = checked(roots, table_spec(source={"type": "manifest", "uri": uri}))
    assert errors(issues) == [("source.forbidden", "#/dataset/source/uri")]


def test_a_source_that_is_missing_empty_or_malformed(roots: Roots) -> None:
    assert errors(checked(roots, table_spec())) == [("source.not_found", "#/dataset/source/uri")]
    for raw, code in (
        (b"", "source.empty"),
        (b"label,split,x,c\n", "source.empty"),
        (b"label,x\na\n", "source.malformed"),
    ):
        (roots["data"] / "t.csv").write_bytes(raw)
        assert errors(checked(roots, table_spec())) == [(code, "#/dataset/source/uri")]
    (roots["data"] / "t.csv").unlink()
    (roots["data"] / "t.csv").mkdir()
    assert errors(checked(roots, table_spec())) == [("source.not_found", "#/dataset/source/uri")]


def test_a_source_with_an_object_array(roots: Roots) -> None:
    raw = io.BytesIO()
    np.lib.format.write_array_header_1_0(raw, {"descr": "|O", "fortran_order": False, "shape": (2,)})
    import zipfile

    with zipfile.ZipFile(roots["data"] / "t.npz", "w") as archive:
        archive.writestr("x.npy", raw.getvalue())
    issues = checked(roots, table_spec(source={"type": "arrays", "uri": "data://t.npz"}))
    assert errors(issues) == [("source.object_array", "#/dataset/source/uri")]


def test_a_source_that_is_too_large(roots: Roots) -> None:
    write_csv(roots["data"] / "t.csv", table_rows())
    issues = checked(roots, table_spec(), limits=CheckLimits(source=Limits(text_bytes=10)))
    assert errors(issues) == [("source.too_large", "#/dataset/source/uri")]


def test_a_pipe_is_no_source(roots: Roots) -> None:
    os.mkfifo(roots["data"] / "t.csv")
    assert errors(checked(roots, table_spec())) == [("source.not_found", "#/dataset/source/uri")]


# files


def test_missing_files_are_counted_with_five_examples(roots: Roots, rows: list[dict[str, Any]]) -> None:
    for index in range(7):
        (roots["data"] / "clips" / f"{index}.wav").unlink()
    rows[23]["picture"] = ""
    issues = of_clips(roots, rows)
    missing = only(issues, "file.missing")
    assert (missing.severity, missing.pointer) == ("error", "#/dataset/modalities/0/column")
    assert (missing.count, missing.sample) == (7, "clip-00")
    assert missing.examples == tuple(f"clip-0{index}: there is no file '{index}.wav'" for index in range(5))
    assert only(issues, "value.missing").examples == ("clip-23: there is no file",)


def test_forbidden_paths_in_a_manifest(roots: Roots, rows: list[dict[str, Any]]) -> None:
    (roots["data"].parent / "secret.wav").write_bytes(b"x")
    (roots["data"] / "clips" / "link.wav").symlink_to(roots["data"].parent / "secret.wav")
    bad = ["../secret.wav", "/etc/passwd", "s3://b/x.wav", "%2e%2e/x.wav", "a\\b.wav", "link.wav"]
    for row, path in zip(rows, bad, strict=False):
        row["sound"] = path
    issue = only(of_clips(roots, rows), "source.forbidden")
    assert (issue.severity, issue.pointer) == ("error", "#/dataset/modalities/0/column")
    assert (issue.count, issue.sample) == (6, "clip-00")
    assert issue.examples[0] == "clip-00: '../secret.wav'"
    dropping = of_clips(roots, rows, on_bad_sample={"action": "drop", "max_fraction": 1.0})
    assert only(dropping, "source.forbidden").severity == "error"


def test_only_so_many_files_are_looked_for(roots: Roots, rows: list[dict[str, Any]]) -> None:
    for index in range(24):
        (roots["data"] / "clips" / f"{index}.wav").unlink()
    rows[1]["sound"] = "../x"
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    issues = checked(roots, clip_spec(), limits=CheckLimits(files=12))
    # 12 files over two columns: every fourth row of 24. Refused paths are found in every row all the same.
    assert only(issues, "file.missing").count == 6
    assert only(issues, "source.forbidden").count == 1
    late = checked(roots, clip_spec(), limits=CheckLimits(seconds=-1.0))
    assert errors(late) == [("source.forbidden", "#/dataset/modalities/0/column")]


def test_bad_rows_that_may_be_dropped_are_warnings(roots: Roots, rows: list[dict[str, Any]]) -> None:
    (roots["data"] / "clips" / "5.wav").unlink()
    (roots["data"] / "clips" / "5.png").unlink()
    (roots["data"] / "clips" / "6.png").unlink()
    allowed = of_clips(roots, rows, on_bad_sample={"action": "drop", "max_fraction": 0.1})
    assert errors(allowed) == []
    assert warnings(allowed) == ["file.missing", "file.missing"]
    refused = of_clips(roots, rows, on_bad_sample={"action": "drop", "max_fraction": 0.05})
    assert errors(refused) == [
        ("file.missing", "#/dataset/modalities/0/column"),
        ("file.missing", "#/dataset/modalities/1/column"),
        ("data.too_many_bad_samples", "#/dataset/on_bad_sample/max_fraction"),
    ]
    assert (
        only(refused, "data.too_many_bad_samples").detail == "2 of 24 rows cannot be used; at most 5.0% may be dropped"
    )


# the target


def test_one_class(roots: Roots) -> None:
    rows = [{**row, "label": "a"} for row in table_rows()]
    issue = only(of_table(roots, rows), "target.one_class")
    assert (issue.pointer, issue.examples) == ("#/dataset/target/column", ("a",))


def test_binary_means_two_classes(roots: Roots) -> None:
    rows = [{**row, "label": "abc"[index % 3]} for index, row in enumerate(table_rows())]
    issues = of_table(roots, rows, target={"column": "label", "type": "binary"})
    assert errors(issues) == [("target.not_binary", "#/dataset/target/type")]
    assert errors(of_table(roots, table_rows(), target={"column": "label", "type": "binary"})) == []


def test_missing_labels_are_rows_that_cannot_be_used(roots: Roots) -> None:
    rows = table_rows()
    rows[3]["label"] = " "
    issue = only(of_table(roots, rows), "target.missing")
    assert (issue.pointer, issue.count, issue.sample) == ("#/dataset/target/column", 1, "3")
    allowed = of_table(roots, rows, on_bad_sample={"action": "drop", "max_fraction": 0.1})
    assert (errors(allowed), warnings(allowed)) == ([], ["target.missing"])


def test_a_regression_target_is_told(roots: Roots) -> None:
    table = {"label": np.linspace(0, 1, 16), "split": ["train", "test"] * 8, "x": range(16), "c": ["p"] * 8 + ["q"] * 8}
    pq.write_table(pa.table(table), roots["data"] / "t.parquet")
    issues = checked(roots, table_spec(source={"type": "manifest", "uri": "data://t.parquet"}))
    assert ("target.dtype", "#/dataset/target/column") in errors(issues)


def test_labels_that_differ_only_by_case_or_blanks(roots: Roots) -> None:
    rows = table_rows()
    for index, row in enumerate(rows):
        row["label"] = ("cat", "Cat ", "dog", "tree frog", "treefrog")[index % 5]
    issue = only(of_table(roots, rows), "target.near_duplicates")
    assert (issue.severity, issue.examples) == ("warning", ("'Cat ' / 'cat'", "'tree frog' / 'treefrog'"))


def test_imbalance_over_100_to_1(roots: Roots) -> None:
    def rows(many: int) -> list[dict[str, Any]]:
        train = [{"label": "a", "split": "train", "x": i, "c": "pq"[i % 2]} for i in range(many)]
        train += [{"label": "b", "split": "train", "x": i, "c": "p"} for i in range(2)]
        return [*train, *({"label": label, "split": "test", "x": 0, "c": "p"} for label in "ab")]

    assert warnings(of_table(roots, rows(200))) == []
    issues = of_table(roots, rows(201))
    assert warnings(issues) == ["target.imbalanced"]
    assert issues[0].detail == "in train, class 'a' has 201 rows and class 'b' has 2"


# the split


@pytest.mark.parametrize("part", ["train", "test"])
def test_an_empty_part(roots: Roots, part: str) -> None:
    rows = [{**row, "split": "other" if row["split"] == part else row["split"]} for row in table_rows()]
    issue = only(of_table(roots, rows), "split.empty")
    assert issue.pointer == "#/dataset/split/column"
    assert issue.hint == f"say which values mean it with split.values.{part}"


def test_a_split_column_with_no_known_value(roots: Roots) -> None:
    rows = [{**row, "split": "fold 1"} for row in table_rows()]
    issues = of_table(roots, rows)
    assert errors(issues) == [("split.empty", "#/dataset/split/column")]
    assert issues[0].examples == ("fold 1",)


def test_rows_of_no_part_are_left_out_with_a_warning(roots: Roots) -> None:
    rows = [*table_rows(), {"label": "", "split": "unused", "x": "nan", "c": ""}]
    issues = of_table(roots, rows)
    assert (errors(issues), warnings(issues)) == ([], ["split.unused_rows"])
    assert (issues[0].count, issues[0].examples) == (1, ("'unused'",))


def test_split_values_are_compared_without_case(roots: Roots) -> None:
    rows = [{**row, "split": {"train": " TRAIN", "test": "Testing"}[row["split"]]} for row in table_rows()]
    assert of_table(roots, rows) == []


def test_a_class_seen_only_in_test(roots: Roots) -> None:
    rows = table_rows()
    rows[-1]["label"] = "new"
    issue = only(of_table(roots, rows), "split.class_not_in_train")
    assert (issue.severity, issue.pointer, issue.examples) == ("error", "#/dataset/split", ("new",))
    rows = table_rows()
    rows[0]["label"] = rows[1]["label"] = "old"
    assert only(of_table(roots, rows), "split.class_not_in_test").severity == "warning"


def test_a_class_too_small_to_stratify(roots: Roots) -> None:
    rows = table_rows(40)
    rows[0]["label"], rows[1]["label"] = "rare", "rare"
    issue = only(of_table(roots, rows, split={"method": "draw"}), "split.class_too_small")
    assert (issue.pointer, issue.examples) == ("#/dataset/split", ("'rare': 2",))
    assert issue.detail == "a class needs 3 rows to be in each of 3 parts; too small: 'rare': 2"
    without = {"method": "draw", "stratify_by": False, "seed": 3}
    assert "split.class_too_small" not in {issue.code for issue in of_table(roots, rows, split=without)}


def test_fewer_rows_or_groups_than_parts(roots: Roots) -> None:
    issues = of_table(roots, table_rows(2), split={"method": "draw", "stratify_by": False})
    assert errors(issues) == [("split.empty", "#/dataset/split")]
    rows = [{**row, "site": "ab"[index % 2]} for index, row in enumerate(table_rows())]
    issues = of_table(roots, rows, split={"method": "draw", "group_by": ["site"]})
    assert errors(issues) == [("split.too_few_groups", "#/dataset/split/group_by")]


def test_a_group_on_both_sides(roots: Roots, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["split"] == "test":
            row["speaker"] = "speaker 0"
    issue = only(of_clips(roots, rows), "split.leak")
    assert (issue.severity, issue.pointer, issue.count) == ("error", "#/dataset/split/group_by", 1)
    assert issue.examples == ("speaker 0: train and test",)


def test_a_joint_group_is_the_pair(roots: Roots, rows: list[dict[str, Any]]) -> None:
    split = {"method": "column", "column": "split", "group_by": ["speaker", "label"]}
    rows[-1]["speaker"] = "speaker 0"  # its label, c, is in train with this speaker
    issue = only(of_clips(roots, rows, split=split), "split.leak")
    assert issue.examples == ("speaker 0 / c: train and test",)


def test_rows_without_a_group_count_as_one(roots: Roots, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["speaker"] == "speaker 0":
            row["speaker"] = ""
    issues = of_clips(roots, rows)
    assert (errors(issues), warnings(issues)) == ([], ["group.missing"])


def test_sample_ids(roots: Roots, rows: list[dict[str, Any]]) -> None:
    rows[1]["id"] = rows[0]["id"]
    issue = only(of_clips(roots, rows), "sample_id.duplicate")
    assert (issue.pointer, issue.examples) == ("#/dataset/sample_id", ("clip-00",))
    rows[1]["id"] = ""
    assert only(of_clips(roots, rows), "sample_id.missing").count == 1
    rows[1]["id"] = rows[23]["id"]
    leak = only(of_clips(roots, rows), "split.leak")
    assert (leak.pointer, leak.examples) == ("#/dataset/sample_id", ("clip-23: train and test",))
    rows[2]["id"] = rows[0]["id"]
    assert {"split.leak", "sample_id.duplicate"} <= {issue.code for issue in of_clips(roots, rows)}
    assert "sample_id.duplicate" in {issue.code for issue in of_clips(roots, rows, split={"method": "draw"})}


# V


def test_v_ignores_the_groups_of_the_split_only_on_purpose(roots: Roots, rows: list[dict[str, Any]]) -> None:
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    assert checked(roots, clip_spec()) == []
    issues = checked(roots, clip_spec(), holdout={"group_by": []})
    assert [(issue.code, issue.severity, issue.pointer) for issue in issues] == [
        ("holdout.ignores_groups", "warning", "#/holdout/group_by")
    ]


def test_v_may_be_drawn_by_other_columns_that_keep_the_groups_whole(roots: Roots, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row["room"] = {"speaker 0": "north", "speaker 1": "south"}.get(row["speaker"], "west")
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    assert checked(roots, clip_spec(), holdout={"group_by": ["room"]}) == []


def test_v_drawn_by_columns_that_cut_through_the_groups(roots: Roots, rows: list[dict[str, Any]]) -> None:
    for index, row in enumerate(rows):
        row["day"] = f"day {index // 12}"
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    for columns in (["day"], ["speaker", "day"]):
        issue = only(checked(roots, clip_spec(), holdout={"group_by": columns}), "holdout.ignores_groups")
        assert (issue.severity, issue.pointer, issue.count) == ("warning", "#/holdout/group_by", 2)
        assert issue.examples == ("speaker 0", "speaker 1")
        assert "does not keep them whole" in issue.detail


def test_v_drawn_at_random_because_its_own_column_has_one_value(roots: Roots, rows: list[dict[str, Any]]) -> None:
    write_csv(roots["data"] / "clips" / "manifest.csv", [{**row, "site": "here"} for row in rows])
    issues = checked(roots, clip_spec(), holdout={"group_by": ["site"]})
    assert warnings(issues) == ["holdout.ignores_groups", "holdout.one_group"]


def test_a_single_training_group(roots: Roots, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["split"] == "train":
            row["speaker"] = "speaker 0"
    issues = of_clips(roots, rows)
    assert [(issue.code, issue.severity) for issue in issues] == [("holdout.one_group", "warning")]


def test_v_that_takes_all_of_a_class(roots: Roots) -> None:
    rows = [{**row, "site": row["label"]} for row in table_rows()]
    write_csv(roots["data"] / "t.csv", rows)
    issues = checked(roots, table_spec(), holdout={"group_by": ["site"]})
    assert errors(issues) == [("holdout.class_not_trained", "#/holdout")]
    assert warnings(issues) == ["holdout.class_missing"]


def test_one_training_row(roots: Roots) -> None:
    rows = [{**row, "split": "train" if index == 0 else "test"} for index, row in enumerate(table_rows())]
    assert ("holdout.empty", "#/holdout") in errors(of_table(roots, rows))


# values in the table


def test_nan_infinity_and_texts_among_numbers(roots: Roots) -> None:
    rows = table_rows()
    rows[2]["x"], rows[3]["x"], rows[4]["x"], rows[5]["x"] = "nan", "", "tall", "-inf"
    issues = of_table(roots, rows)
    where = "#/dataset/modalities/0/columns"
    assert errors(issues) == [("value.not_finite", where), ("value.missing", where), ("value.dtype", where)]
    assert only(issues, "value.not_finite").examples == ("2: 'x' is nan", "5: 'x' is -inf")
    assert only(issues, "value.dtype").examples == ("4: 'x' is 'tall', no number",)


def test_constant_columns(roots: Roots) -> None:
    rows = [{**row, "c": "p" if row["split"] == "train" else row["c"]} for row in table_rows()]
    issue = only(of_table(roots, rows), "column.constant")
    assert (issue.severity, issue.pointer) == ("warning", "#/dataset/modalities/1/columns")


# everything at once


def test_all_problems_come_in_one_answer_errors_first(roots: Roots, rows: list[dict[str, Any]]) -> None:
    rows[0]["sound"] = "../x.wav"
    rows[1]["sound"] = "none.wav"
    rows[2]["label"] = ""
    rows[3]["label"] = "A"
    rows[4]["id"] = rows[5]["id"]
    rows[-1]["speaker"] = "speaker 0"
    rows[-1]["label"] = "unheard"
    issues = of_clips(
        roots,
        rows,
        target={"column": "label", "type": "binary"},
        modalities=[*clip_spec()["modalities"], {"name": "third", "type": "image", "column": "pictur"}],
    )
    assert {issue.code for issue in issues if issue.severity == "error"} == {
        "column.missing",
        "source.forbidden",
        "file.missing",
        "target.missing",
        "target.not_binary",
        "split.leak",
        "split.class_not_in_train",
        "sample_id.duplicate",
    }
    assert "target.near_duplicates" in warnings(issues)
    severities = [issue.severity for issue in issues]
    assert severities == sorted(severities)  # "error" before "warning"
    assert all(issue.pointer for issue in issues)


def test_pointers_may_begin_elsewhere(roots: Roots) -> None:
    spec = job(table_spec(target={"column": "none"}), holdout={"group_by": ["gone"]})
    write_csv(roots["data"] / "t.csv", table_rows())
    issues = check(spec.dataset, spec.holdout, roots, pointer="#/spec/dataset", holdout_pointer="#/spec/holdout")
    assert [pointer for _, pointer in errors(issues)] == ["#/spec/dataset/target/column", "#/spec/holdout/group_by/0"]


def test_nothing_is_decoded_or_loaded_that_a_request_need_not_wait_for(
    roots: Roots, rows: list[dict[str, Any]]
) -> None:
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    (roots["data"] / "clips" / "0.png").write_bytes(grey(1)[:20])  # broken, which only the worker finds out
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from core.data.validation import check\n"
        "assert not {'torch', 'pyarrow', 'PIL', 'soundfile', 'soxr'} & set(sys.modules), 'imported too early'\n"
        "from core.spec import JobSpec\n"
        "spec = JobSpec.model_validate_json(sys.argv[1])\n"
        "assert check(spec.dataset, spec.holdout, {'data': Path(sys.argv[2])}) == []\n"
        "assert not {'torch', 'PIL', 'soundfile', 'soxr'} & set(sys.modules), 'a decoder was imported'\n"
    )
    spec = job(clip_spec()).model_dump_json()
    subprocess.run([sys.executable, "-c", code, spec, str(roots["data"])], check=True, cwd=Path(__file__).parents[3])


# libraries


def test_videos_where_nothing_can_read_them(
    roots: Roots, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    modalities = [{"name": "clip", "type": "video", "column": "sound"}, clip_spec()["modalities"][1]]
    assert of_clips(roots, rows, modalities=modalities) == []
    monkeypatch.setitem(sys.modules, "av", None)
    issue = only(of_clips(roots, rows, modalities=modalities), "data.missing_library")
    assert (issue.severity, issue.pointer) == ("warning", "#/dataset/modalities/0/type")
