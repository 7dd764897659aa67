"""Samples over HTTP: every type of modality on the examples' data, and files that mean harm."""

from __future__ import annotations

import io
import os
import shutil
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from core.data.previews import previewer
from examples.worked import clips, gestures, tickets
from tests.e2e.api.live import LiveApi, serve, toy_spec
from tests.e2e.api.test_bad_requests import assert_problem
from tests.hostile_media import setting_traps
from tests.unit.data.builders import clip_spec, png, tone, wav, write_csv
from tests.unit.data.builders import clips as clip_rows
from tests.unit.data.hostile.pictures import IMAGES

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
Start = Callable[..., AbstractContextManager[LiveApi]]


@pytest.fixture(scope="module")
def known(shared_api: LiveApi) -> dict[str, str]:
    """The examples' data sets, registered: name -> id."""
    root = shared_api.settings.data_roots["data"]
    for module in (clips, gestures, tickets):
        module.write(root)
    shutil.copytree(EXAMPLES / "digits", root / "digits")
    found = {}
    for name in ("clips", "digits", "gestures", "tickets"):
        spec = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
        body = {key: spec[key] for key in ("name", "dataset", "holdout", "seed") if key in spec}
        response = shared_api.client.post("/v1/datasets", json=body)
        assert response.status_code == 201, response.text
        found[name] = response.json()["id"]
    return found


def samples(api: LiveApi, dataset: str, **params: Any) -> dict[str, Any]:
    response = api.client.get(f"/v1/datasets/{dataset}/samples", params=params)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def first(api: LiveApi, dataset: str, modality: str, **params: Any) -> dict[str, Any]:
    value: dict[str, Any] = samples(api, dataset, limit=1, **params)["data"][0]["values"][modality]
    return value


# rows


def test_rows_in_pages_of_a_part_and_a_class(api: LiveApi, known: dict[str, str]) -> None:
    whole = samples(api, known["digits"])
    assert (whole["object"], len(whole["data"]), whole["total"], whole["changed"]) == ("list", 12, 1680, False)
    assert [row["row"] for row in whole["data"]] == list(range(12))
    assert (whole["has_more"], whole["next_after"]) == (True, "11")
    row = whole["data"][0]
    assert (row["object"], row["id"], row["part"], row["labels"]) == ("dataset.sample", "digit-0000", "train", ["0"])
    assert row["quantity"] is None

    page = samples(api, known["digits"], part="test", **{"class": "7"}, limit=50)
    assert {(row["part"], *row["labels"]) for row in page["data"]} == {("test", "7")}
    following = samples(api, known["digits"], part="test", **{"class": "7"}, after=page["next_after"], limit=50)
    rows = [row["row"] for row in (*page["data"], *following["data"])]
    assert rows == sorted(set(rows))
    assert (page["total"], len(rows), following["has_more"]) == (len(rows), len(rows), False)


def test_parts_are_those_of_the_statistics(api: LiveApi, known: dict[str, str]) -> None:
    for dataset in known.values():
        statistics = api.client.get(f"/v1/datasets/{dataset}").json()["statistics"]
        told = {part["name"]: part["rows"] for part in statistics["parts"]}
        assert {part: samples(api, dataset, part=part, limit=1)["total"] for part in told} == told


def test_beyond_the_last_row_there_is_an_empty_page(api: LiveApi, known: dict[str, str]) -> None:
    page = samples(api, known["gestures"], after=2**53 - 1)
    assert (page["data"], page["has_more"], page["next_after"], page["total"]) == ([], False, None, 960)


def test_an_answer_has_a_tag(api: LiveApi, known: dict[str, str]) -> None:
    path = f"/v1/datasets/{known['gestures']}/samples"
    tag = api.client.get(path).headers["etag"]
    assert api.client.get(path, headers={"if-none-match": tag}).status_code == 304


# values


