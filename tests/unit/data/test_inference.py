"""Guesses about data: sources, targets, splits, groups, modalities; and what is left out, with the reason."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data.inference import Inferred, infer
from core.data.validation import check
from core.errors import DataError, SpecError
from tests.unit.data.builders import clips, errors, grey, job, tone, wav, write_csv
from tests.unit.data.saved import IMAGE, label, save_dict, save_to_disk

Roots = dict[str, Path]


def is_a_spec(found: Inferred, roots: Roots) -> bool:
    spec = job(found.dataset, holdout=found.holdout)
    return errors(check(spec.dataset, spec.holdout, roots)) == []


def of_rows(roots: Roots, rows: list[dict[str, Any]], **more: Any) -> Inferred:
    write_csv(roots["data"] / "t.csv", rows)
    return infer("data://t.csv", roots, **more)


def table(**columns: Any) -> list[dict[str, Any]]:
    """Forty rows; a column is a function of the row's number."""
    return [{name: make(i) for name, make in columns.items()} for i in range(40)]


BASE: dict[str, Any] = {
    "x": lambda i: i * i,
    "words": lambda i: f"row {i} is not like the others",
    "label": lambda i: "ab"[i % 2],
}


# whole sets


def test_a_manifest_of_sounds_and_images(roots: Roots) -> None:
    write_csv(roots["data"] / "clips" / "manifest.csv", clips(roots["data"] / "clips", n=48))
    found = infer("data://clips/manifest.csv", roots)
    assert found.dataset == {
        "source": {"type": "manifest", "uri": "data://clips/manifest.csv"},
        "target": {"column": "label"},
        "sample_id": "id",
        "split": {"method": "column", "column": "split", "group_by": ["speaker"]},
        "modalities": [
            {
                "name": "sound",
                "type": "audio",
                "column": "sound",
                "preprocess": {"sample_rate": 8000, "max_seconds": 0.5},
            },
            {"name": "picture", "type": "image", "column": "picture"},
            {"name": "table", "type": "tabular", "columns": [{"name": "height", "type": "number"}]},
        ],
    }
    assert (found.rows, found.left_out, found.holdout, found.missing) == (48, {}, {}, [])
    assert found.notes["#/dataset/split"] == "given by the data; no speaker is on two sides"
    assert found.notes["#/dataset/modalities/0"] == "WAV files of 8000 Hz, 0.05 to 0.08 seconds"
    assert is_a_spec(found, roots)


def test_a_folder_with_a_manifest(roots: Roots) -> None:
    write_csv(roots["data"] / "clips" / "manifest.csv", clips(roots["data"] / "clips", n=48))
    assert infer("data://clips", roots).dataset["source"] == {"type": "manifest", "uri": "data://clips/manifest.csv"}


def test_tables_called_train_and_test(roots: Roots) -> None:
    rows = clips(roots["data"] / "clips", n=48)
    for part in ("train", "val", "test"):
        write_csv(roots["data"] / "clips" / f"{part}.csv", [row for row in rows if row["split"] == part])
    found = infer("data://clips", roots)
    assert found.dataset["source"] == {"type": "manifest", "uri": "data://clips"}
    assert found.dataset["split"] == {
        "method": "files",
        "train": "train.csv",
        "validation": "val.csv",
        "test": "test.csv",
    }
    assert found.holdout == {"group_by": ["speaker"]}
    assert found.left_out == {"split": "says which part a row is in"}
    assert is_a_spec(found, roots)


