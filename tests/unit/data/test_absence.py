"""Rows that lack a modality: who counts as such in every source, what is fitted, what a batch holds, what is told."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data.dataset import PreparedData, prepare
from core.data.modalities import decode_sample, info_of
from core.data.validation import check
from core.errors import DataError, Issue
from tests.unit.data.builders import (
    RATE,
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
Rows = list[dict[str, Any]]
UNCHANGED = "sha256:44da1884c7c79104bcf6077135924ee18520dc7b2d799e309f48f7a44a2d4e00"
"""Of `table_rows` and `table_spec`, as it was before a modality could be masked."""


def masked(spec: dict[str, Any], *names: str) -> dict[str, Any]:
    """The spec with these modalities masked."""
    modalities = [each | ({"missing": "mask"} if each["name"] in names else {}) for each in spec["modalities"]]
    return spec | {"modalities": modalities}


def both_tiers(roots: Roots, dataset: dict[str, Any], **rest: Any) -> PreparedData:
    """Prepared data whose issues, all of them warnings, were told at submission as well."""
    spec = job(dataset, **rest)
    told = check(spec.dataset, spec.holdout, roots, seed=spec.seed)
    data = prepare(spec, roots)
    assert sorted(told, key=repr) == sorted(data.warnings, key=repr)
    return data


def refused(roots: Roots, dataset: dict[str, Any], **rest: Any) -> list[Issue]:
    """The issues with which both tiers refuse the data."""
    spec = job(dataset, **rest)
    told = check(spec.dataset, spec.holdout, roots, seed=spec.seed)
    with pytest.raises(DataError) as raised:
        prepare(spec, roots)
    assert sorted(told, key=repr) == sorted(raised.value.issues, key=repr)
    return list(raised.value.issues)


def present(data: PreparedData, name: str) -> list[float]:
    """1 or 0 for each row in use."""
    everything = data.batch(np.arange(len(data.targets)))
    assert everything[f"{name}:present"].dtype == np.float32
    return [float(value) for value in everything[f"{name}:present"]]


def lacking(rows: Rows, column: str, *where: int) -> Rows:
    return [row | ({column: ""} if index in where else {}) for index, row in enumerate(rows)]


# what counts as absent


def test_an_empty_cell_of_a_csv(roots: Roots) -> None:
    rows = lacking(clips(roots["data"] / "clips"), "sound", 0, 5, 13)
    (roots["data"] / "clips" / "0.wav").unlink()
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    data = both_tiers(roots, masked(clip_spec(), "voice"))
    assert present(data, "voice") == [0.0 if index in (0, 5, 13) else 1.0 for index in range(24)]
    batch = data.batch(np.array([5, 1, 13]))
    assert list(batch) == ["face", "voice", "voice:present"]
    assert batch["voice"].flags.c_contiguous
    assert not batch["voice"][[0, 2]].any()
    assert batch["voice"][1].any()
    assert batch["face"].all()
    one = data.of(["voice"]).batch(np.array([5]))
    assert {name: values.shape[0] for name, values in one.items()} == {"voice": 1, "voice:present": 1}
    assert list(data.of(["face"]).batch(np.array([5]))) == ["face"]


def test_pixels_are_encoded_as_without_a_mask(roots: Roots) -> None:
    rows = clips(roots["data"] / "clips")
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    whole = prepare(job(clip_spec()), roots)
    complete = both_tiers(roots, masked(clip_spec(), "face"))
    assert present(complete, "face") == [1.0] * 24
    everything = np.arange(24)
    assert np.array_equal(complete.batch(everything)["face"], whole.batch(everything)["face"])
    gone = [int(row) for row in whole.split.test[:2]]
    write_csv(roots["data"] / "clips" / "manifest.csv", lacking(rows, "picture", *gone))
    partly = both_tiers(roots, masked(clip_spec(), "face")).batch(everything)["face"]
    assert not partly[gone].any()
    rest = np.setdiff1d(everything, gone)
    assert np.array_equal(partly[rest], whole.batch(rest)["face"])


def test_without_a_mask_the_problem_names_the_way_out(roots: Roots) -> None:
    write_csv(roots["data"] / "clips" / "manifest.csv", lacking(clips(roots["data"] / "clips"), "sound", 3))
    (issue,) = refused(roots, clip_spec())
    assert (issue.code, issue.pointer, issue.sample) == ("value.missing", "#/dataset/modalities/0/column", "clip-03")
    assert issue.hint is not None
    assert '"missing": "mask"' in issue.hint


def test_a_path_that_leads_nowhere_is_a_bad_sample(roots: Roots) -> None:
    rows = clips(roots["data"] / "clips")
    rows[2]["sound"] = "tpyo.wav"
    rows[3]["sound"] = "../secret.wav"
    write_csv(roots["data"] / "clips" / "manifest.csv", lacking(rows, "sound", 4))
    found = refused(roots, masked(clip_spec(), "voice"))
    assert sorted((issue.code, issue.count) for issue in found) == [("file.missing", 1), ("source.forbidden", 1)]


def test_a_damaged_file_is_a_bad_sample(roots: Roots) -> None:
    rows = lacking(clips(roots["data"] / "clips"), "sound", 4)
    (roots["data"] / "clips" / "2.wav").write_bytes(b"RIFF")
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    with pytest.raises(DataError) as raised:
        prepare(job(masked(clip_spec(), "voice")), roots)
    assert [(issue.code, issue.sample) for issue in raised.value.issues] == [("file.undecodable", "clip-02")]


def parquet(roots: Roots, columns: dict[str, Any]) -> None:
    base = {"label": list("ab") * 8, "part": ["train"] * 8 + ["test"] * 8, "x": [float(i) for i in range(16)]}
    pq.write_table(pa.table(base | columns), roots["data"] / "t.parquet")


def parquet_spec(modality: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": {"type": "manifest", "uri": "data://t.parquet"},
        "target": {"column": "label"},
        "modalities": [
            {"name": "numbers", "type": "tabular", "columns": [{"name": "x", "type": "number"}]},
            {"name": "other", "missing": "mask", **modality},
        ],
        "split": {"method": "column", "column": "part"},
    }


PICTURES = [None if i in (1, 9) else grey(i) for i in range(16)]


@pytest.mark.parametrize(
    ("modality", "values"),
    [
        ({"type": "embedding"}, [None if i in (1, 9) else [1.0 * i, 2.0] for i in range(16)]),
        ({"type": "timeseries", "shape": [None, 1]}, [None if i in (1, 9) else [1.0] * (1 + i) for i in range(16)]),
        ({"type": "text"}, [None if i == 1 else " " if i == 9 else f"word {i}" for i in range(16)]),
        ({"type": "image"}, PICTURES),
        ({"type": "image"}, [{"bytes": picture, "path": None} for picture in PICTURES]),
    ],
)
def test_null_in_a_parquet(roots: Roots, modality: dict[str, Any], values: list[Any]) -> None:
    parquet(roots, {"c": values})
    data = prepare(job(parquet_spec(modality | {"column": "c"})), roots)
    assert present(data, "other") == [0.0 if i in (1, 9) else 1.0 for i in range(16)]
    batch = data.batch(np.arange(16))["other"]
    assert not batch[[1, 9]].any()
    assert all(np.isfinite(batch).ravel())
    assert data.preprocessing["other"]["missing"] == "mask"
    assert "missing" not in data.preprocessing["numbers"]


def test_nan_and_an_empty_list_are_bad_samples(roots: Roots) -> None:
    values = [[1.0 * i, 2.0] for i in range(16)]
    values[1], values[2] = [float("nan"), 1.0], []
    parquet(roots, {"c": values})
    with pytest.raises(DataError) as raised:
        prepare(job(parquet_spec({"type": "embedding", "column": "c"})), roots)
    assert sorted((issue.code, issue.sample) for issue in raised.value.issues) == [
        ("value.not_finite", "1"),
        ("value.shape", "2"),
    ]


def test_a_text_is_absent_where_all_of_its_columns_are(roots: Roots) -> None:
    rows = [row | {"title": f"title {index}", "body": "some body"} for index, row in enumerate(table_rows())]
    rows[1] |= {"title": ""}
    rows[2] |= {"title": "", "body": " "}
    write_csv(roots["data"] / "t.csv", rows)
    spec = table_spec()
    spec["modalities"][1] = {"name": "words", "type": "text", "columns": ["title", "body"], "missing": "mask"}
    assert present(both_tiers(roots, spec), "words") == [1.0, 1.0, 0.0] + [1.0] * 13


def test_a_table_is_absent_where_all_of_its_columns_are(roots: Roots) -> None:
    rows = table_rows()
    rows[1] |= {"x": ""}
    rows[2] |= {"x": "", "c": ""}
    rows[3] |= {"c": ""}
    write_csv(roots["data"] / "t.csv", [row | {"y": index} for index, row in enumerate(rows)])
    columns = [{"name": "c", "type": "category"}, {"name": "x", "type": "number"}]
    modalities = [
        {"name": "table", "type": "tabular", "columns": columns, "missing": "mask"},
        {"name": "rest", "type": "tabular", "columns": [{"name": "y", "type": "number"}]},
    ]
    (issue,) = refused(roots, table_spec(modalities=modalities))
    assert (issue.code, issue.sample, issue.count) == ("value.missing", "1", 1)  # one empty number is what it was
    dropping = table_spec(modalities=modalities, on_bad_sample={"action": "drop", "max_fraction": 0.1})
    data = both_tiers(roots, dropping)
    assert data.source_rows.tolist() == [0, *range(2, 16)]
    assert present(data, "table") == [1.0, 0.0] + [1.0] * 13


def test_categories_alone_may_be_absent_too(roots: Roots) -> None:
    write_csv(roots["data"] / "t.csv", lacking(table_rows(), "c", 0, 9))
    data = both_tiers(roots, masked(table_spec(), "names"))
    assert present(data, "names") == [0.0 if index in (0, 9) else 1.0 for index in range(16)]
    assert "" not in data.preprocessing["names"]["vocabularies"][0]
    plain = both_tiers(roots, table_spec())  # without a mask an empty category is one like any other
    assert ("" in plain.preprocessing["names"]["vocabularies"][0]) == (0 in plain.split.train)


def test_a_sample_of_a_folder_that_lacks_a_file(roots: Roots) -> None:
    for index in range(24):
        stem = roots["data"] / "set" / ["cat", "dog"][index % 2] / f"{index:03d}"
        stem.parent.mkdir(parents=True, exist_ok=True)
        stem.with_suffix(".png").write_bytes(grey(20 * (index % 2) + index))
        if index not in (4, 7):
            stem.with_suffix(".wav").write_bytes(wav(tone(400.0 + 300 * (index % 2), 0.05)))
    spec = {
        "source": {"type": "folder", "uri": "data://set"},
        "target": {"column": "label"},
        "modalities": [
            {"name": "seen", "type": "image", "column": "image"},
            {"name": "heard", "type": "audio", "column": "audio", "preprocess": {"sample_rate": RATE, "mels": 16}},
        ],
    }
    assert [issue.code for issue in refused(roots, spec)] == ["value.missing"]
    data = both_tiers(roots, masked(spec, "heard"))
    gone = {name for name, here in zip(data.sample_ids, present(data, "heard"), strict=True) if not here}
    assert gone == {"cat/004", "dog/007"}
    (roots["data"] / "set" / "cat" / "006.wav").unlink()
    assert both_tiers(roots, masked(spec, "heard")).fingerprint != data.fingerprint


def test_a_sample_of_a_shard_that_lacks_a_member(roots: Roots) -> None:
    def write(without: set[int]) -> None:
        with tarfile.open(roots["data"] / "t.tar", "w") as tar:
            for index in range(24):
                files = {"png": grey(index), "wav": wav(tone(300.0, 0.05)), "cls": f"{index % 2}".encode()}
                for extension, content in files.items():
                    if extension != "wav" or index not in without:
                        info = tarfile.TarInfo(f"{index:03d}.{extension}")
                        info.size = len(content)
                        tar.addfile(info, io.BytesIO(content))

    spec = {
        "source": {"type": "webdataset", "uri": "data://t.tar"},
        "target": {"column": "cls"},
        "modalities": [
            {"name": "seen", "type": "image", "column": "png"},
            {"name": "heard", "type": "audio", "column": "wav", "preprocess": {"sample_rate": RATE, "mels": 16}},
        ],
    }
    write({3, 20})
    assert [issue.code for issue in refused(roots, spec)] == ["value.missing"]
    data = both_tiers(roots, masked(spec, "heard"))
    assert present(data, "heard") == [0.0 if index in (3, 20) else 1.0 for index in range(24)]
    write({3})
    assert both_tiers(roots, masked(spec, "heard")).fingerprint != data.fingerprint


# what is fitted, and the fingerprint


def test_preprocessing_is_fitted_on_the_rows_of_t_that_have_it(roots: Roots) -> None:
    rows = lacking(table_rows(24), "x", 0)
    write_csv(roots["data"] / "t.csv", rows)
    spec = masked(table_spec(), "numbers")
    train = prepare(job(spec), roots).split.train.tolist()
    # Squares 4, 16 and 100 are left of x in T: mean 40, variance (36^2 + 24^2 + 60^2) / 3.
    keep = {train[0]: 4, train[1]: 16, train[2]: 100}
    held = [row for row in range(12) if row not in train]
    rows = [row | {"x": keep.get(index, 7 if index in held or index >= 12 else "")} for index, row in enumerate(rows)]
    write_csv(roots["data"] / "t.csv", rows)
    state = both_tiers(roots, spec).preprocessing["numbers"]
    assert state["mean"] == [40.0]
    assert state["std"] == [pytest.approx(1824.0**0.5)]


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gone=st.sets(st.integers(0, 23)), other=st.sets(st.integers(0, 23)))
def test_presence_is_what_the_cells_say(roots: Roots, gone: set[int], other: set[int]) -> None:
    rows = lacking(lacking(table_rows(24), "x", *gone), "c", *other)
    write_csv(roots["data"] / "t.csv", rows)
    spec = job(masked(table_spec(), "numbers", "names"))
    try:
        data = prepare(spec, roots)
    except DataError as error:
        codes = {issue.code for issue in error.issues if issue.severity == "error"}
        assert codes <= {"row.no_modality", "modality.never_present"}
        assert ("row.no_modality" in codes) == bool(gone & other)
        return
    assert not gone & other
    assert present(data, "numbers") == [float(row not in gone) for row in range(24)]
    assert present(data, "names") == [float(row not in other) for row in range(24)]
    there = [row for row in data.split.train.tolist() if row not in gone]
    assert data.preprocessing["numbers"]["mean"] == [pytest.approx(np.mean([row**2 for row in there]))]
    encoded = data.batch(np.arange(24))["numbers"][:, 0]
    expected = (np.arange(24.0) ** 2 - data.preprocessing["numbers"]["mean"]) / data.preprocessing["numbers"]["std"]
    assert np.allclose(encoded, np.where(np.isin(np.arange(24), list(gone)), 0.0, expected), atol=1e-5)


def test_the_fingerprint_of_data_without_masks_is_what_it_was(roots: Roots) -> None:
    write_csv(roots["data"] / "t.csv", table_rows())
    assert prepare(job(table_spec()), roots).fingerprint == UNCHANGED
    same = table_spec()
    same["modalities"] = [each | {"missing": "error"} for each in same["modalities"]]
    assert prepare(job(same), roots).fingerprint == UNCHANGED
    whole = prepare(job(masked(table_spec(), "numbers")), roots).fingerprint
    write_csv(roots["data"] / "t.csv", lacking(table_rows(), "x", 15))
    partly = prepare(job(masked(table_spec(), "numbers")), roots).fingerprint
    assert len({UNCHANGED, whole, partly}) == 3


# what is told


def test_a_row_without_any_modality_is_a_bad_sample(roots: Roots) -> None:
    write_csv(roots["data"] / "t.csv", lacking(lacking(table_rows(), "x", 3, 5), "c", 3, 4, 9))
    (issue,) = refused(roots, masked(table_spec(), "names", "numbers"))
    assert (issue.code, issue.pointer, issue.sample, issue.count) == (
        "row.no_modality",
        "#/dataset/modalities",
        "3",
        1,
    )
    dropping = table_spec(on_bad_sample={"action": "drop", "max_fraction": 0.1})
    assert both_tiers(roots, masked(dropping, "names", "numbers")).source_rows.tolist() == [*range(3), *range(4, 16)]
    # Where one of them may not be missing, that is what is told.
    assert refused(roots, masked(table_spec(), "names"))[0].code == "value.missing"


def test_a_modality_that_train_lacks_altogether(roots: Roots) -> None:
    write_csv(roots["data"] / "t.csv", lacking(table_rows(), "x", *range(8)))
    found = refused(roots, masked(table_spec(), "numbers"))
    assert errors(found) == [("modality.never_present", "#/dataset/modalities/0/missing")] * 2
    assert [issue.detail for issue in found] == [
        "no row of T, the rows that are trained on, has the modality 'numbers'",
        "no row of V, the rows held out of train, has the modality 'numbers'",
    ]


def test_a_modality_that_v_or_t_lacks(roots: Roots) -> None:
    write_csv(roots["data"] / "t.csv", table_rows())
    split = prepare(job(table_spec()), roots).split
    for rows, other in ((split.holdout, "V, the rows held out"), (split.train, "T, the rows that are trained on")):
        write_csv(roots["data"] / "t.csv", lacking(table_rows(), "x", *rows.tolist()))
        issue = only(refused(roots, masked(table_spec(), "numbers")), "modality.never_present")
        assert issue.detail.startswith(f"no row of {other}")
        assert issue.count == len(rows)
        assert issue.hint is not None
        assert "holdout" in issue.hint


def test_no_row_of_train_where_v_cannot_be_drawn(roots: Roots) -> None:
    rows = [row | {"split": "train" if index == 0 else "test"} for index, row in enumerate(table_rows())]
    write_csv(roots["data"] / "t.csv", lacking(rows, "x", 0))
    with pytest.raises(DataError) as raised:
        prepare(job(masked(table_spec(), "numbers")), roots)
    assert only(raised.value.issues, "modality.never_present").detail == "no row of train has the modality 'numbers'"


def of_absence(roots: Roots, where: set[int], n: int = 80, **changes: Any) -> tuple[Issue, ...]:
    write_csv(roots["data"] / "t.csv", lacking(table_rows(n), "x", *where))
    return both_tiers(roots, masked(table_spec(**changes), "numbers")).warnings


def test_most_of_train_lacks_it(roots: Roots) -> None:
    # 40 rows are train; classes are those of even and odd rows.
    assert of_absence(roots, set(range(20))) == ()
    (issue,) = of_absence(roots, set(range(21)))
    assert (issue.code, issue.pointer) == ("missing.mostly", "#/dataset/modalities/0/missing")
    assert issue.detail == "21 of 40 rows of train lack the modality 'numbers'"
    assert issue.count == 21


def in_three_parts(**by_part: set[int]) -> Rows:
    """32 rows: 16 of train, 8 of validation, 8 of test; of each part these, counted from its first, lack `x`."""
    rows = [row | {"split": "train" if i < 16 else "val" if i < 24 else "test"} for i, row in enumerate(table_rows(32))]
    first = {"train": 0, "val": 16, "test": 24}
    return lacking(rows, "x", *(first[part] + row for part, gone in by_part.items() for row in gone))


THREE_PARTS = {
    "method": "column",
    "column": "split",
    "values": {"train": ["train"], "validation": ["val"], "test": ["test"]},
}


def test_a_modality_that_validation_or_test_lacks_altogether(roots: Roots) -> None:
    dataset = masked(table_spec(split=THREE_PARTS), "numbers")
    for part, name in (("val", "validation"), ("test", "test")):
        write_csv(roots["data"] / "t.csv", in_three_parts(**{part: set(range(8))}))
        (issue,) = both_tiers(roots, dataset).warnings
        assert (issue.code, issue.pointer) == ("missing.whole_part", "#/dataset/modalities/0/missing")
        assert (issue.detail, issue.count) == (f"no row of {name} has the modality 'numbers'", 8)
        assert issue.hint is not None
        write_csv(roots["data"] / "t.csv", in_three_parts(**{part: set(range(7))}))
        assert both_tiers(roots, dataset).warnings == ()
    write_csv(roots["data"] / "t.csv", in_three_parts(val=set(range(8)), test=set(range(8))))
    assert [issue.code for issue in both_tiers(roots, dataset).warnings] == ["missing.whole_part"] * 2


def test_lists_that_a_part_lacks_are_told_by_the_worker(roots: Roots) -> None:
    """What Parquet's lists hold is not read at submission."""
    rows = table_rows()
    table = pa.table(
        {name: [row[name] for row in rows] for name in ("label", "split", "c")}
        | {"v": pa.array([None if row["split"] == "test" else [1.0 * row["x"], 2.0] for row in rows])}
    )
    pq.write_table(table, roots["data"] / "t.parquet")
    vector = {"name": "vector", "type": "embedding", "column": "v", "missing": "mask"}
    spec = table_spec(source={"type": "manifest", "uri": "data://t.parquet"})
    spec["modalities"] = [vector, spec["modalities"][1]]
    asked = job(spec)
    assert check(asked.dataset, asked.holdout, roots) == []
    issue = only(prepare(asked, roots).warnings, "missing.whole_part")
    assert (issue.detail, issue.count) == ("no row of test has the modality 'vector'", 8)