def test_texts_and_tables(api: LiveApi, known: dict[str, str]) -> None:
    values = samples(api, known["tickets"], limit=1)["data"][0]["values"]
    table = (api.settings.data_roots["data"] / "tickets.csv").read_text().splitlines()
    head, cells = table[0].split(","), table[1].split(",")
    raw = dict(zip(head, cells, strict=True))
    assert values["message"] == {
        "type": "text",
        "missing": False,
        "error": None,
        "text": raw["message"],
        "characters": len(raw["message"]),
    }
    assert values["facts"]["columns"] == {
        "product": raw["product"],
        "hour": float(raw["hour"]),
        "attachments": float(raw["attachments"]),
    }


def test_series_and_vectors(api: LiveApi, known: dict[str, str]) -> None:
    values = samples(api, known["gestures"], limit=1)["data"][0]["values"]
    with np.load(api.settings.data_roots["data"] / "gestures.npz") as raw:
        imu, pose = raw["imu"][0], raw["pose"][0]
    assert values["imu"]["shape"] == [48, 3]
    assert [line["steps"] for line in values["imu"]["series"]] == [list(range(48))] * 3
    assert values["imu"]["series"][1]["values"] == pytest.approx(imu[:, 1].tolist())
    assert values["pose"]["length"] == 32
    assert values["pose"]["values"] == pytest.approx(pose[:12].tolist())
    assert values["pose"]["norm"] == pytest.approx(float(np.linalg.norm(pose)), rel=1e-5)


def test_pictures_and_sounds(api: LiveApi, known: dict[str, str]) -> None:
    row = samples(api, known["digits"], limit=1)["data"][0]
    place = f"/v1/datasets/{known['digits']}/samples/0"
    assert row["values"]["image"] == {
        "type": "image",
        "missing": False,
        "error": None,
        "bytes": 140,
        "width": 8,
        "height": 8,
        "mode": "L",
        "format": "PNG",
        "preview": f"{place}/image/preview",
    }
    sound = row["values"]["audio"]
    assert (sound["seconds"], sound["sample_rate"], sound["channels"], sound["format"]) == (0.6, 8000, 1, "FLAC")
    assert (sound["preview"], sound["sound"]) == (f"{place}/audio/preview", f"{place}/audio/sound")

    for modality in ("image", "audio"):
        shown = api.client.get(f"{place}/{modality}/preview")
        assert (shown.status_code, shown.headers["content-type"]) == (200, "image/png")
        assert shown.headers["x-content-type-options"] == "nosniff"
        assert shown.headers["cache-control"] == "private, max-age=300"
        with Image.open(io.BytesIO(shown.content), formats=["PNG"]) as picture:
            picture.load()
            assert max(picture.size) <= 512
        tag = {"if-none-match": shown.headers["etag"]}
        assert api.client.get(f"{place}/{modality}/preview", headers=tag).status_code == 304

    heard = api.client.get(sound["sound"])
    assert (heard.status_code, heard.headers["content-type"]) == (200, "audio/wav")
    with wave.open(io.BytesIO(heard.content)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, 8000, 4800)
    part = api.client.get(sound["sound"], headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, heard.content[4:8])
    assert part.headers["content-range"] == f"bytes 4-7/{len(heard.content)}"
    far = api.client.get(sound["sound"], headers={"range": "bytes=999999-"})
    assert_problem(far, 416, "request.range")


def test_a_thumbnail_shows_the_image(api: LiveApi, known: dict[str, str]) -> None:
    shown = api.client.get(f"/v1/datasets/{known['digits']}/samples/0/image/preview")
    with Image.open(io.BytesIO(shown.content)) as small:
        seen = np.asarray(small)
    path = (EXAMPLES / "digits" / "manifest.csv").read_text().splitlines()[:2]
    row = dict(zip(path[0].split(","), path[1].split(","), strict=True))
    with Image.open(EXAMPLES / "digits" / row["image"]) as file:
        own = np.asarray(file.convert("L"))
    assert np.array_equal(seen[::8, ::8], own)