def test_class_folders_and_a_folder_per_modality(roots: Roots) -> None:
    for i in range(40):
        name = f"{'cat' if i % 2 else 'dog'}/{i}"
        for path, content in (
            (f"pets/{name}.png", grey(i)),
            (f"pets/{name}.wav", wav(tone(300 + i))),
            (f"takes/rgb/{name}.png", grey(i)),
            (f"takes/mic/{name}.wav", wav(tone(300 + i))),
        ):
            (roots["data"] / path).parent.mkdir(parents=True, exist_ok=True)
            (roots["data"] / path).write_bytes(content)
    pets, takes = infer("data://pets", roots), infer("data://takes", roots)
    assert pets.dataset["source"] == {"type": "folder", "uri": "data://pets"}
    assert sorted(each["name"] for each in pets.dataset["modalities"]) == ["audio", "image"]
    assert pets.dataset["target"] == {"column": "label", "type": "binary"}
    assert takes.dataset["source"] == {"type": "folder", "uri": "data://takes", "layout": "modalities"}
    assert sorted((each["name"], each["type"]) for each in takes.dataset["modalities"]) == [
        ("mic", "audio"),
        ("rgb", "image"),
    ]
    assert is_a_spec(pets, roots)
    assert is_a_spec(takes, roots)


def test_shards(roots: Roots) -> None:
    (roots["data"] / "shards").mkdir()
    with tarfile.open(roots["data"] / "shards" / "a-0000.tar", "w") as tar:
        for i in range(40):
            for extension, content in (
                ("png", grey(i)),
                ("wav", wav(tone(300 + i))),
                ("cls", b"01"[i % 2 : i % 2 + 1]),
            ):
                member = tarfile.TarInfo(f"{i:04d}.{extension}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    found = infer("data://shards", roots)
    assert found.dataset["source"] == {"type": "webdataset", "uri": "data://shards"}
    assert found.dataset["target"] == {"column": "cls", "type": "binary"}
    assert sorted((each["column"], each["type"]) for each in found.dataset["modalities"]) == [
        ("png", "image"),
        ("wav", "audio"),
    ]
    assert is_a_spec(found, roots)


def test_a_saved_data_set(roots: Roots) -> None:
    images = [{"bytes": grey(i), "path": None} for i in range(40)]
    sounds = [{"bytes": wav(tone(300 + i)), "path": None} for i in range(40)]
    columns = {"label": [i % 2 for i in range(40)], "seen": pa.array(images, IMAGE), "heard": pa.array(sounds, IMAGE)}
    features = {"label": label("cat", "dog"), "seen": {"_type": "Image"}, "heard": {"_type": "Audio"}}
    save_to_disk(roots["data"] / "one", pa.table(columns), features)
    found = infer("data://one", roots)
    assert found.dataset["source"] == {"type": "hf_disk", "uri": "data://one"}
    assert found.dataset["target"] == {"column": "label", "type": "binary"}
    assert [(each["name"], each["type"]) for each in found.dataset["modalities"]] == [
        ("seen", "image"),
        ("heard", "audio"),
    ]
    assert is_a_spec(found, roots)
    table = pa.table(columns)
    save_dict(roots["data"] / "parts", {"train": table.slice(0, 30), "test": table.slice(30)}, features)
    found = infer("data://parts", roots)
    assert found.dataset["source"] == {"type": "hf_disk", "uri": "data://parts"}
    assert found.dataset["split"] == {"method": "files", "train": "train", "test": "test"}
    assert is_a_spec(found, roots)


def test_arrays(roots: Roots) -> None:
    draw = np.random.default_rng(0)
    np.savez(
        roots["data"] / "a.npz",
        imu=draw.normal(size=(40, 7, 3)),
        vector=draw.normal(size=(40, 4)),
        y=np.arange(40) % 4,
        is_test=np.arange(40) >= 30,
    )
    found = infer("data://a.npz", roots)
    assert found.dataset["target"] == {"column": "y"}
    assert found.dataset["split"] == {
        "method": "column",
        "column": "is_test",
        "values": {"train": ["false"], "validation": [], "test": ["true"]},
    }
    assert found.dataset["modalities"] == [
        {"name": "imu", "type": "timeseries", "column": "imu", "shape": [None, 3]},
        {"name": "vector", "type": "embedding", "column": "vector"},
    ]
    assert is_a_spec(found, roots)


def test_parquet_with_lists_and_files_in_cells(roots: Roots) -> None:
    pq.write_table(
        pa.table(
            {
                "label": [i % 3 for i in range(40)],
                "vector": [[float(i), 1.0] for i in range(40)],
                "series": [[[float(i)], [1.0]] for i in range(40)],
                "photo": [{"bytes": grey(i), "path": None} for i in range(40)],
            }
        ),
        roots["data"] / "t.parquet",
    )
    found = infer("data://t.parquet", roots)
    assert [(each["name"], each["type"]) for each in found.dataset["modalities"]] == [
        ("vector", "embedding"),
        ("photo", "image"),
    ]
    assert "timeseries" in found.left_out["series"]
    assert is_a_spec(found, roots)


# targets


@pytest.mark.parametrize(
    ("columns", "target"),
    [
        ({"colour": lambda i: "rg"[i % 2], "label": lambda i: "abc"[i % 3]}, {"column": "label"}),
        (
            {"sentiment": lambda i: "ab"[i % 2], "colour": lambda i: "rgb"[i % 3]},
            {"column": "sentiment", "type": "binary"},
        ),
        ({"class_name": lambda i: "abc"[i % 3], "colour": lambda i: "rg"[i % 2]}, {"column": "class_name"}),
        ({"x": lambda i: i + 0.5, "shade": lambda i: "abc"[i % 3]}, {"column": "shade"}),  # none is named so: the last
        ({"target": lambda i: i * 1.25, "colour": lambda i: "rg"[i % 2]}, {"column": "target", "type": "regression"}),
    ],
)
def test_targets(roots: Roots, columns: dict[str, Any], target: dict[str, str]) -> None:
    assert of_rows(roots, table(**columns)).dataset["target"] == target


def test_a_target_that_is_named(roots: Roots) -> None:
    found = of_rows(roots, table(**BASE, colour=lambda i: "rgb"[i % 3]), target="colour")
    assert found.dataset["target"] == {"column": "colour"}
    assert {"name": "label", "type": "category"} in found.dataset["modalities"][-1]["columns"]


def test_a_target_that_is_not_there(roots: Roots) -> None:
    with pytest.raises(SpecError) as caught:
        of_rows(roots, table(**BASE), target="colour")
    assert [(issue.code, issue.pointer) for issue in caught.value.issues] == [("column.missing", "#/target")]


def test_nothing_that_looks_like_a_target(roots: Roots) -> None:
    found = of_rows(roots, table(x=lambda i: i + 0.5, z=lambda i: i * 1.5))
    assert "target" not in found.dataset
    assert found.missing[0] == "target: no column looks like one; name it with --target"


# what is left out


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("label_name", lambda i: ("cat", "dog")[i % 2], "says the same as the target 'label'"),
        ("code", lambda i: 7 + i % 2, "says the same as the target 'label'"),
        ("row", lambda i: i, "counts the rows"),
        ("take", lambda i: i % 5, "counts"),
        ("constant", lambda i: "same", "the same value in every row"),
        ("nothing", lambda i: "", "empty"),
        ("half", lambda i: i * 1.5 if i % 2 else "", "20 cells are empty: a number needs a value"),
        ("town", lambda i: f"town{i}", "40 different names: too many for a category"),
        ("patient", lambda i: i // 8, None),  # groups: in the split
    ],
)
def test_what_is_left_out(roots: Roots, name: str, make: Any, reason: str | None) -> None:
    found = of_rows(roots, table(**BASE, **{name: make}))
    used = [
        column["name"] for each in found.dataset["modalities"] for column in each.get("columns", ()) if "type" in column
    ]
    assert name not in used
    if reason is None:
        assert found.dataset["split"]["group_by"] == [name]
    else:
        assert found.left_out[name].startswith(reason)
    assert is_a_spec(found, roots)


