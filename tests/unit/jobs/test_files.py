"""Journals, run directories, the artifact store, the embedded transport: files that others write meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from queue import Empty
from typing import Any

import kombu
import pytest
from pydantic import ValidationError

from core.artifacts import ArtifactStore
from core.data.hub_access import HubAccess
from core.errors import ArtifactError, NotFoundError
from core.events import ArtifactWritten, encode
from core.jobs.lease import Lease, StoredEstimate
from core.settings import DataSettings
from tests.integration.engine.samples import run
from worker import embedded_transport
from worker.journal import JournalTail
from worker.rundir import RunDirectory, sweep


def _lease(fence: int) -> Lease:
    return Lease(unit_id="unit_1", job_id="job_1", fence=fence, owner="w", attempt=fence, recorded=0, spec={"seed": 7})


def test_a_tail_hands_out_whole_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = JournalTail(path)
    assert tail.read() == []
    entries = run(2)
    lines = [encode(entry) for entry in entries]
    path.write_bytes(lines[0] + lines[1][:7])
    assert tail.read() == entries[:1]
    assert tail.read() == []
    with path.open("ab") as file:
        file.write(lines[1][7:] + b"".join(lines[2:]))
    assert tail.read() == entries[1:]


def test_a_tail_reads_a_long_journal_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    entries = run(50)
    path.write_bytes(b"".join(encode(entry) for entry in entries))
    tail = JournalTail(path)
    parts = []
    while part := tail.read(limit_bytes=1000):
        parts.append(part)
    assert [entry for part in parts for entry in part] == entries
    assert len(parts) > 10


def test_a_line_that_is_no_entry_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"number": 1, "event": {"type": "surprise"}}\n')
    with pytest.raises(ValidationError):
        JournalTail(path).read()


def test_run_directories_name_earlier_ones_newest_first(tmp_path: Path) -> None:
    roots = {"data": tmp_path / "data"}
    for fence in (1, 2, 10):
        directory = RunDirectory.create(
            tmp_path, _lease(fence), roots, checkpoint_seconds=7.5, loading=DataSettings(decode_processes=3)
        )
    given = json.loads((directory.path / "spec.json").read_text())
    assert given == {
        "job_id": "job_1",
        "spec": {"seed": 7},
        "roots": {"data": str(tmp_path / "data")},
        "resume_from": [str(tmp_path / "job_1" / "2"), str(tmp_path / "job_1" / "1")],
        "checkpoint_seconds": 7.5,
        "loading": {"decode_processes": 3, "file_seconds": 60.0, "memory_bytes": 2147483648, "store_seconds": 60.0},
    }
    assert directory.progress() is None
    assert directory.log_tail() == []
    directory.log.write_bytes(b"".join(b"line %d\n" % n for n in range(5000)) + b"\xff\x00")
    assert directory.log_tail(2) == ["line 4999", "\ufffd\ufffd"]


def test_a_training_is_told_what_data_its_job_began_with(tmp_path: Path) -> None:
    lease = replace(_lease(2), dataset_fingerprint="sha256:1")
    given = json.loads((RunDirectory.create(tmp_path, lease, {}).path / "spec.json").read_text())
    assert given["dataset_fingerprint"] == "sha256:1"


def test_a_training_is_told_which_models_it_may_fetch(tmp_path: Path) -> None:
    access = HubAccess(allowed=("acme/*",), folder=tmp_path / "hub", most_bytes=7, endpoint="https://mirror.example")
    directory = RunDirectory.create(tmp_path, _lease(1), {}, hub=access)
    given = json.loads((directory.path / "spec.json").read_text())
    assert HubAccess.from_json(given["hub"]) == access


@pytest.mark.parametrize("content", [None, "no json", "[]"])
def test_a_failure_that_was_not_told_is_none(tmp_path: Path, content: str | None) -> None:
    directory = RunDirectory.create(tmp_path, _lease(1), {})
    if content is not None:
        (directory.path / "failure.json").write_text(content)
    assert directory.failure() is None


def test_an_artifact_outside_the_run_directory_is_refused(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path, _lease(1), {})
    written = ArtifactWritten(name="x", path="../../secret", kind="model", bytes=1, sha256="0")
    with pytest.raises(ArtifactError, match=r"artifact\.path"):
        directory.artifact(written)
    (directory.path / "link").symlink_to("/etc/passwd")
    with pytest.raises(ArtifactError, match=r"artifact\.path"):
        directory.artifact(written.model_copy(update={"path": "link"}))


def test_a_retry_names_the_run_directories_of_the_jobs_before_it(tmp_path: Path) -> None:
    for job, fence in (("job_8", 1), ("job_9", 3), ("job_9", 12), ("job_1", 1)):
        (tmp_path / job / str(fence)).mkdir(parents=True)
    lease = replace(_lease(2), retry_of=("job_9", "job_8", "job_7"))
    directory = RunDirectory.create(tmp_path, lease, {})
    given = json.loads((directory.path / "spec.json").read_text())
    assert given["resume_from"] == [str(tmp_path / each) for each in ("job_1/1", "job_9/12", "job_9/3", "job_8/1")]


def test_the_estimate_of_a_head_has_run_directories_of_its_own(tmp_path: Path) -> None:
    for name in ("job_1/1", "job_1/e0.1", "job_1/e1.1", "job_1/e1.2", "job_1/e11.1", "job_9/e1.7", "job_9/7"):
        (tmp_path / name).mkdir(parents=True)
    lease = replace(_lease(3), part="e1", head="image", retry_of=("job_9",))
    given = json.loads((RunDirectory.create(tmp_path, lease, {}).path / "spec.json").read_text())
    assert given["head"] == "image"
    assert given["resume_from"] == [str(tmp_path / each) for each in ("job_1/e1.2", "job_1/e1.1", "job_9/e1.7")]

    stored = StoredEstimate(head="audio", uri="jobs/job_1/e0.1/estimate.safetensors", bytes=1, sha256="0")
    joined = replace(_lease(2), estimates=(stored, replace(stored, head="image")))
    directory = RunDirectory.create(tmp_path, joined, {})
    given = json.loads((directory.path / "spec.json").read_text())
    assert given["resume_from"] == [str(tmp_path / "job_1/1")]
    assert given["estimates"] == [str(directory.path / "estimates" / f"{slot}.safetensors") for slot in (0, 1)]


def test_every_head_of_a_job_that_failed_keeps_its_newest_checkpoint(tmp_path: Path) -> None:
    for folder, checkpoint in (("1", 0), ("e0.1", 4), ("e0.2", 0), ("e1.1", 2)):
        attempt = tmp_path / "job_1" / folder
        attempt.mkdir(parents=True)
        (attempt / "child.log").touch()
        (attempt / "estimate.safetensors").touch()
        if checkpoint:
            (attempt / "checkpoints" / f"{checkpoint:08d}").mkdir(parents=True)
            (attempt / "checkpoints" / f"{checkpoint:08d}" / "state.json").touch()
    sweep(tmp_path, lambda ids: set(ids), lambda ids: set())
    assert _files(tmp_path / "job_1") == [
        "1/child.log",
        "e0.1/checkpoints/00000004/state.json",
        "e0.1/child.log",
        "e0.2/child.log",
        "e1.1/checkpoints/00000002/state.json",
        "e1.1/child.log",
    ]


def test_what_failed_keeps_its_logs_and_what_a_retry_needs(tmp_path: Path) -> None:
    """Three jobs: one that may be retried, one that is gone, one that goes on."""
    for job, fence, checkpoint in (
        ("job_1", 1, "00000012"),
        ("job_1", 2, "00000012.00000003"),
        ("job_1", 3, ""),
        ("job_2", 1, "00000004"),
        ("job_3", 1, "00000004"),
    ):
        attempt = tmp_path / job / str(fence)
        if checkpoint:
            (attempt / "checkpoints" / checkpoint).mkdir(parents=True)
            (attempt / "checkpoints" / checkpoint / "state.json").write_text("{}")
            (attempt / "checkpoints" / f".{checkpoint}.99").mkdir()
        (attempt / "artifacts").mkdir(parents=True)
        for name in ("spec.json", "events.jsonl", "child.log", "artifacts/model.bin"):
            (attempt / name).write_text("said")
    (tmp_path / "mine" / "1").mkdir(parents=True)
    untouched = _files(tmp_path / "job_3")
    for _ in range(2):  # the second sweep finds what the first one left
        sweep(tmp_path, lambda ids: set(ids) - {"job_3"}, lambda ids: set(ids) & {"job_2"})
        assert _files(tmp_path / "job_1") == [
            "1/child.log",
            "2/checkpoints/00000012.00000003/state.json",
            "2/child.log",
            "2/events.jsonl",
            "3/child.log",
        ]
    assert not (tmp_path / "job_2").exists()
    assert _files(tmp_path / "job_3") == untouched
    assert (tmp_path / "mine" / "1").is_dir()
    sweep(tmp_path / "not there", lambda ids: set(ids), lambda ids: set(ids))


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_run_directory_that_another_worker_removes_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job_1" / "1").mkdir(parents=True)
    (tmp_path / "job_1" / "2" / "artifacts").mkdir(parents=True)
    is_dir = Path.is_dir

    def and_gone(path: Path) -> bool:
        found = is_dir(path)
        if path.name == "1":
            shutil.rmtree(path, ignore_errors=True)
        return found

    monkeypatch.setattr(Path, "is_dir", and_gone)
    sweep(tmp_path, lambda ids: set(ids), lambda ids: set())
    assert list((tmp_path / "job_1" / "2").iterdir()) == []


def test_artifacts_are_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    store = ArtifactStore((tmp_path / "store").as_uri())
    source = tmp_path / "model.bin"
    content = os.urandom(2_500_000)
    source.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    chunks: list[int] = []
    key = store.put(
        source, "jobs/job_1/1/model.bin", size=len(content), sha256=digest, on_chunk=lambda: chunks.append(1)
    )
    assert len(chunks) == 3
    with store.open(key) as file:
        file.seek(1_000_000)
        assert file.read(10) == content[1_000_000:1_000_010]
    for size, wrong in ((len(content) - 1, digest), (len(content), "0" * 64)):
        with pytest.raises(ArtifactError, match=r"artifact\.mismatch"):
            store.put(source, "jobs/job_1/2/model.bin", size=size, sha256=wrong)
    with pytest.raises(NotFoundError, match=r"artifact\.not_found"):
        store.open("jobs/job_1/2/model.bin")
    assert [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()] == ["model.bin"]
    assert store.children("jobs/job_1") == ("1", "2")
    store.delete_below("jobs/job_1")
    store.delete_below("jobs/job_1")
    assert store.children("jobs/job_1") == ()


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/.hidden", "a\x00b", "a b", "-rf"])
def test_keys_that_could_lead_elsewhere_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ArtifactError, match=r"artifact\.key"):
        ArtifactStore(tmp_path.as_uri()).open(key)


@pytest.fixture
def broker(tmp_path: Path) -> dict[str, Any]:
    """kombu's options for the embedded transport, and its folders."""
    embedded_transport.register()
    for name in ("messages", "control"):
        (tmp_path / name).mkdir()
    messages = str(tmp_path / "messages")
    return {
        "queue": f"units.{tmp_path.name}",  # kombu remembers per process which queues it has bound
        "data_folder_in": messages,
        "data_folder_out": messages,
        "control_folder": str(tmp_path / "control"),
        "polling_interval": 0.001,
    }