def test_absence_that_tells_the_class(roots: Roots) -> None:
    # Of 20 rows of a class: 15 % and 70 % are 0.55 apart, with an error of 0.156.
    issue = only(of_absence(roots, {0, 2, 4, *range(1, 28, 2)}), "missing.tells_class")
    assert (issue.severity, issue.pointer) == ("warning", "#/dataset/modalities/0/missing")
    assert issue.detail == "in train, how often 'numbers' is missing depends on the target (a: 15%, others: 70%)"
    assert issue.count == 2
    assert issue.examples == ("a: 15%, others: 70%", "b: 70%, others: 15%")
    # 0.45 apart, with an error of 0.158, is within three errors; 0.15 apart with 400 rows is not, but too little.
    assert of_absence(roots, {0, 2, 4, 6, 8, *range(1, 28, 2)}) == ()
    assert of_absence(roots, {*range(0, 20, 2), *range(1, 81, 2)}, n=800) == ()
    assert warnings(of_absence(roots, {*range(0, 20, 2), *range(1, 111, 2)}, n=800)) == ["missing.tells_class"]


def test_absence_that_tells_a_label_or_a_number(roots: Roots) -> None:
    rows = [row | {"label": ("u;v", "v")[index % 2], "y": index} for index, row in enumerate(table_rows(80))]
    write_csv(roots["data"] / "t.csv", lacking(rows, "x", *range(0, 40, 2)))
    spec = masked(table_spec(target={"column": "label", "type": "multilabel"}), "numbers")
    issue = only(both_tiers(roots, spec).warnings, "missing.tells_class")
    assert issue.examples == ("u: 100%, others: 0%",)  # every row has the other label
    write_csv(roots["data"] / "t.csv", lacking(rows, "x", *range(20)))
    spec = masked(table_spec(target={"column": "y", "type": "regression"}), "numbers")
    issue = only(both_tiers(roots, spec).warnings, "missing.tells_class")
    assert issue.examples == ("targets above the median: 0%, others: 100%",)