def test_paths_that_lead_nowhere_are_no_modality(roots: Roots) -> None:
    found = of_rows(roots, table(**BASE, face=lambda i: f"{i}.png"))
    assert found.left_out == {"face": "looks like image files, but none that was looked for can be read"}


def test_rows_without_a_file_ask_for_a_mask(roots: Roots) -> None:
    rows = clips(roots["data"] / "clips", n=48)
    rows[0]["sound"] = rows[1]["sound"] = ""
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    found = infer("data://clips/manifest.csv", roots)
    assert found.dataset["modalities"][0]["missing"] == "mask"
    assert found.notes["#/dataset/modalities/0"].endswith("; 2 rows have none")


def test_texts_of_several_columns_are_one_modality(roots: Roots) -> None:
    found = of_rows(roots, table(**BASE, body=lambda i: f"this is the body of {i}"))
    assert found.dataset["modalities"][0] == {"name": "text", "type": "text", "columns": ["words", "body"]}


# splits


def test_of_two_split_columns_the_one_that_keeps_groups_apart(roots: Roots) -> None:
    rows = table(
        **BASE,
        speaker=lambda i: f"s{i % 4}",
        split=lambda i: "test" if i >= 30 else "train",
        split_speaker=lambda i: "test" if i % 4 == 3 else "train",
    )
    found = of_rows(roots, rows)
    assert found.dataset["split"] == {"method": "column", "column": "split_speaker", "group_by": ["speaker"]}
    assert found.left_out["split"] == "says which part a row is in"