def _send(broker: dict[str, Any], scheme: str, numbers: range) -> None:
    with kombu.Connection(f"{scheme}://localhost//", transport_options=broker) as connection:
        queue = connection.SimpleQueue(broker["queue"])
        for number in numbers:
            queue.put(number)


def _take_all(broker: dict[str, Any], until: threading.Event) -> list[int]:
    taken: list[int] = []
    with kombu.Connection("gblend-files://localhost//", transport_options=broker) as connection:
        queue = connection.SimpleQueue(broker["queue"])
        while True:
            ended = until.is_set()
            try:
                message = queue.get(block=False)
            except Empty:
                if ended:
                    return taken
                continue
            message.ack()
            taken.append(message.payload)


@pytest.mark.parametrize("scheme", ["filesystem", "gblend-files"])
def test_takers_get_every_message_of_a_sender_at_work(broker: dict[str, Any], scheme: str) -> None:
    """kombu's own channel loses some here, and raises: its reader does not wait for its writer."""
    sent = threading.Event()
    taken: list[int] = []
    _send(broker, "gblend-files", range(0))
    threads = [threading.Thread(target=lambda: taken.extend(_take_all(broker, sent))) for _ in range(2)]
    for thread in threads:
        thread.start()
    _send(broker, scheme, range(300))
    sent.set()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(300))
    assert os.listdir(broker["data_folder_in"]) == []


def test_a_torn_message_or_table_stops_nobody(broker: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    queue = broker["queue"]
    (Path(broker["control_folder"]) / f"{queue}.exchange").touch()
    (Path(broker["data_folder_in"]) / f"1_torn.{queue}.msg").touch()
    _send(broker, "gblend-files", range(2))
    sent = threading.Event()
    sent.set()
    assert sorted(_take_all(broker, sent)) == [0, 1]
    assert "unreadable wake-up dropped" in caplog.text