def test_videos(api: LiveApi, known: dict[str, str]) -> None:
    value = first(api, known["clips"], "clip")
    assert (value["width"], value["height"], value["seconds"], value["frames"]) == (48, 48, 1.0, 12)
    strip = api.client.get(value["preview"])
    with Image.open(io.BytesIO(strip.content), formats=["PNG"]) as picture:
        assert picture.size == (4 * 48 + 3 * 2, 48)
    assert_problem(api.client.get(value["preview"].replace("preview", "sound")), 404, "preview.not_found")


# what is asked wrongly


def test_what_is_not_there(api: LiveApi, known: dict[str, str]) -> None:
    digits, tickets_id = known["digits"], known["tickets"]
    for path, code in (
        ("ds_01NOSUCH/samples", "dataset.not_found"),
        ("ds_01NOSUCH/samples/0/image/preview", "dataset.not_found"),
        ("ds_%00/samples/0/image/preview", "dataset.not_found"),
        (f"{digits}/samples/1680/image/preview", "sample.not_found"),
        (f"{digits}/samples/0/picture/preview", "modality.not_found"),
        (f"{digits}/samples/0/%2e%2e/preview", "modality.not_found"),
        (f"{digits}/samples/0/image/sound", "preview.not_found"),
        (f"{tickets_id}/samples/0/message/preview", "preview.not_found"),
    ):
        assert_problem(api.client.get(f"/v1/datasets/{path}"), 404, code)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("part=dev", "part"),
        ("limit=0", "limit"),
        ("limit=51", "limit"),
        ("after=-1", "after"),
        ("after=x", "after"),
        (f"after={2**63}", "after"),
        (f"class={'x' * 501}", "class"),
    ],
)
def test_a_wrong_parameter_is_named(api: LiveApi, known: dict[str, str], query: str, name: str) -> None:
    body = assert_problem(api.client.get(f"/v1/datasets/{known['digits']}/samples?{query}"), 422, "request.invalid")
    assert [error["parameter"] for error in body["errors"]] == [name]


def test_a_class_that_there_is_not(api: LiveApi, known: dict[str, str]) -> None:
    path = f"/v1/datasets/{known['tickets']}/samples"
    body = assert_problem(api.client.get(path, params={"class": "tecnical"}), 422, "dataset.unknown_class")
    assert body["hint"] == "did you mean 'technical'?"
    assert_problem(api.client.get(path, params={"class": "\x00"}), 422, "dataset.unknown_class")


# files that mean harm, and files that are gone


@pytest.fixture
def mixed(api: LiveApi, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A data set of sounds and pictures of this test's own, registered: its id and its folder."""
    folder = api.settings.data_roots["data"] / tmp_path.name
    rows = clip_rows(folder)
    write_csv(folder / "manifest.csv", rows)
    spec = clip_spec(source={"type": "manifest", "uri": f"data://{tmp_path.name}/manifest.csv"})
    response = api.client.post("/v1/datasets", json={"dataset": spec})
    assert response.status_code == 201, response.text
    yield response.json()["id"], folder
    shutil.rmtree(folder)


def shown(api: LiveApi, dataset: str, row: int, modality: str) -> Any:
    return api.client.get(f"/v1/datasets/{dataset}/samples/{row}/{modality}/preview")


def test_hostile_files_are_told_and_do_no_harm(api: LiveApi, mixed: tuple[str, Path], tmp_path: Path) -> None:
    dataset, folder = mixed
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(np.zeros((4, 4), dtype=np.uint8)))
    (folder / "0.png").unlink()
    (folder / "0.png").symlink_to(secret)
    (folder / "1.png").write_bytes(IMAGES["2.5 billion pixels of zeros"][0])
    (folder / "2.png").write_text("a text <script>alert(1)</script>")
    (folder / "3.png").write_bytes(IMAGES["a text of 600 MB"][0])
    (folder / "4.png").unlink()
    os.mkfifo(folder / "5.png.pipe")
    (folder / "5.png").unlink()
    (folder / "5.png").symlink_to(folder / "5.png.pipe")
    (folder / "6.png").write_bytes(b"")
    (folder / "0.wav").write_bytes(wav(tone(440.0))[:900])
    (folder / "1.wav").write_bytes(b"RIFF\xff\xff\xff\xffWAVE")
    (folder / "2.wav").unlink()
    (folder / "2.wav").symlink_to("/etc/passwd")

    rows = samples(api, dataset, limit=8)["data"]
    assert [row["id"] for row in rows] == [f"clip-{k:02d}" for k in range(8)]
    faces = [(row["values"]["face"]["error"] or {}).get("code") for row in rows]
    assert faces == [
        "source.forbidden",
        "file.too_large",
        "file.format",
        "file.undecodable",
        "file.missing",
        "file.missing",
        "file.truncated",
        None,
    ]
    voices = [(row["values"]["voice"]["error"] or {}).get("code") for row in rows]
    assert voices[:4] == ["file.truncated", "file.undecodable", "source.forbidden", None]
    assert all(row["values"]["face"].get("preview") is None for row in rows[:7])
    for row, code in enumerate(faces[:7]):
        status = 404 if code == "file.missing" else 422
        body = assert_problem(shown(api, dataset, row, "face"), status, code)
        assert str(tmp_path) not in str(body)
    for row, code in enumerate(voices[:3]):
        assert_problem(shown(api, dataset, row, "voice"), 422, code)
        assert_problem(api.client.get(f"/v1/datasets/{dataset}/samples/{row}/voice/sound"), 422, code)
    assert shown(api, dataset, 7, "face").status_code == 200
    assert api.client.get("/readyz").status_code == 200


