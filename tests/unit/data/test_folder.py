"""Folders as data sets: class folders, a folder per modality, metadata; links and names that are refused."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data.dataset import PreparedData, prepare
from core.data.sources import Limits, Source, open_source
from core.data.validation import check
from core.errors import DataError, Issue
from core.spec.data import FolderSource
from tests.unit.data.builders import RATE, errors, grey, job, only, tone, wav

Roots = dict[str, Path]
EVERYTHING = ("id", "label", "image", "audio", "text", "file", "age", "caption")


def write(root: Path, files: dict[str, bytes | str]) -> None:
    for name, content in files.items():
        path = root / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def both(index: int) -> tuple[bytes, bytes]:
    return grey(20 * (index % 2) + index), wav(tone(400.0 + 300 * (index % 2), 0.05))


def class_folders(root: Path, n: int = 24) -> None:
    for index in range(n):
        image, sound = both(index)
        name = f"{('cat', 'dog')[index % 2]}/{index // 2:03d}"
        write(root, {f"{name}.png": image, f"{name}.wav": sound})


def folder_spec(**changes: Any) -> dict[str, Any]:
    return {
        "source": {"type": "folder", "uri": "data://set"},
        "target": {"column": "label"},
        "modalities": [
            {"name": "seen", "type": "image", "column": "image"},
            {"name": "heard", "type": "audio", "column": "audio", "preprocess": {"sample_rate": RATE, "mels": 16}},
        ],
        **changes,
    }


def per_modality(**changes: Any) -> dict[str, Any]:
    spec = folder_spec(**changes)
    spec["modalities"] = [{**spec["modalities"][0], "column": "rgb"}, {**spec["modalities"][1], "column": "mic"}]
    return spec


def opened(roots: Roots, wanted: tuple[str, ...] = EVERYTHING, **spec: Any) -> Source:
    return open_source(FolderSource(uri="data://set", **spec), roots, wanted=wanted)


def refused(roots: Roots, **spec: Any) -> Issue:
    with pytest.raises(DataError) as raised:
        opened(roots, **spec)
    (issue,) = raised.value.issues
    assert issue.pointer == "#/dataset/source/uri"
    assert str(roots["data"]) not in issue.detail
    return issue


def checked(roots: Roots, dataset: dict[str, Any]) -> list[Issue]:
    spec = job(dataset)
    return check(spec.dataset, spec.holdout, roots)


def both_tiers(roots: Roots, dataset: dict[str, Any]) -> PreparedData:
    assert errors(checked(roots, dataset)) == []
    return prepare(job(dataset), roots)


# class folders


def test_class_folders(roots: Roots) -> None:
    class_folders(roots["data"])
    write(roots["data"], {"README.txt": "no sample", ".hidden/x.png": b"", "cat/.DS_Store": b""})
    data = both_tiers(roots, folder_spec())
    assert data.classes == ("cat", "dog")
    assert data.targets.tolist() == [0] * 12 + [1] * 12
    assert data.sample_ids[:2] == ("cat/000", "cat/001")
    assert data.modalities["heard"].kind == "audio"


def test_columns_are_called_by_kind(roots: Roots) -> None:
    write(
        roots["data"], {"a/1.PNG": b"x", "a/1.flac": b"x", "b/deep/2.txt": "x", "b/deep/2.mp4": b"x", "b/3.bin": b"x"}
    )
    source = opened(roots)
    kinds = {name: header.kind for name, header in source.headers.items()}
    assert kinds == {
        "id": "text", "label": "text",
        "image": "file", "audio": "file", "text": "file", "video": "file", "file": "file",
    }  # fmt: skip
    table = source.read(EVERYTHING)
    assert table.columns["id"].text() == ["a/1", "b/3", "b/deep/2"]
    assert table.columns["label"].text() == ["a", "b", "deep"]
    assert table.columns["image"].missing.tolist() == [False, True, True]


def test_a_sample_that_lacks_a_file(roots: Roots) -> None:
    class_folders(roots["data"])
    (roots["data"] / "set" / "dog" / "003.wav").unlink()
    issue = only(checked(roots, folder_spec()), "value.missing")
    assert (issue.pointer, issue.examples) == ("#/dataset/modalities/1/column", ("dog/003: there is no file",))
    with pytest.raises(DataError, match=r"value\.missing"):
        prepare(job(folder_spec()), roots)
    drop = {"action": "drop", "max_fraction": 0.1}
    assert len(both_tiers(roots, folder_spec(on_bad_sample=drop)).targets) == 23


def test_two_files_for_one_cell(roots: Roots) -> None:
    write(roots["data"], {"a/1.png": b"x", "a/1.jpg": b"x"})
    issue = refused(roots)
    assert (issue.code, issue.examples) == ("source.ambiguous", ("a/1.png",))


@pytest.mark.parametrize("files", [{}, {"README.md": "x"}, {"1.png": b"x"}])
def test_a_folder_without_samples(roots: Roots, files: dict[str, bytes | str]) -> None:
    (roots["data"] / "set").mkdir()
    write(roots["data"], files)
    assert refused(roots).code == "source.empty"


def test_a_folder_that_is_none(roots: Roots) -> None:
    assert refused(roots).code == "source.not_found"
    (roots["data"] / "set").write_bytes(b"x")
    assert refused(roots).code == "source.not_found"


def test_damaged_files_are_rows_that_cannot_be_used(roots: Roots) -> None:
    class_folders(roots["data"])
    write(roots["data"], {"cat/000.png": b"", "cat/001.png": b"no image", "dog/000.wav": b"RIFF"})
    with pytest.raises(DataError) as raised:
        prepare(job(folder_spec()), roots)
    found = {(issue.code, issue.sample) for issue in raised.value.issues}
    assert {("file.truncated", "cat/000"), ("file.format", "cat/001")} <= found


def test_split_by_sub_folder(roots: Roots) -> None:
    class_folders(roots["data"])
    (roots["data"] / "set").rename(roots["data"] / "train")
    class_folders(roots["data"], 8)
    (roots["data"] / "set").rename(roots["data"] / "test")
    split = {"method": "files", "train": "train", "test": "test"}
    data = both_tiers(roots, folder_spec(source={"type": "folder", "uri": "data://"}, split=split))
    assert len(data.split.test) == 8
    assert data.sample_ids[0] == "train/cat/000"
    assert data.sample_ids[-1] == "test/dog/003"
    for parts in ({"train": ".", "test": "test"}, {"train": "test", "test": "."}):
        spec = folder_spec(source={"type": "folder", "uri": "data://"}, split={**split, **parts})
        assert ("split.leak", "#/dataset/split/test") in errors(checked(roots, spec))


def test_split_by_hash_needs_no_id_column(roots: Roots) -> None:
    class_folders(roots["data"])
    data = both_tiers(roots, folder_spec(split={"method": "hash", "seed": 2}))
    assert min(len(rows) for rows in data.split.as_dict().values()) > 0


# a folder per modality


def test_a_folder_per_modality_with_class_folders(roots: Roots) -> None:
    for index in range(24):
        image, sound = both(index)
        name = f"{('cat', 'dog')[index % 2]}/{index:03d}"
        write(roots["data"], {f"rgb/{name}.png": image, f"mic/{name}.wav": sound, f"depth/{name}x.png": image})
    data = both_tiers(roots, per_modality())
    assert data.classes == ("cat", "dog")
    assert len(data.targets) == 24  # the folder that the spec does not name adds no rows
    assert data.sample_ids[0] == "cat/000"


def test_a_folder_per_modality_with_metadata(roots: Roots) -> None:
    lines = ["id,label,who"]
    for index in range(24):
        image, sound = both(index)
        write(roots["data"], {f"rgb/{index}.png": image, f"mic/{index}.wav": sound})
        lines.append(f"{index},{'ab'[index % 2]},w{index // 2 % 6}")
    write(roots["data"], {"metadata.csv": "\n".join(lines)})
    data = both_tiers(roots, per_modality(split={"method": "draw", "group_by": ["who"]}))
    assert data.classes == ("a", "b")
    assert data.sample_ids == tuple(map(str, range(24)))


def test_rows_that_lack_a_modality(roots: Roots) -> None:
    write(roots["data"], {"rgb/1.png": b"x", "rgb/2.png": b"x", "mic/2.wav": b"x", "mic/3.wav": b"x"})
    table = opened(roots, ("rgb", "mic")).read(["id", "rgb", "mic"])
    assert table.columns["id"].text() == ["1", "2", "3"]
    assert table.columns["rgb"].missing.tolist() == [False, False, True]
    assert table.columns["mic"].missing.tolist() == [True, False, False]


def test_the_layout_may_be_said(roots: Roots) -> None:
    write(roots["data"], {"image/1.png": b"x", "audio/2.png": b"x"})
    assert "label" not in opened(roots).headers
    source = opened(roots, layout="classes")
    assert source.read(["label"]).columns["label"].text() == ["audio", "image"]
    assert "rgb" not in opened(roots, layout="modalities").headers


def test_a_column_that_is_no_folder(roots: Roots) -> None:
    write(roots["data"], {"rgb/a/1.png": b"x", "mic/a/1.wav": b"x"})
    spec = per_modality()
    spec["modalities"][1]["column"] = "mik"
    issue = only(checked(roots, spec), "column.missing")
    assert (issue.pointer, issue.hint) == ("#/dataset/modalities/1/column", "did you mean 'mic'?")


# metadata


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("stems", [False, True])
def test_metadata_name_the_rows(roots: Roots, kind: str, stems: bool) -> None:
    rows = [
        {"file_name": "b" if stems else "b.png", "label": "x", "age": "3"},
        {"file_name": "a", "label": "y", "age": "4"},
    ]
    write(roots["data"], {"a.png": b"x", "b.png": b"x", "b.wav": b"x", "unnamed.png": b"x"})
    path = roots["data"] / "set" / f"metadata.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        sep = "," if kind == "csv" else "\t"
        path.write_text("\n".join(sep.join(values) for values in [rows[0].keys(), *(row.values() for row in rows)]))
    table = opened(roots).read(EVERYTHING)
    assert table.columns["id"].text() == ["b", "a"]
    assert table.columns["label"].text() == ["x", "y"]
    assert table.columns["age"].text() == ["3", "4"]
    assert table.columns["audio"].missing.tolist() == [False, True]


def test_what_is_costly_in_the_metadata_is_costly(roots: Roots) -> None:
    """A check at submission does not load the contents of metadata either."""
    write(roots["data"], {"cat/1.png": b"x"})
    table = {"id": ["cat/1"], "file": [b"bytes"], "caption": [[1.0, 2.0]], "age": [3]}
    pq.write_table(pa.table(table), roots["data"] / "set" / "metadata.parquet")
    source = open_source(FolderSource(uri="data://set"), roots, wanted=EVERYTHING)
    assert source.costly == {"file", "caption"}


def test_the_label_of_the_metadata_counts_more_than_the_folder(roots: Roots) -> None:
    write(roots["data"], {"cat/1.png": b"x", "metadata.csv": "file_name,label\ncat/1.png,kitten\n"})
    assert opened(roots).read(["label"]).columns["label"].text() == ["kitten"]
    write(roots["data"], {"metadata.csv": "file_name,age\ncat/1.png,4\n"})
    assert opened(roots).read(["label"]).columns["label"].text() == ["cat"]


def test_metadata_that_name_a_file_that_is_missing(roots: Roots) -> None:
    class_folders(roots["data"])
    lines = [f"{('cat', 'dog')[i % 2]}/{i // 2:03d}.png" for i in range(24)]
    write(roots["data"], {"metadata.csv": "\n".join(["file_name", *lines, "cat/none.png"])})
    found = only(checked(roots, folder_spec()), "file.missing")
    assert (found.sample, found.pointer) == ("cat/none", "#/dataset/modalities/0/column")


@pytest.mark.parametrize("path", ["../x.png", "/etc/passwd", "a/../../b.png", "%2e%2e/x.png", "a\\b.png"])
def test_paths_of_the_metadata_that_lead_out(roots: Roots, path: str) -> None:
    write(roots["data"], {"a/1.png": b"x", "metadata.csv": f"file_name\n{path}\n"})
    assert refused(roots).code == "source.forbidden"


def test_metadata_without_names_or_twice(roots: Roots) -> None:
    write(roots["data"], {"a/1.png": b"x", "metadata.csv": "name\nx\n"})
    assert refused(roots).code == "source.malformed"
    write(roots["data"], {"metadata.jsonl": "{}"})
    assert refused(roots).code == "source.ambiguous"


def test_a_metadata_column_that_is_called_like_the_files(roots: Roots) -> None:
    write(roots["data"], {"a/1.png": b"x", "metadata.csv": "id,image\na/1,z\n"})
    issue = refused(roots)
    assert (issue.code, issue.examples) == ("source.malformed", ("image",))


def test_a_row_named_twice(roots: Roots) -> None:
    class_folders(roots["data"])
    write(roots["data"], {"metadata.csv": "id\ncat/000\ncat/000\ndog/000\ndog/001\ncat/001\ncat/002\n"})
    assert ("sample_id.duplicate", "#/dataset/source/uri") in errors(checked(roots, folder_spec()))


# what does not belong there


def test_links(roots: Roots, tmp_path: Path) -> None:
    write(roots["data"], {"a/1.png": b"x", "a/2.png": b"x"})
    folder = roots["data"] / "set" / "a"
    (folder / "3.png").symlink_to(folder / "1.png")
    (folder / "4.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "5.png")
    assert opened(roots).read(["id"]).columns["id"].text() == ["a/1", "a/2", "a/3", "a/4"]
    cells = opened(roots).read(["image"]).columns["image"].cells()
    assert cells[3] == "a/4.png"
    answers = []
    for target in (tmp_path / "secret.png", tmp_path / "none.png", folder.parent, Path("/")):
        (folder / "6.png").symlink_to(target)
        answers.append(refused(roots))
        (folder / "6.png").unlink()
        (tmp_path / "secret.png").write_bytes(b"x")
    assert {issue.code for issue in answers} == {"source.forbidden"}
    assert {issue.examples for issue in answers} == {("'a/6.png'",)}


def test_names_that_are_refused(roots: Roots) -> None:
    write(roots["data"], {"a/1.png": b"x", "a/b\nc.png": b"x"})
    assert refused(roots).examples == ("'a/b\\\\nc.png'",)


def test_more_files_than_are_read(roots: Roots) -> None:
    write(roots["data"], {f"a/{i}.png": b"x" for i in range(6)})
    with pytest.raises(DataError, match=r"source\.too_large"):
        open_source(FolderSource(uri="data://set"), roots, wanted=EVERYTHING, limits=Limits(files=5))


def test_files_are_listed_for_as_long_as_a_request_may_take(roots: Roots) -> None:
    write(roots["data"], {"a/1.png": b"x"})
    with pytest.raises(DataError) as raised:
        open_source(FolderSource(uri="data://set"), roots, wanted=EVERYTHING, limits=Limits(deadline=time.monotonic()))
    assert [(issue.code, issue.severity) for issue in raised.value.issues] == [("source.not_checked", "warning")]


def test_folders_in_folders_without_end(roots: Roots) -> None:
    write(roots["data"], {"/".join(["d"] * 20) + "/1.png": b"x"})
    assert refused(roots).code == "source.too_large"


def test_the_digest_is_of_names_labels_and_metadata(roots: Roots) -> None:
    write(roots["data"], {"a/1.png": b"x", "b/2.png": b"x"})
    seen = {opened(roots).digest()}
    write(roots["data"], {"b/3.png": b"x"})
    seen.add(opened(roots).digest())
    (roots["data"] / "set" / "b" / "3.png").rename(roots["data"] / "set" / "a" / "3.png")
    seen.add(opened(roots).digest())
    write(roots["data"], {"metadata.csv": "id\na/1\nb/2\na/3\n"})
    seen.add(opened(roots).digest())
    write(roots["data"], {"metadata.csv": "id,x\na/1,\nb/2,\na/3,\n"})
    seen.add(opened(roots).digest())
    assert len(seen) == 5
