"""Data sets on an S3 (moto's server): from listings, through the mirror."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import s3fs
from safetensors.numpy import save_file

from api.doctor.machine import check_remote_roots
from core.data import dataset
from core.data.dataset import prepare
from core.data.inference import infer
from core.data.inspection import inspect
from core.data.previews.previewer import Previewer, Shelved
from core.data.remote import RemoteBlob, Shelf, client, fetching_ahead
from core.data.remote.mirror import Mirror
from core.data.sources import Limits, open_source
from core.data.validation import CheckLimits, check
from core.errors import DataError
from core.settings import RootSettings, Settings
from core.spec.registration import DatasetRegistration
from core.spec.sources import ManifestSource
from tests.s3_server import S3_KEY, S3_SECRET, S3Server
from tests.unit.data.builders import clip_spec, clips, errors, job, only, warnings, write_csv
from tests.unit.data.test_shards import tar

PREFIX = "s3://gblend/sets"


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    """A local root, and everything below `sets/` in the bucket."""
    (tmp_path / "data").mkdir(exist_ok=True)
    return Settings(state_dir=tmp_path, roots=RootSettings(remote=(PREFIX,))).data_roots


def put(server: S3Server, folder: Path) -> None:
    """Everything in a folder, below `sets/`."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            key = f"sets/{path.relative_to(folder).as_posix()}"
            server.client().put_object(Bucket=server.BUCKET, Key=key, Body=path.read_bytes())


