"""Data sets in the SDK and the command: which part of a spec is about data, and how a report reads."""

from __future__ import annotations

import io
from typing import Any

import pytest
from gblend_client import Dataset, DatasetStatistics, InvalidInput, ProblemItem
from gblend_client._decode import decode
from gblend_client._registering import registration_of
from gblend_client.cli.data import is_dataset_id
from gblend_client.cli.data_report import datasets_table, place_of, report
from rich.console import Console

SOURCE = {"source": {"type": "manifest", "uri": "data://t.csv"}, "target": {"column": "y"}, "modalities": []}
SPREAD = {"count": 3, "min": 0.5, "median": 1.0, "mean": 1.5, "max": 3.0}


def statistics(**changes: Any) -> dict[str, Any]:
    return {
        "rows": 1200,
        "left_out": 0,
        "unusable": 0,
        "parts": [
            {"name": "train", "rows": 900, "groups": 5, "quantity": None},
            {"name": "holdout", "rows": 100, "groups": 1, "quantity": None},
            {"name": "validation", "rows": 0, "groups": 0, "quantity": None},
            {"name": "test", "rows": 200, "groups": 2, "quantity": None},
        ],
        "holdout_groups": ["nicolas"],
        "target": {
            "type": "multiclass",
            "missing": 0,
            "class_count": 2,
            "classes": [
                {"name": "[red]cat", "rows": {"train": 600, "holdout": 50, "test": 150}},
                {"name": "dog", "rows": {"train": 300, "holdout": 50, "test": 50}},
            ],
            "imbalance": 2.0,
        },
        "modalities": [
            {
                "name": "voice",
                "type": "audio",
                "missing": 7,
                "files": 1193,
                "measures": {"seconds": SPREAD, "bytes": {**SPREAD, "min": 512.0, "max": 3 * 2**20}},
                "counts": {"sample_rate": {"8000": 1190, "16000": 3}, "format": {"WAV": 1193}},
                "shape": None,
                "columns": [],
                "duplicates": [{"earlier": "train", "later": "test", "rows": 4}],
            },
            {
                "name": "meta",
                "type": "tabular",
                "missing": 0,
                "files": None,
                "measures": {},
                "counts": {},
                "shape": None,
                "columns": [
                    {"name": "age", "type": "number", "missing": 2, "spread": SPREAD, "distinct": None, "common": {}},
                    {
                        "name": "site",
                        "type": "category",
                        "missing": 0,
                        "spread": None,
                        "distinct": 9,
                        "common": {"north": 700, "south": 500},
                    },
                ],
                "duplicates": None,
            },
        ],
        "complete": False,
        **changes,
    }


def drawn(
    found: dict[str, Any] | None,
    errors: tuple[ProblemItem, ...] = (),
    warnings: tuple[ProblemItem, ...] = (),
    width: int = 160,
) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(report("set.yaml", None if found is None else decode(DatasetStatistics, found), errors, warnings))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# which part of a spec is about data


def test_of_a_job_the_part_about_data() -> None:
    job = {"name": "n", "dataset": SOURCE, "seed": 3, "holdout": {}, "blending": {}, "training": {}, "metadata": {}}
    assert registration_of(job) == {"name": "n", "metadata": {}, "dataset": SOURCE, "holdout": {}, "seed": 3}


def test_of_an_experiment_that_of_its_job() -> None:
    assert registration_of({"job": {"dataset": SOURCE, "seed": 3}, "strategies": ["naive"]}) == {
        "dataset": SOURCE,
        "seed": 3,
    }


def test_a_data_set_alone() -> None:
    assert registration_of(SOURCE) == {"dataset": SOURCE}


