"""The examples as a person runs them: whole processes, a service of their own, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.servers import is_running, wait_until

ROOT = Path(__file__).resolve().parents[3]


def running(folder: Path) -> set[int]:
    """The processes that were started with this temporary folder, and theirs: it is in what they know or are told."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended meanwhile, or is not ours to read
                known = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                if str(folder).encode() in known and is_running(int(entry.name)):
                    found.add(int(entry.name))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """For everything that a test starts; what still runs in it afterwards is killed."""
    yield tmp_path
    for pid in running(tmp_path):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_comparison_prints_its_table_and_stops_its_service(folder: Path) -> None:
    numbers, report = folder / "numbers.json", folder / "report.html"
    command = ["examples/compare.py", "examples/digits.yaml", "--data", "examples", "--json", str(numbers)]
    command += ["--report", str(report), "--seeds", "1", "--strategies", "unimodal:image", "--set", "training.epochs=1"]
    process = start(folder, *command)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert re.search(r"^\| unimodal:image \(best\) \| 1 of 1 \| \d+\.\d \|", output, flags=re.MULTILINE)
    (row,) = json.loads(numbers.read_text())["strategies"]
    assert (row["done"], row["answers"]) == (1, {"image": 1})
    assert row["test"]["mean"] > 0.15  # of ten classes, after one epoch
    assert "unimodal:image, seed 0: succeeded" in errors
    assert report.read_text().startswith("<!doctype html>")
    assert running(folder) == set()
    assert list(folder.glob("gblend-example-*")) == []


@pytest.mark.parametrize(
    ("number", "status", "processes"),
    [
        pytest.param(signal.SIGINT, 130, 5, id="Ctrl-C while it trains"),  # demo, service, API, worker, training
        pytest.param(signal.SIGTERM, 143, 2, id="SIGTERM while it starts"),
    ],
)
def test_an_interrupted_demo_leaves_no_process_behind(
    folder: Path, number: signal.Signals, status: int, processes: int
) -> None:
    process = start(folder, "-m", "examples.demo")
    wait_until(lambda: len(running(folder)) >= processes, f"{processes} processes run", seconds=100)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert errors == ""
    assert output.splitlines()[-1] == "demo: failed jobs=0 super_epochs=0 naive=nan gblend=nan"
    wait_until(lambda: running(folder) == set(), "every process has ended", seconds=10)
    assert list(folder.glob("gblend-example-*")) == []


def test_a_service_that_cannot_start_is_told_with_its_log(folder: Path) -> None:
    process = start(folder, "examples/compare.py", "examples/digits.yaml", "--data", "examples", "--workers", "-1")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "gblend-server ended with 2" in errors
    assert "--workers" in errors
    assert running(folder) == set()


def test_the_worked_examples_train_on_every_type_and_leave_nothing_behind(folder: Path) -> None:
    process = start(folder, "-m", "examples.worked", "tickets", "gestures", "clips", "--keep", str(folder / "data"))
    output, errors = process.communicate(timeout=170)
    assert process.returncode == 0, output + errors
    answers = dict(
        re.findall(r"^(\w+): [\d,]+ rows, 0 errors.*\n.*\n.*\n  answered by \w+: (0\.\d+|1\.000)", output, re.M)
    )
    # Chance is 0.33, 0.17 and 0.20.
    assert {name: float(accuracy) > 0.6 for name, accuracy in answers.items()} == {
        "tickets": True,
        "gestures": True,
        "clips": True,
    }
    assert (folder / "data" / "tickets.csv").exists()
    assert running(folder) == set()
    assert list(folder.glob("gblend-*")) == []


def test_an_example_that_there_is_not(folder: Path) -> None:
    process = start(folder, "-m", "examples.worked", "ticket")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "there is no example 'ticket'; there are digits, tickets, gestures, clips" in errors