def test_a_split_that_tears_groups_apart_leaves_them_to_v(roots: Roots) -> None:
    rows = table(**BASE, speaker=lambda i: f"s{i % 4}", split=lambda i: "test" if i >= 30 else "train")
    found = of_rows(roots, rows)
    assert found.dataset["split"] == {"method": "column", "column": "split"}
    assert found.holdout == {"group_by": ["speaker"]}
    assert "#/holdout" in found.notes
    assert is_a_spec(found, roots)


def test_without_a_split_one_is_drawn(roots: Roots) -> None:
    found = of_rows(roots, table(**BASE))
    assert found.dataset["split"] == {"method": "draw", "seed": 0}


# names


def test_names_of_modalities_are_names(roots: Roots) -> None:
    rows = clips(roots["data"] / "clips", n=48)
    for row in rows:
        row["1 pïcture!"] = row.pop("picture")
        row["fused"] = row.pop("sound")
    write_csv(roots["data"] / "clips" / "manifest.csv", rows)
    found = infer("data://clips/manifest.csv", roots)
    assert sorted(each["name"] for each in found.dataset["modalities"]) == ["fused_input", "m_1_p_cture_", "table"]
    assert is_a_spec(found, roots)


# layouts that people have


def put(roots: Roots, *files: tuple[str, bytes]) -> None:
    for name, content in files:
        place = roots["data"] / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def pairs(i: int, stem: str) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    return (f"{stem}.png", grey(i)), (f"{stem}.wav", wav(tone(300 + i)))


def test_class_folders_that_number_their_files_alike(roots: Roots) -> None:
    for name in ("cat", "dog"):
        for i in range(20):
            put(roots, *pairs(i, f"pets/{name}/{i:03d}"))
    found = infer("data://pets", roots)
    assert found.dataset["source"] == {"type": "folder", "uri": "data://pets"}
    assert found.dataset["target"] == {"column": "label", "type": "binary"}
    assert is_a_spec(found, roots)


def test_class_folders_of_one_kind_are_no_modalities(roots: Roots) -> None:
    for name in ("cat", "dog"):
        for i in range(20):
            put(roots, (f"pets/{name}/{i:03d}.png", grey(i)))
    found = infer("data://pets", roots)
    assert found.dataset["target"] == {"column": "label", "type": "binary"}
    assert [each["column"] for each in found.dataset["modalities"]] == ["image"]


def test_two_modalities_of_one_kind_with_class_folders_below(roots: Roots) -> None:
    for name in ("cat", "dog"):
        for i in range(20):
            put(roots, (f"takes/rgb/{name}/{i}.png", grey(i)), (f"takes/depth/{name}/{i}.png", grey(i + 50)))
    found = infer("data://takes", roots)
    assert found.dataset["source"]["layout"] == "modalities"
    assert [each["name"] for each in found.dataset["modalities"]] == ["depth", "rgb"]
    assert is_a_spec(found, roots)