# one new sample


def test_a_new_sample_may_lack_what_was_masked(roots: Roots) -> None:
    write_csv(roots["data"] / "clips" / "manifest.csv", lacking(clips(roots["data"] / "clips"), "sound", 0, 13))
    data = both_tiers(roots, masked(clip_spec(), "voice", "face"))
    states = json.loads(json.dumps(data.preprocessing))
    folder = roots["data"] / "clips"
    for row in (0, 1, 13, 22):
        voice = {} if row in (0, 13) else {"voice": folder / f"{row}.wav"}
        sample = decode_sample(states, {"face": folder / f"{row}.png"} | voice)
        expected = data.batch(np.array([row]))
        assert set(sample) == set(expected) == {"face", "face:present", "voice", "voice:present"}
        for name, values in expected.items():
            assert np.array_equal(sample[name], values), name
            assert sample[name].dtype == np.float32
    without = decode_sample(states, {"face": None, "voice": folder / "1.wav"})
    assert without["face:present"].tolist() == [0.0]
    assert without["face"].shape == (1, *info_of("face", states["face"]).shape)
    assert not without["face"].any()
    with pytest.raises(DataError) as raised:
        decode_sample(states, {"voice": None})
    (issue,) = raised.value.issues
    assert (issue.code, issue.pointer) == ("row.no_modality", "#")
    assert issue.detail == "there is none of the modalities 'face', 'voice'"
    with pytest.raises(DataError) as raised:  # a file that is not there is no absence here either
        decode_sample(states, {"voice": folder / "nowhere.wav"})
    assert [(issue.code, issue.pointer) for issue in raised.value.issues] == [("file.missing", "#/voice")]


