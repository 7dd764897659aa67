"""docs/sources.md is true: every example in it is prepared from small data, and every error code is listed."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save_file

from core.data.dataset import prepare
from core.data.validation import check
from tests.unit.data.builders import clips, job, write_csv
from tests.unit.data.saved import IMAGE, label, save_dict

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "sources.md").read_text()
SECTIONS = [section.split("\n", 1) for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]]
EXAMPLES = {title: text.split("```json\n")[1].split("```")[0] for title, text in SECTIONS if "```json" in text}


def manifests(data: Path) -> None:
    rows = clips(data / "clips", n=48)
    write_csv(data / "clips" / "manifest.csv", rows)
    for part in ("train", "val", "test"):
        write_csv(data / "clips" / f"{part}.csv", [row for row in rows if row["split"] == part])


def arrays_of(n: int = 40) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    draw = np.random.default_rng(0)
    return {
        "imu": draw.normal(size=(n, 7, 6)).astype(np.float32),
        "vector": draw.normal(size=(n, 5)).astype(np.float32),
        "y": (np.arange(n) % 2).astype(np.float32),
    }


def tensors(data: Path) -> None:
    (data / "arrays").mkdir()
    save_file(arrays_of(), data / "arrays" / "all.safetensors")


def class_folders(data: Path) -> None:
    for row in clips(data / "clips", n=48):
        for column in ("picture", "sound"):
            old = data / "clips" / row[column]
            new = data / "pets" / row["label"] / old.name
            new.parent.mkdir(parents=True, exist_ok=True)
            old.rename(new)


def modality_folders(data: Path) -> None:
    lines = ["id,label,age"]
    for folder in ("rgb", "mic"):
        (data / "takes" / folder).mkdir(parents=True)
    for number, row in enumerate(clips(data / "clips", n=48)):
        (data / "clips" / row["picture"]).rename(data / "takes" / "rgb" / row["picture"])
        (data / "clips" / row["sound"]).rename(data / "takes" / "mic" / row["sound"])
        lines.append(f"{number},{row['label']},{20 + number % 30}")
    (data / "takes" / "metadata.csv").write_text("\n".join(lines))


def shards(data: Path) -> None:
    rows = clips(data / "clips", n=48, speakers=12)
    (data / "shards").mkdir()
    for number in range(2):
        with tarfile.open(data / "shards" / f"train-{number:04d}.tar", "w") as tar:
            for index in range(24 * number, 24 * (number + 1)):
                for extension in ("png", "wav"):
                    tar.add(data / "clips" / f"{index}.{extension}", f"{index:04d}.{extension}")
                for extension, text in (("cls", rows[index]["label"]), ("json", json.dumps(rows[index]))):
                    info = tarfile.TarInfo(f"{index:04d}.{extension}")
                    info.size = len(text)
                    tar.addfile(info, io.BytesIO(text.encode()))


def saved(data: Path) -> None:
    rows = clips(data / "clips", n=48)
    features = {"label": label("a", "b", "c"), "image": {"_type": "Image"}, "audio": {"_type": "Audio"}}
    parts = {}
    for name, split in (("train", "train"), ("validation", "val"), ("test", "test")):
        own = [row for row in rows if row["split"] == split]
        cells = {
            column: [{"bytes": (data / "clips" / row[file]).read_bytes(), "path": row[file]} for row in own]
            for column, file in (("image", "picture"), ("audio", "sound"))
        }
        files = {column: pa.array(values, IMAGE) for column, values in cells.items()}
        parts[name] = pa.table({"label": ["abc".index(row["label"]) for row in own], **files})
    save_dict(data / "digits", parts, features)


MAKERS: dict[str, Callable[[Path], None]] = {
    "A manifest": manifests,
    "A folder: class folders": class_folders,
    "A folder: one per modality": modality_folders,
    "Arrays": tensors,
    "A saved Hugging Face data set": saved,
    "WebDataset shards": shards,
    "By column": manifests,
    "By files": manifests,
    "By hash": manifests,
}


def test_every_example_has_data() -> None:
    assert sorted(EXAMPLES) == sorted(MAKERS)
    assert PAGE.count("```json") == len(EXAMPLES)


@pytest.mark.parametrize("title", sorted(MAKERS))
def test_the_example_is_prepared(title: str, tmp_path: Path) -> None:
    MAKERS[title](tmp_path)
    spec = job(json.loads(EXAMPLES[title]))
    roots = {"data": tmp_path}
    issues = check(spec.dataset, spec.holdout, roots)
    assert [issue for issue in issues if issue.severity == "error"] == []
    data = prepare(spec, roots)
    assert len(data.split.train) > 0
    assert len(data.split.test) > 0


def test_every_code_of_a_source_is_listed() -> None:
    """Whatever the code raises under these names is in the table, and the table has no others."""
    code = "".join(path.read_text() for path in (ROOT / "core" / "data").rglob("*.py"))
    raised = set(re.findall(r'"(source\.[a-z_]+|split\.no_id)"', code))
    listed = set(re.findall(r"^\| `([a-z_.]+)` \|", PAGE, re.MULTILINE))
    assert raised - listed == set()
    assert [name for name in listed if name.startswith("source.") and name not in raised] == []