@pytest.mark.parametrize(
    ("folders", "split"),
    [
        (("train", "test"), {"train": "train", "test": "test"}),
        (("training", "val", "test"), {"train": "training", "validation": "val", "test": "test"}),
        (("train", "val"), {"train": "train", "test": "val"}),
    ],
)
def test_class_folders_in_folders_of_parts(roots: Roots, folders: tuple[str, ...], split: dict[str, str]) -> None:
    for place, part in enumerate(folders):
        for name in ("cat", "dog"):
            for i in range(20):
                put(roots, *pairs(i + 60 * place, f"pets/{part}/{name}/{i:03d}"))
    found = infer("data://pets", roots)
    assert found.dataset["source"] == {"type": "folder", "uri": "data://pets"}
    assert found.dataset["split"] == {"method": "files", **split}
    assert is_a_spec(found, roots)


def test_modalities_in_folders_of_parts(roots: Roots) -> None:
    for part in ("train", "test"):
        for i in range(20):
            name = f"{'ab'[i % 2]}/{i}"
            put(roots, (f"t/{part}/rgb/{name}.png", grey(i)), (f"t/{part}/mic/{name}.wav", wav(tone(300 + i))))
    found = infer("data://t", roots)
    assert found.dataset["source"] == {"type": "folder", "uri": "data://t", "layout": "modalities"}
    assert found.dataset["split"] == {"method": "files", "train": "train", "test": "test"}
    assert is_a_spec(found, roots)


def test_metadata_in_folders_of_parts(roots: Roots) -> None:
    for part in ("train", "test"):
        rows = [
            {"file_name": f"{i}.png", "caption": f"row {i} of {part} is a picture", "label": "ab"[i % 2]}
            for i in range(20)
        ]
        put(roots, *((f"hf/{part}/{i}.png", grey(i)) for i in range(20)))
        write_csv(roots["data"] / "hf" / part / "metadata.csv", rows)
    found = infer("data://hf", roots)
    assert found.dataset["target"] == {"column": "label", "type": "binary"}
    assert [each["type"] for each in found.dataset["modalities"]] == ["image", "text"]
    assert is_a_spec(found, roots)


def passengers(n: int) -> list[dict[str, Any]]:
    return [
        {
            "PassengerId": i + 1,
            "Survived": i // 3 % 2,
            "Name": f"Braund, Mr. Owen {i}",
            "Fare": i * 1.5 + (i % 7) / 8,
            "Embarked": "SCQ"[i % 3] if i else "",
        }
        for i in range(n)
    ]


def test_a_test_table_without_the_target_is_left_out(roots: Roots) -> None:
    write_csv(roots["data"] / "titanic" / "train.csv", passengers(40))
    test = [{name: cell for name, cell in row.items() if name != "Survived"} for row in passengers(20)]
    write_csv(roots["data"] / "titanic" / "test.csv", test)
    found = infer("data://titanic", roots)
    assert found.dataset["source"] == {"type": "manifest", "uri": "data://titanic/train.csv"}
    assert found.dataset["target"] == {"column": "Survived", "type": "binary"}
    assert found.dataset["split"]["method"] == "draw"
    assert "test.csv has no column 'Survived'" in found.notes["#/dataset/source"]
    assert is_a_spec(found, roots)


def test_names_of_several_words_are_a_text(roots: Roots) -> None:
    found = of_rows(roots, passengers(40), target="Survived")
    assert "sample_id" not in found.dataset
    assert [each["name"] for each in found.dataset["modalities"]] == ["Name", "table"]


def test_a_target_that_nobody_named_has_no_empty_cells(roots: Roots) -> None:
    found = of_rows(roots, passengers(40))  # Embarked comes later, but has an empty one
    assert found.dataset["target"] == {"column": "Survived", "type": "binary"}
    assert is_a_spec(found, roots)


