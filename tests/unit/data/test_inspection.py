"""Statistics, headers and duplicates of a data set, counted by hand; and that looking costs no more than allowed."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.inspection import Inspection, InspectionLimits, inspect
from core.data.statistics import ModalityStatistics, Spread
from core.data.validation import check
from tests.unit.data.builders import (
    clip_spec,
    clips,
    errors,
    grey,
    job,
    only,
    table_rows,
    table_spec,
    tone,
    warnings,
    wav,
    write_csv,
)

Roots = dict[str, Path]


def inspected(
    roots: Roots, dataset: dict[str, Any], *, limits: InspectionLimits | None = None, **rest: Any
) -> Inspection:
    spec = job(dataset, **rest)
    return inspect(spec.dataset, spec.holdout, roots, seed=spec.seed, limits=limits)


def of_clips(
    roots: Roots, rows: list[dict[str, Any]], limits: InspectionLimits | None = None, **changes: Any
) -> Inspection:
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    return inspected(roots, clip_spec(**changes), limits=limits)


def of_texts(roots: Roots, texts: list[str]) -> Inspection:
    rows = [
        {"label": "ab"[i % 2], "split": "train" if i < 10 else "test", "x": i, "words": text}
        for i, text in enumerate(texts)
    ]
    write_csv(roots["data"] / "t.csv", rows)
    modalities = [{"name": "words", "type": "text", "column": "words"}, table_spec()["modalities"][0]]
    return inspected(roots, table_spec(modalities=modalities))


def modality(found: Inspection, name: str) -> ModalityStatistics:
    assert found.statistics is not None
    return next(each for each in found.statistics.modalities if each.name == name)


@pytest.fixture
def rows(roots: Roots) -> list[dict[str, Any]]:
    return clips(roots["data"] / "clips")


# counts


def test_rows_groups_and_classes_per_part(roots: Roots, rows: list[dict[str, Any]]) -> None:
    found = of_clips(roots, rows).statistics
    assert found is not None
    assert (found.rows, found.left_out, found.unusable, found.complete) == (24, 0, 0, True)
    # Speakers 0 and 1 train, one of them is V; 6 rows each.
    assert [(part.name, part.rows, part.groups) for part in found.parts] == [
        ("train", 6, 1),
        ("holdout", 6, 1),
        ("validation", 6, 1),
        ("test", 6, 1),
    ]
    assert len(found.holdout_groups) == 1
    assert found.target is not None
    assert (found.target.type, found.target.class_count, found.target.missing, found.target.imbalance) == (
        "multiclass",
        3,
        0,
        1.0,
    )
    assert [(each.name, each.rows) for each in found.target.classes] == [
        (name, {"train": 2, "holdout": 2, "validation": 2, "test": 2}) for name in "abc"
    ]


def test_an_imbalance_is_that_of_t(roots: Roots) -> None:
    rows = [
        {"label": "b" if i % 4 == 0 else "a", "split": "train" if i < 40 else "test", "x": i, "c": "p"}
        for i in range(48)
    ]
    write_csv(roots["data"] / "t.csv", rows)
    found = inspected(roots, table_spec(), holdout={"fraction": 0.1}).statistics
    assert found is not None
    assert found.target is not None
    classes = {each.name: each.rows["train"] for each in found.target.classes}
    assert found.target.imbalance == classes["a"] / classes["b"] == 3.0


def test_the_numbers_of_a_regression_per_part(roots: Roots) -> None:
    rows = [{"y": i, "split": "train" if i < 20 else "test", "x": i % 5, "c": "pq"[i % 2]} for i in range(24)]
    write_csv(roots["data"] / "t.csv", rows)
    found = inspected(roots, table_spec(target={"column": "y", "type": "regression"})).statistics
    assert found is not None
    assert found.target is not None
    assert (found.target.class_count, found.target.classes, found.target.imbalance) == (0, (), None)
    test = found.parts[3]
    assert test.quantity == Spread(count=4, min=20.0, median=21.5, mean=21.5, max=23.0)


def test_missing_labels_and_rows_left_out_are_counted(roots: Roots) -> None:
    rows = table_rows(16)
    rows[0]["label"] = ""
    rows[1]["split"] = "spare"
    write_csv(roots["data"] / "t.csv", rows)
    found = inspected(roots, table_spec(on_bad_sample={"action": "drop", "max_fraction": 0.5})).statistics
    assert found is not None
    assert (found.rows, found.left_out, found.unusable) == (16, 1, 1)
    assert found.target is not None
    assert found.target.missing == 1
    assert sum(part.rows for part in found.parts) == 14


def test_columns_of_a_table(roots: Roots) -> None:
    rows = [
        {"label": "ab"[i % 2], "split": "train" if i < 8 else "test", "x": i, "c": "" if i == 0 else "ppq"[i % 3]}
        for i in range(12)
    ]
    write_csv(roots["data"] / "t.csv", rows)
    found = inspected(roots, table_spec())
    number = modality(found, "numbers").columns[0]
    assert (number.missing, number.distinct, number.common) == (0, None, {})
    assert number.spread == Spread(count=12, min=0.0, median=5.5, mean=5.5, max=11.0)
    category = modality(found, "names").columns[0]
    assert (category.missing, category.distinct, category.common) == (1, 2, {"p": 7, "q": 4})
    assert category.spread is None


@pytest.mark.parametrize(
    ("values", "median", "mean"),
    [
        ([1.5e308, 1.5e308, 1.5e308, 1.5e308], 1.5e308, 1.5e308),
        ([-1.5e308, 1.5e308, 1.5e308, -1.5e308], 0.0, 0.0),
        ([1e-300, 1e300], 5e299, 5e299),
        ([1.7976931348623157e308] * 3, 1.7976931348623157e308, 1.7976931348623157e308),
    ],
)
def test_numbers_whose_sum_is_no_number_have_a_mean(values: list[float], median: float, mean: float) -> None:
    found = Spread.of(values)
    assert found is not None
    assert (found.median, found.mean) == (pytest.approx(median, rel=1e-12), pytest.approx(mean, rel=1e-12))


def test_lengths_of_texts(roots: Roots) -> None:
    words = modality(of_texts(roots, [f"number {i} it is" for i in range(10)] + ["a", "bb"] * 2), "words")
    assert words.missing == 0
    assert words.measures["words"] == Spread(count=14, min=1.0, median=4.0, mean=44 / 14, max=4.0)
    assert words.measures["characters"].max == 14.0


def test_arrays_are_described_by_their_header_alone(roots: Roots) -> None:
    rng = np.random.default_rng(0)
    np.savez(
        roots["data"] / "a.npz",
        y=np.arange(20) % 2,
        imu=rng.normal(size=(20, 7, 3)),
        vector=np.full((20, 4), np.nan),  # the worker's to find
    )
    found = inspected(
        roots,
        {
            "source": {"type": "arrays", "uri": "data://a.npz"},
            "target": {"column": "y"},
            "modalities": [
                {"name": "imu", "type": "timeseries", "column": "imu", "shape": [None, 3]},
                {"name": "vector", "type": "embedding", "column": "vector"},
            ],
        },
    )
    assert errors(found.issues) == []
    assert [
        (m.name, m.shape, m.missing, m.duplicates) for m in (modality(found, "imu"), modality(found, "vector"))
    ] == [
        ("imu", (7, 3), None, None),
        ("vector", (4,), None, None),
    ]


# headers


def test_headers_of_sounds_and_images(roots: Roots, rows: list[dict[str, Any]]) -> None:
    folder = roots["data"] / "clips"
    (folder / "0.wav").write_bytes(wav(tone(400, 0.5, rate=16000), rate=16000))
    (folder / "0.png").write_bytes(grey(7, (6, 10)))
    found = of_clips(roots, rows)
    voice, face = modality(found, "voice"), modality(found, "face")
    assert voice.counts == {
        "sample_rate": {"8000": 23, "16000": 1},
        "channels": {"1": 24},
        "format": {"WAV": 24},
    }
    assert voice.files == 24
    assert voice.measures["seconds"].max == 0.5
    assert voice.measures["seconds"].min == 0.05
    assert face.counts == {"mode": {"L": 24}, "format": {"PNG": 24}}
    assert (face.measures["width"].max, face.measures["height"].max) == (10.0, 6.0)
    assert only(found.issues, "audio.mixed_sample_rates").pointer == "#/dataset/modalities/0/column"


def test_what_no_header_can_be_read_from_is_told_before_any_training(roots: Roots, rows: list[dict[str, Any]]) -> None:
    folder = roots["data"] / "clips"
    (folder / "3.wav").write_bytes(b"#EXTM3U\nfile:///etc/passwd\n")
    (folder / "4.png").write_bytes((folder / "4.png").read_bytes()[:20])
    (folder / "5.wav").write_bytes((folder / "5.wav").read_bytes()[:60])
    found = of_clips(roots, rows)
    assert errors(found.issues) == [
        ("file.format", "#/dataset/modalities/0/column"),
        ("file.truncated", "#/dataset/modalities/0/column"),
        ("file.truncated", "#/dataset/modalities/1/column"),
    ]
    assert [issue.sample for issue in found.issues] == ["clip-03", "clip-05", "clip-04"]
    assert found.fingerprint is None
    assert not found.is_valid
    assert found.statistics is not None
    assert found.statistics.unusable == 3


def test_a_submission_looks_into_no_file(roots: Roots, rows: list[dict[str, Any]]) -> None:
    (roots["data"] / "clips" / "3.wav").write_bytes(b"no sound")
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    spec = job(clip_spec())
    assert check(spec.dataset, spec.holdout, roots) == []
    assert not of_clips(roots, rows).is_valid


def test_only_a_sample_of_many_files_is_opened(roots: Roots, rows: list[dict[str, Any]]) -> None:
    found = of_clips(roots, rows, InspectionLimits(headers=8))
    assert modality(found, "voice").files == 8
    assert found.statistics is not None
    assert not found.statistics.complete
    assert found.is_valid


def test_no_file_is_opened_after_the_time_is_up(roots: Roots, rows: list[dict[str, Any]]) -> None:
    found = of_clips(roots, rows, InspectionLimits(header_seconds=-1.0, compared_seconds=-1.0))
    assert (modality(found, "voice").files, modality(found, "voice").measures) == (0, {})
    assert found.statistics is not None
    assert not found.statistics.complete
    assert found.is_valid
    assert found.fingerprint is not None


# duplicates


def test_files_with_the_same_bytes_in_two_parts(roots: Roots, rows: list[dict[str, Any]]) -> None:
    folder = roots["data"] / "clips"
    # Rows 0 to 2 are speaker 0's; 9 to 11 are speaker 3's, in test; 6 to 8 speaker 2's, in validation.
    shutil.copy(folder / "0.png", folder / "9.png")
    shutil.copy(folder / "6.png", folder / "10.png")
    found = of_clips(roots, rows)
    issue = only(found.issues, "split.duplicates")
    assert issue.pointer == "#/dataset/modalities/1/column"
    assert issue.count == 2
    assert found.statistics is not None
    part = "holdout" if "speaker 0" in found.statistics.holdout_groups else "train"
    assert issue.detail == (
        f"modality 'face': the same contents are in two parts: 1 of test also in {part}, 1 of test also in validation"
    )
    assert issue.examples == ("clip-00 = clip-09", "clip-06 = clip-10")
    assert [(each.earlier, each.later, each.rows) for each in modality(found, "face").duplicates or ()] == [
        (part, "test", 1),
        ("validation", "test", 1),
    ]
    assert modality(found, "voice").duplicates == ()
    assert found.is_valid


def test_one_file_that_two_rows_name(roots: Roots, rows: list[dict[str, Any]]) -> None:
    rows[9]["sound"] = rows[6]["sound"]
    assert only(of_clips(roots, rows).issues, "split.duplicates").examples == ("clip-06 = clip-09",)


def test_a_row_that_lacks_its_file_leaves_none_unlooked_at(roots: Roots, rows: list[dict[str, Any]]) -> None:
    rows[0]["sound"] = ""
    spec = clip_spec()
    spec["modalities"][0]["missing"] = "mask"
    found = of_clips(roots, rows, modalities=spec["modalities"])
    assert found.is_valid
    assert found.statistics is not None
    assert found.statistics.complete
    assert modality(found, "voice").missing == 1


def test_copies_within_one_part_are_no_leak(roots: Roots, rows: list[dict[str, Any]]) -> None:
    shutil.copy(roots["data"] / "clips" / "0.png", roots["data"] / "clips" / "1.png")
    assert warnings(of_clips(roots, rows).issues) == []


def test_files_are_not_compared_beyond_the_bytes_allowed(roots: Roots, rows: list[dict[str, Any]]) -> None:
    shutil.copy(roots["data"] / "clips" / "0.png", roots["data"] / "clips" / "9.png")
    found = of_clips(roots, rows, replace(InspectionLimits(), compared_bytes=0))
    assert warnings(found.issues) == []
    assert found.statistics is not None
    assert not found.statistics.complete


def test_texts_that_two_parts_share(roots: Roots) -> None:
    texts = [f"text {i}" for i in range(10)] + ["text 11", " text 3 ", "", ""]
    found = of_texts(roots, texts)
    issue = only(found.issues, "split.duplicates")
    assert (issue.count, issue.examples) == (1, ("3 = 11",))
    assert issue.pointer == "#/dataset/modalities/0/column"


# the answer as a whole


def test_a_source_that_cannot_be_read_has_no_statistics(roots: Roots) -> None:
    found = inspected(roots, table_spec())
    assert errors(found.issues) == [("source.not_found", "#/dataset/source/uri")]
    assert (found.statistics, found.fingerprint) == (None, None)


def test_with_a_missing_target_the_modalities_are_still_described(roots: Roots) -> None:
    write_csv(roots["data"] / "t.csv", table_rows())
    found = inspected(roots, table_spec(target={"column": "labl"}))
    assert errors(found.issues) == [("column.missing", "#/dataset/target/column")]
    assert found.statistics is not None
    assert (found.statistics.target, found.statistics.parts) == (None, ())
    assert [each.name for each in found.statistics.modalities] == ["numbers", "names"]


def test_the_fingerprint_is_of_spec_source_and_split(roots: Roots, rows: list[dict[str, Any]]) -> None:
    first = of_clips(roots, rows).fingerprint
    assert first is not None
    assert first.startswith("sha256:")
    assert of_clips(roots, rows).fingerprint == first
    assert inspected(roots, clip_spec(), seed=7).fingerprint != first  # another V
    rows[0]["height"] = 99
    assert of_clips(roots, rows).fingerprint != first


def test_statistics_are_json(roots: Roots, rows: list[dict[str, Any]]) -> None:
    found = of_clips(roots, rows).statistics
    assert found is not None
    written = json.loads(json.dumps(asdict(found), allow_nan=False))
    assert written["modalities"][0]["measures"]["bytes"]["count"] == 24
