"""One training on two machines, played by two run directories on loopback: the numbers of one process.

`tests/e2e/whole/test_nodes.py` has what becomes of it when one of them dies or is stopped.
"""

import json
import os
import subprocess
import sys

import pytest
import torch

from core.training.drive import EXIT_DONE, EXIT_FAILED, EXIT_MISSING
from core.training.nodes import MEETING
from tests.integration.training.conftest import ROOT, alone, events, parameters
from tests.integration.training.test_several_processes import history, rounded
from tests.servers import wait_until
from tests.tiny import tiny_spec

SECONDS = 120.0
SPEC = tiny_spec(epochs=3, dropout=0.0)


def asked(run_dir, number, *, meeting=None, patience=60.0, token="attempt-1", roots=None):
    """Makes this run directory that of a machine."""
    path = run_dir / "spec.json"
    nodes = {"count": 2, "number": number, "address": "127.0.0.1", "token": token, "patience": patience}
    request = json.loads(path.read_text()) | {"nodes": nodes | {"meeting": meeting}}
    path.write_text(json.dumps(request | ({} if roots is None else {"roots": roots})))
    return run_dir


@pytest.fixture
def start():
    """Starts a machine's process; it ends with the test."""
    started = []

    def one(run_dir):
        with (run_dir / "child.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "core.training", "--run-dir", str(run_dir)],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=os.environ | {"OMP_NUM_THREADS": "1"},
                )
            )
        return started[-1]

    yield one
    for process in started:
        process.kill()
        process.stdin.close()
        process.wait()


@pytest.fixture
def start_both(make_run_dir, start):
    """The first machine, and the second as soon as there is a place to come to."""

    def both(name, spec, *, roots=None):
        first = asked(make_run_dir(f"{name}-0", spec), 0)
        processes = [start(first)]
        wait_until(lambda: (first / MEETING).exists() or processes[0].poll() is not None, "the store", seconds=SECONDS)
        meeting = json.loads((first / MEETING).read_text())["endpoint"]
        second = asked(make_run_dir(f"{name}-1", spec), 1, meeting=meeting, roots=roots)
        processes.append(start(second))
        return (first, second), processes

    return both


def codes(processes):
    return [process.wait(SECONDS) for process in processes]


def logs(*run_dirs):
    return "\n".join((run_dir / "child.log").read_text() for run_dir in run_dirs)


def test_two_machines_of_two_devices_give_the_numbers_of_one_process(make_run_dir, start_both):
    spec = SPEC | {"scheduling": {"devices": 2, "nodes": 2}}
    (first, second), processes = start_both("two", spec)
    one = make_run_dir("one", SPEC)
    alone([one])
    assert codes(processes) == [EXIT_DONE, EXIT_DONE], logs(first, second)
    assert history(first) == rounded(history(one))
    assert events(first)[0]["environment"]["processes"] == 4
    found, expected = parameters(first), parameters(one)
    for tensor, values in expected.items():
        assert torch.allclose(found[tensor], values, rtol=1e-4, atol=1e-6), tensor
    assert events(second) == []
    assert not (second / "checkpoints").exists()
    assert not (second / "artifacts").exists()
    assert json.loads((second / "progress.json").read_text())["percent"] == 100.0


def test_who_waits_in_vain_gives_up_and_who_belongs_to_another_attempt_is_turned_away(make_run_dir, start):
    first = asked(make_run_dir("first", SPEC), 0, patience=12.0)
    process = start(first)
    wait_until((first / MEETING).exists, "the store", seconds=SECONDS)
    meeting = json.loads((first / MEETING).read_text())["endpoint"]
    stale = asked(make_run_dir("stale", SPEC), 1, meeting=meeting, token="attempt-0")
    assert start(stale).wait(SECONDS) == EXIT_MISSING
    assert "another attempt of this job" in logs(stale)
    assert process.wait(SECONDS) == EXIT_MISSING
    assert "1 of 2 processes of the job are there" in logs(first)
    assert events(first) == []
    late = asked(make_run_dir("late", SPEC), 1, meeting=meeting)
    assert start(late).wait(SECONDS) == EXIT_MISSING
    assert "does not answer at 127.0.0.1:" in logs(late)


def test_machines_with_different_data_say_so(start_both, roots, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "tiny.npz").write_bytes((roots["data"] / "tasks.npz").read_bytes())
    (first, second), processes = start_both("differ", SPEC, roots={"data": str(other), "models": str(other)})
    assert codes(processes) == [EXIT_FAILED, EXIT_FAILED], logs(first, second)
    (failed,) = [event for event in events(first) if event["type"] == "run.failed"]
    assert failed["code"] == "training.nodes_differ"