def remote(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec with its source in the bucket."""
    return {**spec, "source": {**spec["source"], "uri": spec["source"]["uri"].replace("data:/", PREFIX)}}


def copies(tmp_path: Path) -> list[Path]:
    """What the mirror holds."""
    return sorted(tmp_path.glob("mirror/objects/*/*/*"))


@pytest.fixture
def clip_set(s3_server: S3Server, tmp_path: Path) -> Path:
    """Sounds and images, in the local root and in the bucket."""
    folder = tmp_path / "data" / "clips"
    write_csv(folder / "manifest.csv", clips(folder))
    put(s3_server, tmp_path / "data")
    return folder


@contextmanager
def requests_seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """What is asked of the store."""
    seen: list[tuple[str, str]] = []
    real = client.Client._ask

    def noting(self: Any, what: str, *arguments: Any, **named: Any) -> Any:
        seen.append((what, arguments[0]))
        return real(self, what, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(client.Client, "_ask", noting)
        yield seen


@pytest.mark.usefixtures("clip_set")
def test_a_manifest_with_media_is_prepared_like_the_same_bytes_on_this_disk(
    roots: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = job(clip_spec()), job(remote(clip_spec()))
    local, far = prepare(here, roots), prepare(there, roots)
    rows = np.arange(24)
    for name, values in local.batch(rows).items():
        np.testing.assert_array_equal(far.batch(rows)[name], values)
    assert len(copies(tmp_path)) == 49
    # All that differs is the spec's words: digests of source and media, and the split, are the same.
    assert far.fingerprint != local.fingerprint
    monkeypatch.setattr(dataset, "dataset_fingerprint", lambda spec, *_, **told: repr(told))
    assert prepare(there, roots).fingerprint == prepare(here, roots).fingerprint


@pytest.mark.usefixtures("clip_set")
def test_a_look_at_it_lists_each_folder_and_fetches_the_manifest_alone(
    roots: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finding,) = check_remote_roots(Settings(state_dir=tmp_path, roots=RootSettings(remote=(PREFIX,))))
    assert finding.status == "ok"
    spec = job(remote(clip_spec()))
    with requests_seen(monkeypatch) as seen:
        assert check(spec.dataset, spec.holdout, roots) == []
    assert [path.name for path in copies(tmp_path)] == ["manifest.csv"]
    assert {path for what, path in seen if what != "ls"} == {"gblend/sets/clips/manifest.csv"}
    assert [path for what, path in seen if what == "ls"] == ["gblend/sets/clips"] * 3  # the source, and each column
    found = inspect(spec.dataset, spec.holdout, roots)
    assert (found.is_valid, found.fingerprint is None) == (True, False)
    assert len(copies(tmp_path)) == 1


def test_missing_and_forbidden_files_are_told_as_on_this_disk(
    clip_set: Path, s3_server: S3Server, roots: dict[str, Path]
) -> None:
    rows = clips(clip_set)
    rows[3]["sound"], rows[4]["picture"] = "nowhere.wav", "../../secret.png"
    rows[5]["picture"], rows[6]["picture"] = "s3://gblend/other/1.png", f"{PREFIX}/clips/6.png"
    write_csv(clip_set / "manifest.csv", rows)
    put(s3_server, clip_set.parent)
    spec = job(remote(clip_spec()))
    expected = [
        ("source.forbidden", "#/dataset/modalities/1/column"),
        ("file.missing", "#/dataset/modalities/0/column"),
    ]
    found = check(spec.dataset, spec.holdout, roots)
    assert errors(found) == expected
    assert only(found, "source.forbidden").count == 2
    with pytest.raises(DataError) as raised:
        prepare(spec, roots)
    assert errors(raised.value.issues) == expected


def test_an_object_that_has_changed_is_fetched_again(
    clip_set: Path, s3_server: S3Server, roots: dict[str, Path], tmp_path: Path
) -> None:
    spec = job(remote(clip_spec()))
    before = prepare(spec, roots)
    again = prepare(spec, roots)
    assert (again.fingerprint, len(copies(tmp_path))) == (before.fingerprint, 49)
    changed = bytearray((clip_set / "5.wav").read_bytes())
    changed[-2] ^= 1  # of the same size
    s3_server.client().put_object(Bucket=s3_server.BUCKET, Key="sets/clips/5.wav", Body=bytes(changed))
    assert prepare(spec, roots).fingerprint != before.fingerprint
    assert len(copies(tmp_path)) == 50


def test_arrays_shards_and_folders(s3_server: S3Server, roots: dict[str, Path], tmp_path: Path) -> None:
    data = tmp_path / "data"
    save_file({"y": np.arange(12) % 2, "v": np.ones((12, 3), dtype=np.float32)}, str(data / "all.safetensors"))
    folder = tmp_path / "made"
    made = clips(folder, 24, classes=2)
    for part in range(2):
        members: dict[str, bytes | str] = {}
        for index in range(12 * part, 12 * part + 12):
            members[f"{index:03}.png"] = (folder / f"{index}.png").read_bytes()
            members[f"{index:03}.wav"] = (folder / f"{index}.wav").read_bytes()
            members[f"{index:03}.cls"] = made[index]["label"]
            label = data / "pets" / made[index]["label"]
            label.mkdir(parents=True, exist_ok=True)
            (label / f"{index}.png").write_bytes((folder / f"{index}.png").read_bytes())
            (label / f"{index}.wav").write_bytes((folder / f"{index}.wav").read_bytes())
        (data / "shards").mkdir(exist_ok=True)
        tar(data / "shards" / f"train-{part:04}.tar", members)
    put(s3_server, data)
    media = [{"name": "seen", "type": "image"}, {"name": "heard", "type": "audio", "preprocess": {"sample_rate": 8000}}]
    for source, target, columns in (
        ({"type": "webdataset", "uri": "data://shards/train-{0000..0001}.tar"}, "cls", ("png", "wav")),
        ({"type": "webdataset", "uri": "data://shards"}, "cls", ("png", "wav")),
        ({"type": "webdataset", "uri": "data://shards/train-*.tar"}, "cls", ("png", "wav")),
        ({"type": "folder", "uri": "data://pets"}, "label", ("image", "audio")),
    ):
        modalities = [{**each, "column": column} for each, column in zip(media, columns, strict=True)]
        here = {"source": source, "target": {"column": target}, "modalities": modalities}
        local, far = prepare(job(here), roots), prepare(job(remote(here)), roots)
        assert far.sample_ids == local.sample_ids
        for name, values in local.batch(np.arange(24)).items():
            np.testing.assert_array_equal(far.batch(np.arange(24))[name], values)
        assert far.source_rows.tolist() == local.source_rows.tolist()
    arrays = open_source(
        job(
            {
                "source": {"type": "arrays", "uri": f"{PREFIX}/all.safetensors"},
                "target": {"column": "y"},
                "modalities": [
                    {"name": "a", "type": "embedding", "column": "v"},
                    {"name": "b", "type": "embedding", "column": "v"},
                ],
            }
        ).dataset.source,
        roots,
        wanted=("y",),
    )
    assert (arrays.rows, sorted(arrays.headers)) == (12, ["v", "y"])
    assert infer(f"{PREFIX}/pets", roots).dataset["source"] == {"type": "folder", "uri": f"{PREFIX}/pets"}
    assert infer(f"{PREFIX}/shards", roots).dataset["source"] == {"type": "webdataset", "uri": f"{PREFIX}/shards"}


@pytest.mark.usefixtures("clip_set")
def test_what_is_too_large_is_refused_or_left_to_the_worker_before_a_byte_is_fetched(
    roots: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = job(remote(clip_spec()))
    with requests_seen(monkeypatch) as seen:
        refused = check(spec.dataset, spec.holdout, roots, limits=CheckLimits(source=Limits(text_bytes=100)))
        assert errors(refused) == [("source.too_large", "#/dataset/source/uri")]
        refused = check(spec.dataset, spec.holdout, roots, limits=CheckLimits(source=Limits(fetched_bytes=100)))
        assert errors(refused) == [("source.too_large", "#/dataset/source/uri")]
        left = check(spec.dataset, spec.holdout, roots, limits=CheckLimits(source=Limits(fetched_now=100)))
        assert (errors(left), warnings(left)) == ([], ["source.not_checked"])
        late = check(spec.dataset, spec.holdout, roots, limits=CheckLimits(source=Limits(fetch_seconds=1e-9)))
        assert (errors(late), warnings(late)) == ([], ["source.not_checked"])
    assert {what for what, _ in seen} == {"ls"}
    assert copies(tmp_path) == []


def test_many_at_once_fetch_one_whole_copy(s3_server: S3Server, roots: dict[str, Path], tmp_path: Path) -> None:
    body = os.urandom(300_000)
    for number in range(20):
        s3_server.client().put_object(Bucket=s3_server.BUCKET, Key=f"sets/{number}.bin", Body=body)

    def read(number: int) -> bytes:
        blob = Shelf(roots).at(roots[PREFIX]).blob(roots[PREFIX] / f"{number % 20}.bin")
        assert blob is not None
        with blob.open() as file:
            return file.read()

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(read, range(60))) == [body] * 60
    assert len(copies(tmp_path)) == 20
    assert list(tmp_path.glob("mirror/partial/*")) == []


def test_downloads_run_ahead_of_who_opens(s3_server: S3Server, roots: dict[str, Path], tmp_path: Path) -> None:
    for number in range(30):
        s3_server.client().put_object(Bucket=s3_server.BUCKET, Key=f"sets/{number}.bin", Body=b"x")
    files = Shelf(roots).at(roots[PREFIX])
    blobs = [files.blob(roots[PREFIX] / f"{number}.bin") for number in range(30)]
    with fetching_ahead(blobs) as watched:
        assert watched[0] is not None
        watched[0].open().close()
        _until(lambda: len(copies(tmp_path)) == 30)
    assert "fetch" not in {thread.name for thread in threading.enumerate()}


def test_a_download_that_is_cut_off_is_never_seen(
    s3_server: S3Server, roots: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_server.client().put_object(Bucket=s3_server.BUCKET, Key="sets/a.bin", Body=b"x" * 1000)
    real = client.Client.download
    cut: list[Path] = []

    def cutting(self: client.Client, url: str, target: Path, **named: Any) -> None:
        real(self, url, target, **named)
        os.truncate(target, 500)
        cut.append(target)

    blob = Shelf(roots).at(roots[PREFIX]).blob(roots[PREFIX] / "a.bin")
    assert isinstance(blob, RemoteBlob)
    with monkeypatch.context() as patch:
        patch.setattr(client.Client, "download", cutting)
        with pytest.raises(DataError, match=r"source\.unreadable"):
            blob.open()
    assert len(cut) == 3
    assert copies(tmp_path) == []
    assert list(tmp_path.glob("mirror/partial/*")) == []
    with blob.open() as file:
        assert len(file.read()) == 1000


def test_an_object_that_goes_after_the_listing_is_missing(
    s3_server: S3Server, roots: dict[str, Path], tmp_path: Path
) -> None:
    s3_server.client().put_object(Bucket=s3_server.BUCKET, Key="sets/a.bin", Body=b"x")
    blob = Shelf(roots).at(roots[PREFIX]).blob(roots[PREFIX] / "a.bin")
    assert blob is not None
    s3_server.client().delete_object(Bucket=s3_server.BUCKET, Key="sets/a.bin")
    with pytest.raises(FileNotFoundError):
        blob.open()
    assert Shelf(roots).at(roots[PREFIX]).blob(roots[PREFIX] / "a.bin") is None


def test_the_mirror_forgets_what_was_not_used_for_the_longest_time_but_nothing_in_use(
    s3_server: S3Server, roots: dict[str, Path], tmp_path: Path
) -> None:
    files = Shelf(roots).at(roots[PREFIX])
    for number in range(4):
        s3_server.client().put_object(Bucket=s3_server.BUCKET, Key=f"sets/{number}.bin", Body=b"x" * 100)
    fetched = files.fetch([roots[PREFIX] / "0.bin"], Limits())
    for number in range(1, 4):
        blob = files.blob(roots[PREFIX] / f"{number}.bin")
        assert blob is not None
        blob.open().close()
    for path in copies(tmp_path):
        age = 100 - int(path.stem)
        os.utime(path, (path.stat().st_atime - age, path.stat().st_mtime - age))
    mirror = Mirror(tmp_path / "mirror")
    assert mirror.shrink(400) == 0
    assert mirror.shrink(250) == 200
    assert sorted(path.name for path in copies(tmp_path)) == ["0.bin", "3.bin"]
    assert mirror.shrink(0) == 100
    assert fetched.paths[0].read_bytes() == b"x" * 100
    del fetched
    assert mirror.shrink(0) == 100
    assert list(tmp_path.glob("mirror/leases/*")) == []


class _Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(403)
        body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, s3_server: S3Server) -> Iterator[Callable[[str], None]]:
    """Leads this process's S3 client elsewhere; clients of before are forgotten."""

    def forget() -> None:
        client._client.cache_clear()
        s3fs.S3FileSystem.clear_instance_cache()

    def lead(url: str) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        forget()

    yield lead
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    forget()


def test_a_store_that_refuses_or_is_away_is_told_with_a_way_out_and_no_secret(
    roots: dict[str, Path], endpoint: Callable[[str], None], tmp_path: Path
) -> None:
    spec = job(remote(clip_spec()))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        endpoint(f"http://127.0.0.1:{server.server_port}")
        refused = check(spec.dataset, spec.holdout, roots)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert errors(refused) == [("source.unreadable", "#/dataset/source/uri")]
    assert "refuses access" in refused[0].detail
    endpoint(f"http://127.0.0.1:{server.server_port}")  # nobody listens any more
    away = check(spec.dataset, spec.holdout, roots)
    assert errors(away) == [("source.unavailable", "#/dataset/source/uri")]
    assert "credentials" in str(away[0].hint)
    (finding,) = check_remote_roots(Settings(state_dir=tmp_path, roots=RootSettings(remote=(PREFIX,))))
    assert (finding.status, finding.check) == ("problem", f"data at {PREFIX}")
    assert S3_SECRET not in f"{refused}{away}"
    assert S3_KEY not in f"{refused}{away}"


def test_another_bucket_and_nothing_there(s3_server: S3Server, roots: dict[str, Path]) -> None:
    nowhere = ManifestSource(uri=f"{PREFIX}/none.csv")
    with pytest.raises(DataError, match=r"source\.not_found"):
        open_source(nowhere, roots, wanted=())
    other = {**roots, "s3://no-such-bucket": replace_root(roots)}
    with pytest.raises(DataError, match=r"source\.not_found"):
        open_source(replace_uri("s3://no-such-bucket/a.csv"), other, wanted=())
    assert s3_server.stored() == []


def replace_root(roots: dict[str, Path]) -> Path:
    """The path of another bucket, beside the first one's."""
    return roots[PREFIX].parents[1] / "no-such-bucket"


def replace_uri(uri: str) -> ManifestSource:
    """A manifest somewhere else."""
    return ManifestSource(uri=uri)


_WITHOUT_S3FS = """
import sys
from pathlib import Path
sys.modules["s3fs"] = None  # as if it were not installed
from core.data.remote import Shelf
from core.errors import DataError
root = Path("/none/remote/s3/bucket")
try:
    Shelf({"s3://bucket": root}).at(root).is_folder(root)
except DataError as error:
    print(error.code, "|", error.detail, "|", error.hint)
"""


def test_a_missing_package_is_named() -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", _WITHOUT_S3FS], cwd=root, capture_output=True, text=True, check=False)
    said = "source.backend | no package is installed here that speaks s3:// | pip install 'gblend[s3]'\n"
    assert (done.stdout, done.returncode) == (said, 0), done.stderr


def _until(done: Callable[[], bool]) -> None:
    event = threading.Event()
    for _ in range(300):
        if done():
            return
        event.wait(0.05)
    raise AssertionError("it did not happen within 15 seconds")


def test_a_split_by_files_and_a_folder_with_metadata(
    s3_server: S3Server, roots: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "clips"
    rows = clips(folder)
    for part in ("train", "val", "test"):
        write_csv(folder / f"{part}.csv", [row for row in rows if row["split"] == part])
    write_csv(folder / "metadata.csv", [{"file_name": row["picture"], "label": row["label"]} for row in rows])
    put(s3_server, tmp_path / "data")
    split = {"method": "files", "train": "train.csv", "validation": "val.csv", "test": "test.csv"}
    by_files = clip_spec(source={"type": "manifest", "uri": "data://clips"}, split=split)
    by_folder = {
        "source": {"type": "folder", "uri": "data://clips"},
        "target": {"column": "label"},
        "modalities": [
            {"name": "voice", "type": "audio", "column": "audio", "preprocess": {"sample_rate": 8000, "mels": 16}},
            {"name": "face", "type": "image", "column": "image"},
        ],
    }
    for spec in (by_files, by_folder):
        local, far = prepare(job(spec), roots), prepare(job(remote(spec)), roots)
        assert far.sample_ids == local.sample_ids
        for part, wanted in local.split.as_dict().items():
            assert far.split.as_dict()[part].tolist() == wanted.tolist()
    both = {**split, "test": "val.csv"}
    leaking = job(remote(clip_spec(source=by_files["source"], split=both)))
    assert errors(check(leaking.dataset, leaking.holdout, roots)) == [("split.leak", "#/dataset/split/test")]


def test_samples_of_a_page_are_not_fetched_before_they_are_seen(
    clip_set: Path, roots: dict[str, Path], tmp_path: Path
) -> None:
    registration = DatasetRegistration.model_validate({"dataset": remote(clip_spec())}).resolved()
    data = Shelved(id="ds_remote", registration=registration, roots=roots)
    previewer = Previewer(processes=1, seconds=60.0, memory_bytes=2**31)
    try:
        rows = previewer.rows(data, part=None, name=None, after=None, limit=3)["rows"]
        size = (clip_set / "0.png").stat().st_size
        assert rows[0]["values"]["face"] == {"type": "image", "missing": False, "error": None, "bytes": size}
        assert [path.name for path in copies(tmp_path)] == ["manifest.csv"]
        assert previewer.shown(data, "picture", 0, "face").startswith(b"\x89PNG")
        assert [path.name for path in copies(tmp_path)] == ["0.png", "manifest.csv"]
    finally:
        previewer.close()
