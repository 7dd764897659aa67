"""What is told while features are computed, and that a supervisor sees life in it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from core.data.feature_cache import FeatureCache
from core.training.progress import PreparationMeter
from worker.rundir import RunDirectory
from worker.watchdog import Watchdog


def test_a_step_now_and_then_keeps_the_watchdog_quiet(tmp_path: Path) -> None:
    moment = 1000.0
    meter = PreparationMeter(tmp_path, epochs=7, clock=lambda: moment)
    dog = Watchdog(RunDirectory(tmp_path), 100.0, clock=lambda: moment)
    for step in range(100):
        moment += 10.0
        if step % 9 == 0:  # every 90 seconds: samples may be slow
            meter("features of 'rgb': 32 of 5,000")
        assert not dog.is_stalled()
    barked = []
    for _ in range(12):  # and then nothing
        moment += 10.0
        barked.append(dog.is_stalled())
    assert barked[-1]


def test_what_is_told(tmp_path: Path) -> None:
    moment = 0.0
    meter = PreparationMeter(tmp_path, epochs=7, clock=lambda: moment)
    meter("features of 'rgb': 32 of 5,000")
    meter("features of 'rgb': 64 of 5,000")  # too soon to be written
    progress = RunDirectory(tmp_path).progress()
    assert progress is not None
    assert (progress.phase, progress.percent, progress.epochs) == ("encoding", 0.0, 7)
    assert progress.detail == "features of 'rgb': 32 of 5,000"
    moment += 1.0
    meter("features of 'rgb': 96 of 5,000")
    assert json.loads((tmp_path / "progress.json").read_text())["detail"] == "features of 'rgb': 96 of 5,000"


def test_where_another_process_writes_the_file_nothing_is_written(tmp_path: Path) -> None:
    PreparationMeter(tmp_path, epochs=7, silent=True)("features of 'rgb': 32 of 5,000")
    assert list(tmp_path.iterdir()) == []


def test_who_waits_for_a_lock_is_called_until_it_is_free(tmp_path: Path) -> None:
    cache, free = FeatureCache(tmp_path, 2**20), threading.Event()
    inside = threading.Event()

    def hold() -> None:
        with cache.computing("key"):
            inside.set()
            free.wait(60)

    calls = 0

    def waiting() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            free.set()

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(60)
    with cache.computing("key", waiting):
        assert calls >= 3
    thread.join()