def test_files_in_a_folder_beside_their_table(roots: Roots) -> None:
    rows = [
        {
            "client_id": f"c{i % 8}",
            "path": f"{i}.wav",
            "sentence": f"row {i} is not like the others",
            "label": "ab"[i % 2],
        }
        for i in range(40)
    ]
    put(roots, *((f"cv/clips/{i}.wav", wav(tone(300 + i))) for i in range(40)), ("cv/audio/other.wav", b""))
    write_csv(roots["data"] / "cv" / "all.csv", rows)
    found = infer("data://cv/all.csv", roots)
    assert found.dataset["source"]["base_uri"] == "data://cv/clips/"
    assert [each["type"] for each in found.dataset["modalities"]] == ["audio", "text"]
    assert found.dataset["split"]["group_by"] == ["client_id"]
    assert is_a_spec(found, roots)
    for name, some in (("train", rows[:32]), ("test", rows[32:])):
        write_csv(roots["data"] / "cv" / f"{name}.csv", some)
    found = infer("data://cv", roots)
    assert found.dataset["source"] == {"type": "manifest", "uri": "data://cv", "base_uri": "data://cv/clips/"}
    assert is_a_spec(found, roots)


def test_rows_without_a_text_ask_for_a_mask(roots: Roots) -> None:
    found = of_rows(roots, table(**{**BASE, "words": lambda i: f"row {i} is not like the others" if i % 5 else ""}))
    assert found.dataset["modalities"][0] == {"name": "words", "type": "text", "column": "words", "missing": "mask"}
    assert found.notes["#/dataset/modalities/0"].endswith("; 8 rows have none")
    assert is_a_spec(found, roots)


def test_an_unknown_extension_is_told_what_can_be_guessed_from(roots: Roots) -> None:
    put(roots, ("iris.data", b"1,2,a\n"))
    with pytest.raises(DataError) as caught:
        infer("data://iris.data", roots)
    assert ".csv, .tsv" in str(caught.value.issues[0].hint)  # there is no format to set


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("5.1,3.5,1,setosa\n" * 2 + "4.9,3.0,2,other\n" * 9, True),
        ("0,1,2,label\n" + "4.9,3.0,2,other\n" * 9, False),
        ("a,1.5,x,label\n" + "4.9,3.0,2,other\n" * 9, False),
    ],
)
def test_a_table_without_a_header_is_told(roots: Roots, text: str, told: bool) -> None:
    put(roots, ("iris.csv", text.encode()))
    assert ("looks like a row of values" in infer("data://iris.csv", roots).notes["#/dataset/source"]) == told


# bad places


def test_one_modality_is_too_few(roots: Roots) -> None:
    found = of_rows(roots, table(x=BASE["x"], label=BASE["label"]))
    assert found.missing == ["modalities: gblend blends two or more; one was found"]


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("data://../secret.csv", "source.forbidden"),
        ("file:///etc/passwd", "source.forbidden"),
        ("/etc/passwd", "source.forbidden"),
        ("data://nothing.csv", "source.not_found"),
        ("data://what.xyz", "source.format"),
        ("data://empty.csv", "source.empty"),
    ],
)
def test_places_that_are_none(roots: Roots, uri: str, code: str) -> None:
    (roots["data"] / "what.xyz").write_text("x")
    (roots["data"] / "empty.csv").write_text("")
    with pytest.raises((SpecError, DataError)) as caught:
        infer(uri, roots)
    assert [(issue.code, issue.pointer) for issue in caught.value.issues] == [(code, "#/uri")]


def test_links_that_lead_out_of_a_folder_are_refused(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "1.png").write_bytes(grey(1))
    (roots["data"] / "set").mkdir()
    (roots["data"] / "set" / "a").symlink_to(tmp_path / "outside")
    with pytest.raises(DataError) as caught:
        infer("data://set", roots)
    assert [issue.code for issue in caught.value.issues] == ["source.forbidden"]
