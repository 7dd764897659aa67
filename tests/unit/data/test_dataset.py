"""Tier 3: from files to tensors, split and V; bad contents; the fingerprint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from core.data.dataset import PreparedData, prepare
from core.data.modalities import decode_sample
from core.data.validation import check
from core.errors import DataError
from tests.unit.data.builders import (
    clip_spec,
    clips,
    errors,
    grey,
    job,
    only,
    png,
    table_rows,
    table_spec,
    wav,
    write_csv,
)

Roots = dict[str, Path]
Rows = list[dict[str, Any]]


def of_clips(
    roots: Roots, rows: Rows, *, seed: int = 0, holdout: dict[str, Any] | None = None, **changes: Any
) -> PreparedData:
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    return prepare(job(clip_spec(**changes), seed=seed, holdout=holdout), roots)


def of_table(roots: Roots, rows: Rows, **changes: Any) -> PreparedData:
    write_csv(roots["data"] / "t.csv", rows)
    return prepare(job(table_spec(**changes)), roots)


def failure(act: Callable[[], Any]) -> DataError:
    with pytest.raises(DataError) as raised:
        act()
    return raised.value


@pytest.fixture
def rows(roots: Roots) -> Rows:
    return clips(roots["data"] / "clips")


def test_a_whole_data_set(roots: Roots, rows: Rows) -> None:
    data = of_clips(roots, rows)
    assert list(data.modalities) == ["face", "voice"]
    assert (data.modalities["face"].kind, data.modalities["face"].shape) == ("image", (1, 4, 4))
    # Speakers 0 and 1 are train; V is one of them. Clips last 0.05 s and 0.01 s more per speaker.
    frames = 6 if data.holdout_groups == ("speaker 0",) else 5
    assert (data.modalities["voice"].kind, data.modalities["voice"].shape) == ("audio", (1, 16, frames))
    assert data.classes == ("a", "b", "c")
    assert data.targets.dtype == np.int64
    assert data.targets.tolist() == [0, 1, 2] * 8
    assert data.sample_ids[:2] == ("clip-00", "clip-01")
    assert data.source_rows.tolist() == list(range(24))
    assert data.warnings == ()
    assert {part: len(where) for part, where in data.split.as_dict().items()} == {
        "train": 6,
        "holdout": 6,
        "validation": 6,
        "test": 6,
    }
    everywhere = np.concatenate(list(data.split.as_dict().values()))
    assert sorted(everywhere.tolist()) == list(range(24))
    assert everywhere.dtype == np.int64
    speakers = {rows[row]["speaker"] for row in data.split.holdout}
    assert speakers == set(data.holdout_groups)
    assert not speakers & {rows[row]["speaker"] for row in data.split.train}


def test_batches_are_contiguous_float32_in_the_order_asked_for(roots: Roots, rows: Rows) -> None:
    data = of_clips(roots, rows)
    chosen = np.array([5, 0, 5], dtype=np.int64)
    batch = data.batch(chosen)
    assert list(batch) == ["face", "voice"]
    for name, values in batch.items():
        assert values.shape == (3, *data.modalities[name].shape)
        assert values.dtype == np.float32
        assert values.flags.c_contiguous
        assert values.flags.writeable
        assert np.array_equal(values[0], values[2])
        assert not np.array_equal(values[0], values[1])
    batch["voice"][:] = 0
    assert data.batch(chosen)["voice"].any()  # a batch is a copy


def test_preprocessing_is_fitted_on_t_alone(roots: Roots, rows: Rows) -> None:
    data = of_clips(roots, rows)
    faces = data.batch(data.split.train)["face"]
    np.testing.assert_allclose([faces.mean(), faces.std()], [0.0, 1.0], atol=1e-5)
    voices = data.batch(data.split.train)["voice"][:, 0]
    np.testing.assert_allclose(voices.mean(axis=(0, 2)), 0.0, atol=1e-4)
    np.testing.assert_allclose(voices.std(axis=(0, 2)), 1.0, atol=1e-4)
    outside = np.setdiff1d(np.arange(24), data.split.train)
    for row in outside.tolist():
        (roots["data"] / "clips" / f"{row}.png").write_bytes(grey(255))
        (roots["data"] / "clips" / f"{row}.wav").write_bytes(wav(np.random.default_rng(row).uniform(-1, 1, 4000)))
    assert of_clips(roots, rows).preprocessing == data.preprocessing


def test_preprocessing_is_json_and_decodes_a_sample_as_training_did(roots: Roots, rows: Rows) -> None:
    data = of_clips(roots, rows)
    states = json.loads(json.dumps(data.preprocessing))
    folder = roots["data"] / "clips"
    for row in (0, 23):
        sample = decode_sample(states, {"face": folder / f"{row}.png", "voice": (folder / f"{row}.wav").read_bytes()})
        for name, values in data.batch(np.array([row])).items():
            assert np.array_equal(sample[name], values)


def test_classes_that_are_numbers_are_sorted_as_numbers(roots: Roots) -> None:
    rows = [{**row, "label": ("10", "9", "01")[index % 3]} for index, row in enumerate(table_rows())]
    assert of_table(roots, rows).classes == ("01", "9", "10")


def test_tables_and_row_numbers_as_sample_ids(roots: Roots) -> None:
    data = of_table(roots, [{"label": "z", "split": "none", "x": 0, "c": "p"}, *table_rows()])
    assert data.sample_ids[0] == "1"
    assert data.source_rows.tolist() == list(range(1, 17))
    assert [issue.code for issue in data.warnings] == ["split.unused_rows"]
    known = {"pqr"[row % 3] for row in data.split.train.tolist()}
    assert data.modalities["names"].categories == (len(known) + 1,)
    assert data.split.validation.tolist() == []


def test_arrays_of_an_npz(roots: Roots) -> None:
    rng = np.random.default_rng(0)
    np.savez(
        roots["data"] / "t.npz",
        y=np.arange(40) % 4,
        is_test=np.arange(40) >= 30,
        flat=rng.normal(size=(40, 3)).astype(np.float32),
        deep=rng.normal(size=(40, 6, 2)),
    )
    spec = {
        "source": {"type": "arrays", "uri": "data://t.npz"},
        "target": {"column": "y"},
        "modalities": [
            {"name": "v", "type": "embedding", "column": "flat"},
            {"name": "s", "type": "timeseries", "column": "deep", "shape": [4, 2]},
        ],
        "split": {
            "method": "column",
            "column": "is_test",
            "values": {"train": ["False"], "validation": [], "test": ["true"]},
        },
    }
    data = prepare(job(spec), roots)
    assert {name: info.shape for name, info in data.modalities.items()} == {"s": (4, 2), "v": (3,)}
    assert data.classes == ("0", "1", "2", "3")
    assert data.split.test.tolist() == list(range(30, 40))
    train = data.batch(data.split.train)
    np.testing.assert_allclose(train["v"].mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(train["s"].std(axis=(0, 1)), 1.0, atol=1e-6)


def test_lists_of_a_parquet(roots: Roots) -> None:
    rows = table_rows()
    table = {key: [row[key] for row in rows] for key in ("label", "split")}
    table["imu"] = [[[float(i), 1.0]] * (1 + i % 3) for i in range(16)]
    table["vector"] = [[float(i), 0.5] for i in range(16)]
    pq.write_table(pa.table(table), roots["data"] / "t.parquet")
    spec = table_spec(
        source={"type": "manifest", "uri": "data://t.parquet"},
        modalities=[
            {"name": "imu", "type": "timeseries", "column": "imu", "shape": [None, 2]},
            {"name": "vector", "type": "embedding", "column": "vector"},
        ],
    )
    data = prepare(job(spec), roots)
    longest = max(1 + row % 3 for row in data.split.train.tolist())
    assert {name: info.shape for name, info in data.modalities.items()} == {"imu": (longest, 2), "vector": (2,)}


def test_files_in_the_cells_of_a_parquet_are_read_as_files_beside_it(roots: Roots, rows: Rows) -> None:
    """Sounds as bytes, pictures as `{bytes, path}`, every second of them by its path."""
    beside = of_clips(roots, rows)
    folder = roots["data"] / "clips"
    table: dict[str, Any] = {key: [row[key] for row in rows] for key in ("id", "label", "speaker", "split")}
    table["sound"] = [(folder / row["sound"]).read_bytes() for row in rows]
    table["picture"] = [
        {"bytes": None if index % 2 else (folder / row["picture"]).read_bytes(), "path": row["picture"]}
        for index, row in enumerate(rows)
    ]
    pq.write_table(pa.table(table), folder / "manifest.parquet")
    spec = job(clip_spec(source={"type": "manifest", "uri": "data://clips/manifest.parquet"}))
    assert check(spec.dataset, spec.holdout, roots) == []
    data = prepare(spec, roots)
    everything = np.arange(len(rows))
    for name, values in data.batch(everything).items():
        assert np.array_equal(values, beside.batch(everything)[name]), name


def test_paths_in_the_cells_of_a_parquet_are_judged_like_all_paths(roots: Roots, rows: Rows) -> None:
    folder = roots["data"] / "clips"
    table: dict[str, Any] = {key: [row[key] for row in rows] for key in ("id", "label", "speaker", "split", "sound")}
    paths = ["../../etc/passwd" if index == 3 else row["picture"] for index, row in enumerate(rows)]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table["picture"] = pa.array([{"bytes": None, "path": path} for path in paths], kind)
    pq.write_table(pa.table(table), folder / "manifest.parquet")
    spec = job(clip_spec(source={"type": "manifest", "uri": "data://clips/manifest.parquet"}))
    error = failure(lambda: prepare(spec, roots))
    assert [(issue.code, issue.count) for issue in error.issues if issue.severity == "error"] == [
        ("source.forbidden", 1)
    ]


# the split of prepared data


def test_a_drawn_split_is_stratified_and_depends_on_its_own_seed(roots: Roots, rows: Rows) -> None:
    split = {"method": "draw", "fractions": {"train": 0.5, "validation": 0.25, "test": 0.25}, "seed": 5}
    data = of_clips(roots, rows, split=split)
    for part, size in (("validation", 2), ("test", 2)):
        assert np.bincount(data.targets[data.split.as_dict()[part]]).tolist() == [size] * 3
    other_job = of_clips(roots, rows, split=split, seed=9)
    assert np.array_equal(data.split.test, other_job.split.test)
    assert not np.array_equal(data.split.holdout, other_job.split.holdout)
    other_split = of_clips(roots, rows, split={**split, "seed": 6})
    assert not np.array_equal(data.split.test, other_split.split.test)


def test_the_seed_of_v_may_be_its_own(roots: Roots, rows: Rows) -> None:
    options: dict[str, Any] = {"split": {"method": "draw"}, "holdout": {"seed": 3, "fraction": 0.3}}
    one, two = (of_clips(roots, rows, seed=seed, **options) for seed in (0, 1))
    assert np.array_equal(one.split.holdout, two.split.holdout)
    assert one.fingerprint == two.fingerprint


def test_groups_stay_on_one_side_of_a_drawn_split_and_of_v(roots: Roots) -> None:
    rows = clips(roots["data"] / "clips", n=48, speakers=8)
    data = of_clips(roots, rows, split={"method": "draw", "group_by": ["speaker"]})
    sides = {part: {rows[row]["speaker"] for row in where} for part, where in data.split.as_dict().items()}
    assert sum(map(len, sides.values())) == 8
    assert tuple(sorted(sides["holdout"])) == data.holdout_groups


def test_v_may_have_groups_of_its_own(roots: Roots, rows: Rows) -> None:
    data = of_clips(roots, rows, split={"method": "column", "column": "split"}, holdout={"group_by": ["speaker"]})
    assert len(data.holdout_groups) == 1
    at_random = of_clips(roots, rows, holdout={"group_by": []})
    assert at_random.holdout_groups == ()
    assert [issue.code for issue in at_random.warnings] == ["holdout.ignores_groups"]
    # A share of 0.15 of four training rows of each class: one row of each.
    assert np.bincount(at_random.targets[at_random.split.holdout]).tolist() == [1, 1, 1]


def test_every_row_knows_the_group_that_v_is_drawn_by(roots: Roots, rows: Rows) -> None:
    data = of_clips(roots, rows)
    assert data.groups is not None
    assert data.groups.dtype == np.int64
    # Clips come in threes of one speaker, speakers 0 to 3 in turn.
    assert data.groups.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3] * 2
    assert len(np.unique(data.groups[data.split.holdout])) == len(data.holdout_groups)
    by_label = of_clips(roots, rows, split={"method": "draw"}, holdout={"group_by": ["speaker", "split"]})
    assert by_label.groups is not None
    assert by_label.groups.tolist() == data.groups.tolist()


def test_rows_have_no_group_where_v_is_drawn_without(roots: Roots, rows: Rows) -> None:
    assert of_clips(roots, rows, holdout={"group_by": []}).groups is None
    assert of_clips(roots, rows, split={"method": "draw"}).groups is None


def test_a_single_training_group_is_known_though_v_is_drawn_at_random(roots: Roots, rows: Rows) -> None:
    for row in rows:
        if row["split"] == "train":
            row["speaker"] = "speaker 0"
    data = of_clips(roots, rows)
    assert (data.holdout_groups, [issue.code for issue in data.warnings]) == ((), ["holdout.one_group"])
    assert data.groups is not None
    assert np.unique(data.groups[data.split.holdout]).tolist() == [0]


# bad contents


@pytest.fixture
def broken(roots: Roots, rows: Rows) -> Rows:
    """Row 0 is no PNG, row 1 a cut PNG, row 2 a cut WAV, row 3 has no WAV, row 4 a WAV with NaN."""
    folder = roots["data"] / "clips"
    (folder / "0.png").write_bytes(b"hello")
    noise = np.random.default_rng(0).integers(0, 255, (4, 4)).astype(np.uint8)
    (folder / "1.png").write_bytes(png(noise)[:50])
    (folder / "2.wav").write_bytes((folder / "2.wav").read_bytes()[:200])
    (folder / "3.wav").unlink()
    soundfile.write(folder / "4.wav", np.full(400, np.nan, dtype=np.float32), 8000, subtype="FLOAT", format="WAV")
    return rows


def test_bad_contents_are_named_all_at_once(roots: Roots, broken: Rows) -> None:
    error = failure(lambda: of_clips(roots, broken))
    assert sorted(errors(error.issues)) == [
        ("file.format", "#/dataset/modalities/1/column"),
        ("file.missing", "#/dataset/modalities/0/column"),
        ("file.truncated", "#/dataset/modalities/0/column"),
        ("file.truncated", "#/dataset/modalities/1/column"),
        ("value.not_finite", "#/dataset/modalities/0/column"),
    ]
    assert only(error.issues, "file.format").sample == "clip-00"
    assert only(error.issues, "value.not_finite").examples == ("clip-04: nan at sample 0",)
    assert error.detail.endswith("(and 4 more)")
    assert error.code == error.issues[0].code
    assert str(roots["data"]) not in str(error.to_json())


def test_bad_rows_may_be_dropped(roots: Roots, broken: Rows) -> None:
    data = of_clips(roots, broken, on_bad_sample={"action": "drop", "max_fraction": 0.25})
    assert data.source_rows.tolist() == list(range(5, 24))
    assert data.sample_ids[0] == "clip-05"
    assert len(data.targets) == 19
    assert {issue.code for issue in data.warnings} == {
        "file.format",
        "file.missing",
        "file.truncated",
        "value.not_finite",
    }
    assert {issue.severity for issue in data.warnings} == {"warning"}
    folder = roots["data"] / "clips"
    sample = decode_sample(data.preprocessing, {"face": folder / "5.png", "voice": folder / "5.wav"})
    assert np.array_equal(data.batch(np.array([0]))["face"], sample["face"])
    assert np.array_equal(data.batch(np.array([0]))["voice"], sample["voice"])


def test_more_bad_rows_than_may_be_dropped(roots: Roots, broken: Rows) -> None:
    error = failure(lambda: of_clips(roots, broken, on_bad_sample={"action": "drop", "max_fraction": 0.2}))
    assert (
        only(error.issues, "data.too_many_bad_samples").detail
        == "5 of 24 rows cannot be used; at most 20.0% may be dropped"
    )


def test_nothing_can_be_decoded(roots: Roots, rows: Rows) -> None:
    for row in rows:
        (roots["data"] / "clips" / row["picture"]).write_bytes(b"hello")
    error = failure(lambda: of_clips(roots, rows, on_bad_sample={"action": "drop", "max_fraction": 1.0}))
    assert only(error.issues, "file.format").count == 24
    assert "target.one_class" in {issue.code for issue in error.issues}


def test_images_of_different_sizes(roots: Roots, rows: Rows) -> None:
    (roots["data"] / "clips" / "7.png").write_bytes(grey(1, (5, 4)))
    issue = only(failure(lambda: of_clips(roots, rows)).issues, "value.shape")
    assert issue.examples == ("clip-07: 5 x 4 pixels; the first image has 4 x 4 (set preprocess.size)",)


def test_nan_in_an_array_is_named_with_its_index(roots: Roots) -> None:
    flat = np.zeros((16, 3), dtype=np.float32)
    flat[5, 2] = np.inf
    np.savez(
        roots["data"] / "t.npz",
        label=np.arange(16) % 2,
        split=np.array(["train", "test"]).repeat(8),
        flat=flat,
        deep=flat[:, :2],
    )
    modalities = [{"name": name, "type": "embedding", "column": name} for name in ("flat", "deep")]
    spec = table_spec(source={"type": "arrays", "uri": "data://t.npz"}, modalities=modalities)
    issue = only(failure(lambda: prepare(job(spec), roots)).issues, "value.not_finite")
    assert (issue.pointer, issue.examples) == ("#/dataset/modalities/0/column", ("5: inf at index [2]",))


def test_headers_and_contents_are_told_together(roots: Roots, broken: Rows) -> None:
    modalities = [*clip_spec()["modalities"], {"name": "third", "type": "image", "column": "pictur"}]
    codes = {issue.code for issue in failure(lambda: of_clips(roots, broken, modalities=modalities)).issues}
    assert {"column.missing", "file.truncated", "file.missing"} <= codes


def test_a_forbidden_path_fails_even_where_rows_may_be_dropped(roots: Roots, rows: Rows) -> None:
    rows[0]["picture"] = "../../secret.png"
    drop = {"action": "drop", "max_fraction": 1.0}
    assert (
        only(failure(lambda: of_clips(roots, rows, on_bad_sample=drop)).issues, "source.forbidden").severity == "error"
    )


def test_a_source_that_is_gone(roots: Roots) -> None:
    assert failure(lambda: prepare(job(table_spec()), roots)).code == "source.not_found"


def test_a_target_that_is_gone(roots: Roots) -> None:
    assert failure(lambda: of_table(roots, table_rows(), target={"column": "lable"})).hint == "did you mean 'label'?"


def test_too_large_for_memory(roots: Roots, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.data.modalities.base.MAX_STORE_BYTES", 100)
    assert errors(failure(lambda: of_clips(roots, rows)).issues) == [
        ("data.too_large", "#/dataset/modalities/1/column"),
        ("data.too_large", "#/dataset/modalities/0/column"),
    ]


def test_warnings_of_modalities_have_pointers(roots: Roots, rows: Rows) -> None:
    spec = clip_spec()
    spec["modalities"][0]["preprocess"] = {"mels": 16}  # 16 kHz, while the files have 8
    data = of_clips(roots, rows, modalities=spec["modalities"])
    assert [(issue.code, issue.pointer) for issue in data.warnings] == [
        ("audio.upsampled", "#/dataset/modalities/0/column")
    ]
    constant = [{**row, "x": 3} for row in table_rows()]
    assert [(issue.code, issue.pointer) for issue in of_table(roots, constant).warnings] == [
        ("column.constant", "#/dataset/modalities/0/columns")
    ]


# the fingerprint


def test_the_fingerprint_is_the_same_for_the_same_data(roots: Roots, rows: Rows) -> None:
    one = of_clips(roots, rows)
    assert one.fingerprint.startswith("sha256:")
    assert len(one.fingerprint) == 71
    assert of_clips(roots, rows).fingerprint == one.fingerprint


def test_the_order_of_modalities_encoders_and_augmentation_change_nothing(roots: Roots, rows: Rows) -> None:
    one = of_clips(roots, rows)
    modalities = [
        {**modality, "encoder": {"type": "builtin", "features": 32}, "augment": {"shift": 0.1}}
        for modality in reversed(clip_spec()["modalities"])
    ]
    two = of_clips(roots, rows, modalities=modalities)
    assert two.fingerprint == one.fingerprint
    assert list(two.modalities) == list(one.modalities)
    for part, where in one.split.as_dict().items():
        assert np.array_equal(where, two.split.as_dict()[part])
    drawn = [
        of_clips(roots, rows, modalities=order, split={"method": "draw", "seed": 4}).split
        for order in (clip_spec()["modalities"], modalities)
    ]
    assert np.array_equal(drawn[0].holdout, drawn[1].holdout)
    assert np.array_equal(drawn[0].test, drawn[1].test)


def test_whatever_decides_the_data_changes_the_fingerprint(roots: Roots, rows: Rows) -> None:
    seen = {of_clips(roots, rows).fingerprint}
    seen.add(of_clips(roots, rows, holdout={"fraction": 0.2}).fingerprint)
    seen.add(of_clips(roots, rows, holdout={"seed": 77}).fingerprint)
    seen.add(of_clips(roots, rows, split={"method": "draw", "seed": 1}).fingerprint)
    louder = clip_spec()
    louder["modalities"][0]["preprocess"]["mels"] = 17
    seen.add(of_clips(roots, rows, modalities=louder["modalities"]).fingerprint)
    seen.add(of_clips(roots, [{**row, "height": row["height"] + 1} for row in rows]).fingerprint)
    (roots["data"] / "clips" / "23.png").write_bytes(grey(200))
    seen.add(of_clips(roots, rows).fingerprint)
    assert len(seen) == 7