def test_a_damaged_picture_is_known_when_it_is_decoded(api: LiveApi, mixed: tuple[str, Path]) -> None:
    dataset, folder = mixed
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    (folder / "0.png").write_bytes(png(noise)[:2000])
    value = first(api, dataset, "face")
    assert (value["error"], value["width"]) == (None, 64)
    body = assert_problem(shown(api, dataset, 0, "face"), 422, "file.truncated")
    assert body["hint"] == "the file ends before its contents do; copy it again"


def test_large_ones_come_small(api: LiveApi, mixed: tuple[str, Path]) -> None:
    dataset, folder = mixed
    (folder / "0.png").write_bytes(png(np.zeros((1000, 3000, 3), dtype=np.uint8)))
    (folder / "0.wav").write_bytes(wav(tone(440.0, seconds=15.0, rate=48_000), rate=48_000))
    with Image.open(io.BytesIO(shown(api, dataset, 0, "face").content)) as small:
        assert small.size == (256, 85)
    with Image.open(io.BytesIO(shown(api, dataset, 0, "voice").content)) as picture:
        assert picture.size == (400, 128)  # four seconds (max_seconds), a frame each 10 ms
    heard = api.client.get(f"/v1/datasets/{dataset}/samples/0/voice/sound")
    with wave.open(io.BytesIO(heard.content)) as file:
        assert (file.getframerate(), file.getnframes()) == (48_000, 192_000)


def test_data_that_changed_are_told(api: LiveApi, mixed: tuple[str, Path]) -> None:
    dataset, folder = mixed
    table = (folder / "manifest.csv").read_text()
    assert samples(api, dataset)["changed"] is False
    (folder / "manifest.csv").write_text(table.replace("clip-00", "clip-xx"))
    page = samples(api, dataset)
    assert (page["changed"], page["data"][0]["id"]) == (True, "clip-xx")
    (folder / "manifest.csv").write_text(table.replace("picture", "image"))
    body = assert_problem(api.client.get(f"/v1/datasets/{dataset}/samples"), 409, "dataset.unreadable")
    assert [(error["code"], error["pointer"]) for error in body["errors"]] == [
        ("column.missing", "#/dataset/modalities/1/column")
    ]
    (folder / "manifest.csv").unlink()
    body = assert_problem(shown(api, dataset, 0, "face"), 409, "dataset.unreadable")
    assert [error["code"] for error in body["errors"]] == ["source.not_found"]


