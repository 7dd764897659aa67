"""The split by files: a manifest, an npz per part; what is wrong with any of them, at that part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data.dataset import PreparedData, prepare
from core.data.validation import check
from core.errors import DataError, Issue
from tests.unit.data.builders import clip_spec, clips, errors, job, only, table_rows, table_spec, write_csv

Roots = dict[str, Path]
FILES = {"method": "files", "train": "train.csv", "validation": "val.csv", "test": "test.csv"}


def files_spec(**changes: Any) -> dict[str, Any]:
    return table_spec(**{"source": {"type": "manifest", "uri": "data://parts"}, "split": FILES, **changes})


def write_parts(roots: Roots, sizes: tuple[int, int, int] = (12, 4, 6)) -> list[dict[str, Any]]:
    table = table_rows(sum(sizes))
    start = 0
    for name, size in zip(("train", "val", "test"), sizes, strict=True):
        write_csv(roots["data"] / "parts" / f"{name}.csv", table[start : start + size])
        start += size
    return table


def checked(roots: Roots, dataset: dict[str, Any]) -> list[Issue]:
    spec = job(dataset)
    return check(spec.dataset, spec.holdout, roots)


def sizes_of(data: PreparedData) -> list[int]:
    parts = data.split.as_dict()
    return [len(parts["train"]) + len(parts["holdout"]), len(parts["validation"]), len(parts["test"])]


def test_a_manifest_per_part(roots: Roots) -> None:
    write_parts(roots)
    assert checked(roots, files_spec()) == []
    data = prepare(job(files_spec()), roots)
    assert sizes_of(data) == [12, 4, 6]
    assert data.split.validation.tolist() == [12, 13, 14, 15]
    assert data.split.test.tolist() == [16, 17, 18, 19, 20, 21]
    assert data.targets.tolist() == [i % 2 for i in range(22)]


def test_no_validation_part(roots: Roots) -> None:
    write_parts(roots)
    data = prepare(job(files_spec(split={"method": "files", "train": "train.csv", "test": "test.csv"})), roots)
    assert sizes_of(data) == [12, 0, 6]


def test_the_fingerprint_covers_every_part(roots: Roots) -> None:
    write_parts(roots)
    seen = {prepare(job(files_spec()), roots).fingerprint}
    for name in ("train", "val", "test"):
        with (roots["data"] / "parts" / f"{name}.csv").open("a") as file:
            file.write("\n")  # a blank line is no row
        seen.add(prepare(job(files_spec()), roots).fingerprint)
    assert len(seen) == 4


def test_media_paths_are_relative_to_the_folder(roots: Roots) -> None:
    rows = clips(roots["data"] / "clips")
    for part in ("train", "val", "test"):
        write_csv(roots["data"] / "clips" / "lists" / f"{part}.csv", [row for row in rows if row["split"] == part])
    split = {name: f"lists/{file}" for name, file in list(FILES.items())[1:]}
    spec = clip_spec(
        source={"type": "manifest", "uri": "data://clips"}, split={**FILES, **split, "group_by": ["speaker"]}
    )
    assert checked(roots, spec) == []
    assert sizes_of(prepare(job(spec), roots)) == [12, 6, 6]


def test_an_npz_per_part_of_different_lengths(roots: Roots) -> None:
    for name, n in (("train", 8), ("test", 4)):
        series = np.arange(n * 6, dtype=np.float64).reshape(n, 3, 2)
        np.savez(roots["data"] / f"{name}.npz", y=np.arange(n) % 2, a=series, b=series[:, 0])
    spec = table_spec(
        source={"type": "arrays", "uri": "data://"},
        target={"column": "y"},
        modalities=[
            {"name": "one", "type": "timeseries", "column": "a", "shape": [None, 2]},
            {"name": "two", "type": "embedding", "column": "b"},
        ],
        split={"method": "files", "train": "train.npz", "test": "test.npz"},
    )
    data = prepare(job(spec), roots)
    assert sizes_of(data) == [8, 0, 4]
    assert data.modalities["one"].shape == (3, 2)


def test_a_group_and_a_sample_on_two_sides(roots: Roots) -> None:
    table = write_parts(roots)
    for name, row in (("train", table[0]), ("test", table[1])):
        rows = [{**each, "id": f"{name}{i}", "who": name} for i, each in enumerate([row] * 4)]
        rows[0]["id"], rows[1]["who"] = "same", "same person"
        rows[2]["label"], rows[3]["label"] = "a", "b"
        write_csv(roots["data"] / "parts" / f"{name}.csv", rows)
    split = {"method": "files", "train": "train.csv", "test": "test.csv", "group_by": ["who"]}
    issues = checked(roots, files_spec(sample_id="id", split=split))
    assert ("split.leak", "#/dataset/sample_id") in errors(issues)
    leak = next(issue for issue in issues if issue.pointer == "#/dataset/split/group_by" and issue.severity == "error")
    assert (leak.code, leak.examples) == ("split.leak", ("same person: train and test",))


def test_one_file_for_two_parts(roots: Roots) -> None:
    write_parts(roots)
    issues = checked(roots, files_spec(split={**FILES, "test": "./train.csv"}))
    assert errors(issues) == [("split.leak", "#/dataset/split/test")]


def test_columns_that_do_not_agree(roots: Roots) -> None:
    table = write_parts(roots)
    write_csv(roots["data"] / "parts" / "test.csv", [{k: v for k, v in row.items() if k != "x"} for row in table[:4]])
    issue = only(checked(roots, files_spec()), "source.columns_differ")
    assert (issue.pointer, issue.examples) == ("#/dataset/split", ("'x' is missing in test",))


def test_types_that_do_not_agree(roots: Roots) -> None:
    folder = roots["data"] / "parts"
    folder.mkdir()
    for name, x in (("train", [1, 2]), ("test", ["1", "2"])):
        pq.write_table(pa.table({"label": ["a", "b"], "c": ["p", "q"], "x": x}), folder / f"{name}.parquet")
    split = {"method": "files", "train": "train.parquet", "test": "test.parquet"}
    issue = only(checked(roots, files_spec(split=split)), "source.columns_differ")
    assert issue.examples == ("'x' is number in train, text in test",)


def test_what_is_wrong_with_two_parts_is_told_together(roots: Roots) -> None:
    write_parts(roots)
    (roots["data"] / "parts" / "test.csv").write_bytes(b"")
    issues = checked(roots, files_spec(split={**FILES, "validation": "none.csv"}))
    assert errors(issues) == [
        ("source.not_found", "#/dataset/split/validation"),
        ("source.empty", "#/dataset/split/test"),
    ]


@pytest.mark.parametrize("name", ["../t.csv", "/etc/passwd", "s3://b/t.csv", "%2e%2e/t.csv", "a\\b.csv", "t\x00.csv"])
def test_a_part_outside_the_roots(roots: Roots, name: str) -> None:
    write_parts(roots)
    issues = checked(roots, files_spec(split={**FILES, "test": name}))
    assert errors(issues) == [("source.forbidden", "#/dataset/split/test")]


def test_the_uri_must_be_a_folder(roots: Roots) -> None:
    write_parts(roots)
    issues = checked(roots, files_spec(source={"type": "manifest", "uri": "data://parts/train.csv"}))
    assert errors(issues) == [("source.not_found", "#/dataset/source/uri")]


def test_a_part_none_of_whose_rows_can_be_used(roots: Roots) -> None:
    table = write_parts(roots)
    write_csv(roots["data"] / "parts" / "test.csv", [{**row, "x": "?"} for row in table[:4]])
    spec = files_spec(on_bad_sample={"action": "drop", "max_fraction": 0.9})
    with pytest.raises(DataError) as raised:
        prepare(job(spec), roots)
    issue = only(raised.value.issues, "split.empty")
    assert (issue.detail, issue.pointer) == ("no row of 'test.csv' can be used", "#/dataset/split/test")
