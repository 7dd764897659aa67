"""The processes that decode for a training end with it, however it ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile_media import setting_traps
from tests.integration.training.conftest import ROOT, alone, events, parameters, tiny_spec
from tests.servers import wait_until
from tests.unit.data.builders import clip_spec, clips, write_csv

DEADLINE = 60.0


@pytest.fixture
def run_dir(tmp_path):
    """Of a training whose decoders come to no end: every tenth picture hangs."""
    rows = clips(tmp_path / "data" / "clips", n=96)
    for row in rows[5::10]:
        row["picture"] = f"hang{row['picture']}"
    for row in rows[5::10]:
        (tmp_path / "data" / "clips" / row["picture"]).write_bytes(b"\x89PNG")
    write_csv(tmp_path / "data" / "clips" / "manifest.csv", rows)
    folder = tmp_path / "run"
    folder.mkdir()
    request = {
        "job_id": "job_test",
        "spec": {"dataset": clip_spec()},
        "roots": {"data": str(tmp_path / "data"), "models": str(tmp_path)},
        "resume_from": [],
        "loading": {"decode_processes": 2},
    }
    (folder / "spec.json").write_text(json.dumps(request))
    return folder


def start(run_dir):
    traps = setting_traps(run_dir.parent / "traps")
    with (run_dir / "child.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "core.training", "--run-dir", str(run_dir)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=os.environ | {"PYTHONPATH": traps},
        )


def decoders_of(pid):
    """Process ids of the decoders that are a process's children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in children if b"core.data.decoding" in Path(f"/proc/{each}/cmdline").read_bytes()]


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes as Linux shows them")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, os.EX_TEMPFAIL)])
def test_none_is_left_behind(run_dir, number, code):
    with start(run_dir) as child:
        wait_until(lambda: len(decoders_of(child.pid)) == 2, "two decoders")
        decoders = decoders_of(child.pid)
        child.send_signal(number)
        assert child.wait(DEADLINE) == code, (run_dir / "child.log").read_text()
        wait_until(lambda: not any(map(is_alive, decoders)), "they are gone")


def test_what_hangs_is_told_and_the_process_ends(run_dir):
    request = json.loads((run_dir / "spec.json").read_text())
    request["loading"]["file_seconds"] = 0.5
    request["spec"]["dataset"]["on_bad_sample"] = {"action": "error"}
    (run_dir / "spec.json").write_text(json.dumps(request))
    with start(run_dir) as child:
        assert child.wait(DEADLINE) == os.EX_DATAERR, (run_dir / "child.log").read_text()
    failed = events(run_dir)[-1]
    assert (failed["type"], failed["code"]) == ("run.failed", "file.too_slow")
    assert "10 rows cannot be used; clip-05: it was not decoded within 0.5 s" in failed["message"]


def test_a_training_from_disk_ends_with_the_same_bits(make_run_dir):
    spec = tiny_spec(epochs=2)
    in_memory, on_disk = make_run_dir("memory", spec), make_run_dir("disk", spec)
    request = json.loads((on_disk / "spec.json").read_text())
    (on_disk / "spec.json").write_text(json.dumps(request | {"loading": {"memory_bytes": 0}}))
    alone([in_memory, on_disk])
    found, wanted = parameters(on_disk), parameters(in_memory)
    assert list(found) == list(wanted)
    assert all(found[name].equal(wanted[name]) for name in wanted)
    assert sorted(each.name for each in on_disk.iterdir()) == sorted(each.name for each in in_memory.iterdir())