def test_rows_that_a_job_would_drop_belong_to_no_part(api: LiveApi) -> None:
    folder = api.settings.data_roots["data"] / "dropping"
    rows = clip_rows(folder)
    rows[0]["label"] = rows[4]["sound"] = ""
    (folder / "5.png").write_text("no picture")
    write_csv(folder / "manifest.csv", rows)
    spec = clip_spec(
        source={"type": "manifest", "uri": "data://dropping/manifest.csv"},
        on_bad_sample={"action": "drop", "max_fraction": 0.5},
    )
    made = api.client.post("/v1/datasets", json={"dataset": spec})
    assert made.status_code == 201, made.text
    page = samples(api, made.json()["id"], limit=24)
    assert [row["row"] for row in page["data"] if row["part"] is None] == [0, 4, 5]
    assert page["data"][0]["labels"] == []
    assert page["data"][4]["values"]["voice"] == {
        **dict.fromkeys(("bytes", "seconds", "sample_rate", "channels", "format", "preview", "sound")),
        "type": "audio",
        "missing": True,
        "error": None,
    }
    assert page["data"][5]["values"]["face"]["error"]["code"] == "file.format"
    assert_problem(shown(api, made.json()["id"], 4, "voice"), 404, "value.missing")
    told = {part["name"]: part["rows"] for part in made.json()["statistics"]["parts"]}
    assert {part: samples(api, made.json()["id"], part=part)["total"] for part in told} == told


def test_strange_cells(api: LiveApi) -> None:
    folder = api.settings.data_roots["data"] / "strange"
    rows = [
        {"y": "ab"[k % 2], "n": k, "t": f"text {k}", "long": "é" * 900, "html": "<img src=x onerror=alert(1)>"}
        for k in range(20)
    ]
    rows[0] |= {"n": "", "t": ""}
    write_csv(folder / "t.csv", rows)
    spec = {
        "source": {"type": "manifest", "uri": "data://strange/t.csv"},
        "target": {"column": "y"},
        "modalities": [
            {"name": "n", "type": "tabular", "columns": [{"name": "n", "type": "number"}], "missing": "mask"},
            {"name": "t", "type": "text", "column": "t", "missing": "mask"},
            {"name": "all", "type": "text", "columns": ["html", "long"]},
        ],
    }
    made = api.client.post("/v1/datasets", json={"dataset": spec})
    assert made.status_code == 201, made.text
    values = samples(api, made.json()["id"], limit=2)["data"]
    assert (values[0]["values"]["n"]["missing"], values[0]["values"]["t"]["missing"]) == (True, True)
    assert values[1]["values"]["n"]["columns"] == {"n": 1.0}
    text = values[1]["values"]["all"]
    assert text["characters"] == len("<img src=x onerror=alert(1)>") + 1 + 900
    assert (len(text["text"]), text["text"][:4]) == (500, "<img")


def test_regressions_and_sets_of_labels(api: LiveApi) -> None:
    folder = api.settings.data_roots["data"] / "kinds"
    rows = [{"y": f"{k / 4}", "l": ("a;b", "b", "a")[k % 3], "n": k, "m": -k} for k in range(40)]
    write_csv(folder / "t.csv", rows)

    def registered(target: dict[str, Any]) -> str:
        modalities = [
            {"name": name, "type": "tabular", "columns": [{"name": name, "type": "number"}]} for name in ("n", "m")
        ]
        spec = {"source": {"type": "manifest", "uri": "data://kinds/t.csv"}, "target": target, "modalities": modalities}
        response = api.client.post("/v1/datasets", json={"dataset": spec})
        assert response.status_code == 201, response.text
        made: str = response.json()["id"]
        return made

    numbers = registered({"column": "y", "type": "regression"})
    row = samples(api, numbers)["data"][3]
    assert (row["quantity"], row["labels"]) == (0.75, [])
    told = api.client.get(f"/v1/datasets/{numbers}/samples?class=1")
    assert assert_problem(told, 422, "dataset.unknown_class")["hint"] == "the target is a number"
    sets = registered({"column": "l", "type": "multilabel"})
    page = samples(api, sets, **{"class": "b"}, limit=3)
    assert [row["labels"] for row in page["data"]] == [["a", "b"], ["b"], ["a", "b"]]
    assert page["total"] == 27


