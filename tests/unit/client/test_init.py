"""`gblend init`: what is written is YAML that says what was guessed, whatever the data are called."""

from __future__ import annotations

from typing import Any

import pytest
from gblend_client import DatasetInference, InvalidInput
from gblend_client.cli.starting import name_of, places_of
from gblend_client.cli.writing import commented, flow
from gblend_client.specfile import parse
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def guess(**changes: Any) -> DatasetInference:
    dataset: dict[str, Any] = {
        "source": {"type": "manifest", "uri": "data://clips/manifest.csv"},
        "target": {"column": "label"},
        "modalities": [{"name": "face", "type": "image", "column": "face"}],
        "split": {"method": "draw", "seed": 0},
    }
    return DatasetInference(dataset={**dataset, **changes})


def written(found: DatasetInference, name: str = "clips") -> dict[str, Any]:
    return parse(commented(found, name=name, uri="data://clips"))


def test_what_is_written_reads_as_what_was_guessed() -> None:
    columns = [{"name": f"column {k}", "type": "number"} for k in range(9)]
    found = guess(
        sample_id="id",
        modalities=[
            {"name": "face", "type": "image", "column": "face", "missing": "mask"},
            {"name": "meta", "type": "tabular", "columns": columns},
        ],
    )
    read = written(found)
    assert read["name"] == "clips"
    assert read["dataset"] == found.dataset
    assert read["holdout"] == {"fraction": 0.15}
    assert read["blending"] == {"strategy": "online"}


def test_reasons_stand_beside_what_they_are_for() -> None:
    found = DatasetInference(
        dataset=guess().dataset,
        holdout={"group_by": ["speaker"]},
        notes={
            "#/dataset/target": "a guess",
            "#/dataset/modalities/0": "PNG files",
            "#/holdout": "V holds out whole groups",
        },
        left_out={"row": "counts the rows"},
        missing=("modalities: two are needed",),
    )
    lines = commented(found, name="clips", uri="data://clips").splitlines()
    assert "# STILL NEEDED: modalities: two are needed" in lines
    assert "  target: {column: label}  # a guess" in lines
    assert lines.index("    # PNG files") + 1 == lines.index("    - {name: face, type: image, column: face}")
    assert "  #   row: counts the rows" in lines
    assert lines.index("# V holds out whole groups") + 1 == lines.index("holdout: {group_by: [speaker]}")


def test_without_a_target_there_is_a_place_for_it() -> None:
    dataset = {key: value for key, value in guess().dataset.items() if key != "target"}
    assert "  # target: {column: ...}" in commented(DatasetInference(dataset=dataset), name="x", uri="u").splitlines()


@given(value=VALUES)
def test_any_value_comes_back(value: Any) -> None:
    assert parse(f"x: {flow(value)}")["x"] == value


@given(text=st.text(max_size=20), name=TEXTS)
def test_no_text_of_the_data_leaves_its_place(text: str, name: str) -> None:
    found = DatasetInference(
        dataset=guess(target={"column": text}).dataset,
        notes={"#/dataset/target": text, "#/dataset/modalities/0": text},
        left_out={text: text},
        missing=(text,),
    )
    read = written(found, name)
    assert read["dataset"] == found.dataset
    assert read["name"] == name
    assert set(read) == {"name", "dataset", "holdout", "blending", "training"}


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("data://a/b.csv", ["data://a/b.csv"]),
        ("b.csv", ["data://b.csv"]),
        ("./a/b.csv", ["data://a/b.csv", "data://b.csv"]),
        ("/x/a/b.csv", ["data://x/a/b.csv", "data://a/b.csv", "data://b.csv"]),
    ],
)
def test_the_places_that_a_path_may_mean(path: str, places: list[str]) -> None:
    assert list(places_of(path)) == places


@pytest.mark.parametrize("path", ["", "/", "../b.csv", "a/../../b.csv"])
def test_paths_that_mean_none(path: str) -> None:
    with pytest.raises(InvalidInput):
        list(places_of(path))


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("data://clips/manifest.csv", "clips"),
        ("data://manifest.csv", "manifest"),
        ("data://a/my data.parquet", "my-data"),
        ("data://shards/", "shards"),
        ("data://", "data"),
        ("data://!!!.csv", "data"),
    ],
)
def test_names(uri: str, name: str) -> None:
    assert name_of(uri) == name
