"""The real data sets, where they are: beside the repository, or where GBLEND_SHARED_DATA says."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gblend_client.specfile import load

from core.data.dataset import prepare
from core.data.inference import infer
from core.data.inspection import inspect
from core.data.modalities import decode_sample
from core.data.validation import check
from core.spec import JobSpec

SHARED = Path(os.environ.get("GBLEND_SHARED_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")


def real(name: str) -> dict[str, Path]:
    """The root of a real set; skips, loudly, where it is missing."""
    if not (SHARED / name).is_dir():
        pytest.skip(f"NOT TESTED: the data set {name!r} is missing; set GBLEND_SHARED_DATA to the folder that holds it")
    return {"data": SHARED}


def avdigits(manifest: str, **changes: Any) -> JobSpec:
    return JobSpec.model_validate(
        {
            "dataset": {
                "source": {"type": "manifest", "uri": f"data://avdigits/{manifest}"},
                "sample_id": "id",
                "target": {"column": "label"},
                "modalities": [
                    {"name": "audio", "type": "audio", "column": "audio", "preprocess": {"sample_rate": 8000}},
                    {"name": "image", "type": "image", "column": "image_degraded"},
                ],
                "split": {"method": "column", "column": "split_speaker", "group_by": ["speaker"]},
                **changes,
            }
        }
    )


def test_avdigits_by_speaker() -> None:
    roots = real("avdigits")
    spec = avdigits("manifest.parquet")
    assert check(spec.dataset, spec.holdout, roots) == []
    data = prepare(spec, roots)
    assert data.warnings == ()
    assert data.classes == tuple("0123456789")
    assert data.modalities["image"].shape == (1, 28, 28)
    assert data.modalities["audio"].shape[:2] == (1, 64)
    assert 100 < data.modalities["audio"].shape[2] <= 400
    # Four training speakers of 500 clips: V is one of them. The two others are heard only in test.
    assert {part: len(rows) for part, rows in data.split.as_dict().items()} == {
        "train": 1500,
        "holdout": 500,
        "validation": 0,
        "test": 1000,
    }
    (speaker,) = data.holdout_groups
    assert speaker in {"george", "jackson", "lucas", "nicolas"}
    for values in data.batch(data.split.train).values():
        assert np.isfinite(values).all()
        assert abs(values.mean()) < 1e-3
        assert abs(values.std() - 1) < 1e-2
    row = int(data.split.test[17])
    sample = decode_sample(
        data.preprocessing,
        {
            "audio": next((SHARED / "avdigits" / "audio").glob(_audio_of(data.sample_ids[row]))),
            "image": next((SHARED / "avdigits" / "image_degraded").glob(_image_of(data.sample_ids[row]))),
        },
    )
    for name, values in data.batch(np.array([row])).items():
        assert np.array_equal(values, sample[name])


def test_csv_and_parquet_say_the_same() -> None:
    roots = real("avdigits")
    modalities = [
        {"name": "image", "type": "image", "column": "image"},
        {"name": "take", "type": "tabular", "columns": [{"name": "take", "type": "number"}]},
    ]
    one, two = (prepare(avdigits(name, modalities=modalities), roots) for name in ("manifest.csv", "manifest.parquet"))
    assert one.classes == two.classes
    assert one.preprocessing == two.preprocessing
    for part, rows in one.split.as_dict().items():
        assert np.array_equal(rows, two.split.as_dict()[part])


@pytest.mark.parametrize(
    ("name", "shapes", "classes"),
    [
        ("mfeat", {"pix": 240, "fou": 76, "fac": 216, "zer": 47, "kar": 64, "mor": 6}, 10),
        ("landuse21", {"phog": 20, "gist": 59, "lbp": 40}, 21),
    ],
)
def test_npz_sets(name: str, shapes: dict[str, int], classes: int) -> None:
    roots = real(name)
    spec = JobSpec.model_validate(
        {
            "dataset": {
                "source": {"type": "arrays", "uri": f"data://{name}/features.npz"},
                "target": {"column": "y"},
                "modalities": [{"name": view, "type": "embedding", "column": view} for view in shapes],
                "split": {
                    "method": "column",
                    "column": "is_test",
                    "values": {"train": ["false"], "validation": [], "test": ["true"]},
                },
            }
        }
    )
    assert check(spec.dataset, spec.holdout, roots) == []
    data = prepare(spec, roots)
    assert data.warnings == ()
    assert {view: info.shape for view, info in data.modalities.items()} == {view: (n,) for view, n in shapes.items()}
    assert len(data.classes) == classes
    train = data.batch(data.split.train)
    for values in train.values():
        np.testing.assert_allclose(values.mean(axis=0), 0.0, atol=1e-4)
    share = len(data.split.holdout) / (len(data.split.train) + len(data.split.holdout))
    assert abs(share - 0.15) < 0.01


@pytest.mark.parametrize("name", ["airline", "avdigits", "landuse21", "mfeat"])
def test_each_has_a_ready_spec(name: str) -> None:
    roots = real(name)
    spec = JobSpec.model_validate(load(Path(__file__).parents[3] / "examples" / f"{name}.yaml"))
    found = inspect(spec.dataset, spec.holdout, roots)
    assert [issue.code for issue in found.issues] == []
    assert found.statistics is not None
    assert all(part.rows for part in found.statistics.parts if part.name != "validation")


@pytest.mark.parametrize(
    ("uri", "target", "split", "modalities"),
    [
        ("data://avdigits", "label", "split_speaker", ["audio", "image", "image"]),
        ("data://airline", "label", "split", ["text", "tabular"]),
        ("data://landuse21/features.npz", "y", "is_test", ["embedding"] * 3),
        ("data://mfeat/features.npz", "y", "is_test", ["embedding"] * 6),
    ],
)
def test_each_is_guessed_right(uri: str, target: str, split: str, modalities: list[str]) -> None:
    roots = real(uri.split("/")[2])
    found = infer(uri, roots)
    assert found.dataset["target"]["column"] == target
    assert found.dataset["split"]["column"] == split
    assert [modality["type"] for modality in found.dataset["modalities"]] == modalities
    assert found.missing == []
    spec = JobSpec.model_validate({"dataset": found.dataset, "holdout": found.holdout})
    assert [issue for issue in check(spec.dataset, spec.holdout, roots) if issue.severity == "error"] == []


def _cells(sample_id: str) -> dict[str, str]:
    with (SHARED / "avdigits" / "manifest.csv").open(newline="") as file:
        return next(row for row in csv.DictReader(file) if row["id"] == sample_id)


def _audio_of(sample_id: str) -> str:
    return Path(_cells(sample_id)["audio"]).name


def _image_of(sample_id: str) -> str:
    return Path(_cells(sample_id)["image_degraded"]).name