# readers that die, and too many questions


def test_who_would_wait_too_long_is_sent_away(
    api: LiveApi, known: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previewer, "MOST_WAITING", 0)
    told = api.client.get(f"/v1/datasets/{known['digits']}/samples")
    assert_problem(told, 429, "preview.busy")
    assert int(told.headers["retry-after"]) > 0


def test_many_at_once_have_their_own_answers(api: LiveApi, known: dict[str, str]) -> None:
    def row_of(row: int) -> int:
        found: int = samples(api, known["digits"], after=row - 1, limit=1)["data"][0]["row"]
        return found

    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(row_of, range(1, 61))) == list(range(1, 61))


def test_a_reader_that_dies_or_hangs_costs_one_file(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", setting_traps(tmp_path / "traps"))
    with start(api={"preview_seconds": 20.0}) as api:
        folder = api.settings.data_roots["data"] / "clips"
        rows = clip_rows(folder)
        write_csv(folder / "manifest.csv", rows)
        spec = clip_spec()
        made = api.client.post("/v1/datasets", json={"dataset": spec}).json()["id"]
        for row, name in ((1, "crash.png"), (3, "hang.png")):
            rows[row]["picture"] = name
            (folder / name).write_bytes((folder / f"{row}.png").read_bytes())
        write_csv(folder / "manifest.csv", rows)
        found = samples(api, made, limit=5)["data"]
        assert [(row["values"]["face"]["error"] or {}).get("code") for row in found] == [
            None,
            "file.undecodable",
            None,
            "file.too_slow",
            None,
        ]
        assert found[1]["values"]["face"]["error"]["detail"] == "its reader crashed (SIGSEGV)"
        assert_problem(shown(api, made, 1, "face"), 422, "file.undecodable")
        assert shown(api, made, 0, "face").status_code == 200


def test_what_takes_too_long_is_given_up(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", setting_traps(tmp_path / "traps"))
    with start(api={"preview_seconds": 3.0}) as api:
        folder = api.settings.data_roots["data"] / "toy"
        made = api.client.post("/v1/datasets", json={"dataset": toy_spec()["dataset"]}).json()["id"]
        (folder / "hang.csv").write_bytes((folder / "manifest.csv").read_bytes())
        (folder / "manifest.csv").unlink()
        (folder / "manifest.csv").symlink_to("hang.csv")
        told = api.client.get(f"/v1/datasets/{made}/samples")
        assert_problem(told, 422, "preview.too_slow")
        assert api.client.get("/readyz").status_code == 200


def test_memory_is_bounded(make_settings: Callable[..., Any]) -> None:
    with serve(make_settings(api={"preview_memory_bytes": 2**28})) as api:
        folder = api.settings.data_roots["data"] / "large"
        folder.mkdir()
        rows = 300
        np.savez(
            folder / "a.npz",
            big=np.zeros((rows, 160_000), dtype=np.float64),
            small=np.zeros((rows, 3)) + np.arange(rows)[:, None],
            y=np.arange(rows) % 2,
        )
        spec = {
            "source": {"type": "arrays", "uri": "data://large/a.npz"},
            "target": {"column": "y"},
            "modalities": [{"name": name, "type": "embedding", "column": name} for name in ("big", "small")],
        }
        made = api.client.post("/v1/datasets", json={"dataset": spec})
        assert made.status_code == 201, made.text
        values = samples(api, made.json()["id"])["data"][1]["values"]
        assert values["big"]["error"]["code"] == "preview.too_large"
        assert values["small"]["values"] == [1.0, 1.0, 1.0]
        small = api.client.post("/v1/datasets", json={"dataset": toy_spec()["dataset"]}).json()["id"]
        assert samples(api, small)["total"] == 40
        assert api.client.get("/readyz").status_code == 200