@pytest.mark.parametrize("sample", [{}, {"voice": None}])
def test_a_new_sample_must_have_what_was_not_masked(roots: Roots, sample: dict[str, Any]) -> None:
    write_csv(roots["data"] / "clips" / "manifest.csv", clips(roots["data"] / "clips"))
    states = prepare(job(masked(clip_spec(), "face")), roots).preprocessing
    with pytest.raises(DataError) as raised:
        decode_sample(states, sample)
    (issue,) = raised.value.issues
    assert (issue.code, issue.pointer) == ("value.missing", "#/voice")
    assert issue.detail == "modality 'voice': it is not given"
    assert issue.hint is not None
    assert '"missing": "mask"' in issue.hint


@pytest.mark.parametrize(
    ("name", "value", "there"),
    [
        ("words", "", 0.0),
        ("words", ["", None], 0.0),
        ("words", [" ", "yes"], 1.0),
        ("table", {}, 0.0),
        ("table", {"x": None, "c": ""}, 0.0),
        ("table", {"x": float("nan"), "c": None}, 0.0),
        ("table", {"x": 3}, 1.0),
        ("series", None, 0.0),
        ("series", [1.0], 1.0),
        ("vector", None, 0.0),
        ("vector", np.zeros(1), 1.0),
    ],
)
def test_a_new_sample_is_empty_where_a_row_would_be(name: str, value: Any, there: float) -> None:
    moments = {"mean": [0.0], "std": [1.0], "missing": "mask"}
    states = {
        "always": {"type": "embedding", "length": 1, "mean": [0.0], "std": [1.0]},
        "words": {"type": "text", "lowercase": True, "tokens": 2, "vocabulary": ["yes"], "missing": "mask"},
        "table": moments | {"type": "tabular", "numbers": ["x"], "categories": ["c"], "vocabularies": [["p"]]},
        "series": moments | {"type": "timeseries", "steps": 1, "channels": 1},
        "vector": moments | {"type": "embedding", "length": 1},
    }
    found = decode_sample(states, {"always": [2.0], name: value})
    assert found[f"{name}:present"].tolist() == [there]
    assert "always:present" not in found
    assert all(values.shape == (1,) for key, values in found.items() if key.endswith(":present"))


def test_one_empty_number_of_a_new_sample_is_what_it_was() -> None:
    state = {"type": "tabular", "numbers": ["x", "y"], "mean": [0.0, 0.0], "std": [1.0, 1.0], "categories": []}
    with pytest.raises(DataError) as raised:
        decode_sample({"table": state | {"vocabularies": [], "missing": "mask"}}, {"table": {"x": 1}})
    (issue,) = raised.value.issues
    assert (issue.code, issue.detail) == ("value.missing", "modality 'table': 'y' is missing")
