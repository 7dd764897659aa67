"""The training process as its supervisor sees it: exit codes, signals, a closed pipe."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
DEADLINE = 60.0


def start(run_dir):
    with (run_dir / "child.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "core.training", "--run-dir", str(run_dir)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )


def events(run_dir):
    path = run_dir / "events.jsonl"
    return [json.loads(line)["event"] for line in path.read_bytes().splitlines()] if path.exists() else []


def wait_for_events(run_dir, count):
    deadline = time.monotonic() + DEADLINE
    while len(events(run_dir)) < count:
        assert time.monotonic() < deadline, (run_dir / "child.log").read_text()
        time.sleep(0.02)


def test_a_run_to_the_end(make_spec, make_run_dir):
    run_dir = make_run_dir(make_spec(epochs=1))
    with start(run_dir) as child:
        assert child.wait(DEADLINE) == 0, (run_dir / "child.log").read_text()
    assert events(run_dir)[-1]["type"] == "run.completed"
    progress = json.loads((run_dir / "progress.json").read_bytes())
    assert (progress["phase"], progress["percent"]) == ("saving", 100.0)
    assert progress["epochs"] == 1
    for artifact in events(run_dir)[-1]["artifacts"]:
        assert (run_dir / artifact["path"]).stat().st_size == artifact["bytes"]


def test_sigterm_stops_it_and_it_can_be_resumed(make_spec, make_run_dir):
    first = make_run_dir(make_spec(epochs=2000), "1")
    with start(first) as child:
        wait_for_events(first, 8)
        child.send_signal(signal.SIGTERM)
        assert child.wait(DEADLINE) == os.EX_TEMPFAIL
    told = events(first)
    second = make_run_dir(make_spec(epochs=2000), "2", resume_from=[first])
    with start(second) as child:
        wait_for_events(second, len(told) + 4)
        child.kill()
    assert events(second)[: len(told)] == told
    assert "going on from checkpoint" in (second / "child.log").read_text()


def test_sigterm_before_the_training_begins_ends_it_at_once(make_spec, make_run_dir):
    run_dir = make_run_dir(make_spec())
    (run_dir / "spec.json").unlink()
    os.mkfifo(run_dir / "spec.json")  # stands for whatever takes long before the first batch: it comes to no end
    with start(run_dir) as child:
        writer = open_when_read(run_dir / "spec.json")
        # More than once: Python runs no handler for a signal that comes between its last look and a read that never
        # ends, and nothing but this pipe never ends.
        deadline = time.monotonic() + DEADLINE
        while child.poll() is None and time.monotonic() < deadline:
            child.send_signal(signal.SIGTERM)
            time.sleep(0.2)
        assert child.poll() == os.EX_TEMPFAIL
    os.close(writer)
    assert events(run_dir) == []


def open_when_read(fifo):
    """Opens it for writing, once somebody reads it."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def test_it_ends_with_its_supervisors_pipe(make_spec, make_run_dir):
    run_dir = make_run_dir(make_spec(epochs=2000))
    with start(run_dir) as child:
        wait_for_events(run_dir, 3)
        child.stdin.close()
        assert child.wait(DEADLINE) == 1


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_bad_contents_are_told_in_the_last_event(make_spec, make_run_dir, roots, poison):
    clean = np.load(roots["data"] / "tiny.npz")
    bad = {name: clean[name].copy() for name in clean}
    bad["noisy"][7, 3] = poison
    np.savez(roots["data"] / "bad.npz", **bad)
    spec = make_spec()
    dataset = spec.dataset.model_copy(
        update={"source": spec.dataset.source.model_copy(update={"uri": "data://bad.npz"})}
    )
    run_dir = make_run_dir(spec.model_copy(update={"dataset": dataset}))
    with start(run_dir) as child:
        assert child.wait(DEADLINE) == os.EX_DATAERR
    (failed,) = events(run_dir)
    assert failed["type"] == "run.failed"
    (issue,) = failed["errors"]
    assert issue["pointer"] == "#/dataset/modalities/0/column"
    assert issue["examples"] == ["row 7"] or "7" in issue["examples"][0]


def test_a_gpu_that_is_not_there_is_an_error_with_a_way_out(make_spec, make_run_dir):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    run_dir = make_run_dir(make_spec(runtime={"device": "cuda"}))
    with start(run_dir) as child:
        assert child.wait(DEADLINE) == os.EX_DATAERR
    (failed,) = events(run_dir)
    assert failed["code"] == "runtime.no_cuda"
    assert "cpu" in failed["hint"]