@pytest.mark.parametrize("spec", [{}, {"training": {}}, {"job": 3}, {"job": {}}])
def test_a_spec_without_data_is_no_input(spec: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        registration_of(spec)


def test_what_looks_like_an_id() -> None:
    assert is_dataset_id("ds_01KDXYZ3C5")
    assert not is_dataset_id("ds_1.yaml")
    assert not is_dataset_id("set.yaml")
    assert not is_dataset_id("-")


# the report


def test_a_report_tells_parts_classes_modalities_and_columns() -> None:
    text = drawn(statistics())
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "set.yaml: 1,200 rows, 2 classes, 2 modalities"
    assert "train (T) 900 75.0% ████████████████████████ 5" in lines
    assert any(line.startswith("holdout (V) 100 8.3%") and line.endswith("1 (nicolas)") for line in lines)
    assert "[red]cat 600 50 150 ████████████████████████" in lines
    assert (
        "voice audio 7 1,193 files looked into; sample rate 8000 Hz x 1,190, 16000 Hz x 3; format WAV; "
        "seconds 0.5 to 3 s (median 1); bytes 512 B to 3 MiB; 4 of test also in train"
    ) in " ".join(lines)
    assert "meta age number 2 0.5 to 3 (mean 1.5)" in lines
    assert "meta site category 0 north x 700, south x 500, ... 7 more" in lines
    assert "of the files, a sample was looked at; a training looks at all of them" in lines
    assert lines[-1] == "ready to train"


def test_of_many_classes_the_largest_and_the_smallest() -> None:
    classes = [{"name": f"c{k}", "rows": {"train": k + 1}} for k in range(40)]
    target = {"type": "multiclass", "missing": 0, "class_count": 40, "classes": classes, "imbalance": 40.0}
    text = drawn(statistics(target=target))
    assert "c39" in text
    assert "c31" in text
    assert "c20" not in text
    assert "... 29 more" in text
    assert text.index("c31") < text.index("... 29 more") < text.index("c1 ") < text.index("c0 ")


def test_in_a_narrow_terminal_no_part_of_the_counts_is_lost() -> None:
    text = drawn(statistics(), width=60)
    (cat,) = (line.split() for line in text.splitlines() if " 600 " in line)
    assert cat[1:4] == ["600", "50", "150"]


def test_in_a_narrow_terminal_an_id_is_whole() -> None:
    name = "ds_01M8H3TBKF7770D0KJM9G0DM69"
    row = decode(
        Dataset,
        {
            "id": name,
            "object": "dataset",
            "name": "a long name of a data set",
            "project": "default",
            "spec": {},
            "fingerprint": "sha256:0",
            "statistics": statistics(),
            "created_at": "2026-11-28T12:00:00Z",
        },
    )
    console = Console(file=io.StringIO(), width=60, color_system=None)
    console.print(datasets_table([row]))
    assert isinstance(console.file, io.StringIO)
    assert name in console.file.getvalue()


def test_a_problem_names_its_place_as_set_takes_it() -> None:
    error = ProblemItem(
        code="column.missing",
        detail="there is no column 'audoi'",
        pointer="#/dataset/modalities/0/column",
        hint="did you mean 'audio'?",
        count=9,
        examples=("a", "b"),
    )
    warning = ProblemItem(code="target.imbalanced", detail="odd", severity="warning", pointer="#/dataset/target/column")
    lines = [line.rstrip() for line in drawn(None, (error,), (warning,)).splitlines()]
    assert lines == [
        "set.yaml",
        "error dataset.modalities.0.column  column.missing",
        "  there is no column 'audoi'",
        "  such as a; b  (of 9)",
        "  -> did you mean 'audio'?",
        "",
        "warning dataset.target.column  target.imbalanced",
        "  odd",
        "",
        "not ready: 1 problem to mend, 1 to think about",
    ]


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("#/training/loss/class_weights/a~1b", "training.loss.class_weights.a/b"),
        ("#/dataset/source/uri", "dataset.source.uri"),
        ("#/x%20y", "x y"),
        ("#/\x1b[31mred", "\N{REPLACEMENT CHARACTER}[31mred"),
        ("#", "the spec"),
        (None, "the spec"),
    ],
)
def test_places(pointer: str | None, place: str) -> None:
    assert place_of(ProblemItem(pointer=pointer)) == place


def test_nothing_in_the_data_reaches_the_terminal_as_a_control() -> None:
    found = statistics()
    found["target"]["classes"][0]["name"] = "\x1b]0;owned\x07cat"
    found["modalities"][1]["columns"][1]["common"] = {"\x1b[2J": 3}
    assert "\x1b" not in drawn(found)
    assert "\x07" not in drawn(found)
