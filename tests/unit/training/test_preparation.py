"""What is told while features are computed, and that a supervisor sees life in it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from core.data.dataset import prepare
from core.data.feature_cache import FeatureCache
from core.data.feature_pass import Telling
from core.models.inputs import load_inputs
from core.spec import JobSpec
from core.training.progress import PreparationMeter
from tests.tuned import tuned_spec, write_tuned
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


def with_heights(names: tuple[str, ...]) -> dict[str, Any]:
    """A job whose other modality has no model."""
    raw = tuned_spec(names)
    heights = {"name": "meta", "type": "tabular", "columns": [{"name": "height", "type": "number"}]}
    raw["dataset"]["modalities"].append(heights)
    return raw


@pytest.mark.parametrize("name", ["words", "face", "voice"])
def test_each_input_of_a_trained_model_is_told(tmp_path: Path, name: str) -> None:
    """Also of samples that are bad: they may have taken as long as others."""
    roots = write_tuned(tmp_path)
    (tmp_path / "clips" / "5.png").write_bytes(b"no picture")
    (tmp_path / "clips" / "5.wav").write_bytes(b"no sound")
    raw = with_heights((name,))
    raw["dataset"]["on_bad_sample"] = {"action": "drop", "max_fraction": 0.5}
    doing: list[str] = []
    lines: list[str] = []
    telling = Telling(line=lines.append, doing=doing.append)
    prepare(JobSpec.model_validate(raw), roots, load_inputs=load_inputs, telling=telling)
    expected = [f"inputs of '{name}': {done} of 36" for done in range(1, 37)]
    assert doing == [f"inputs of '{name}': the model's files are looked at", *expected]
    assert lines == expected[-1:]


def test_preparing_the_inputs_of_trained_models_keeps_the_watchdog_quiet(tmp_path: Path) -> None:
    """Each sample takes 90 of 100 seconds."""
    roots = write_tuned(tmp_path)
    moment, stalled = 1000.0, []
    run = tmp_path / "run"
    run.mkdir()
    meter = PreparationMeter(run, epochs=7, clock=lambda: moment)
    dog = Watchdog(RunDirectory(run), 100.0, clock=lambda: moment)

    def doing(text: str) -> None:
        nonlocal moment
        for _ in range(9):
            moment += 10.0
            stalled.append(dog.is_stalled())
        meter(text)

    telling = Telling(doing=doing)
    prepare(JobSpec.model_validate(with_heights(("words",))), roots, load_inputs=load_inputs, telling=telling)
    assert len(stalled) == 9 * 37
    assert not any(stalled)
    progress = RunDirectory(run).progress()
    assert progress is not None
    assert (progress.phase, progress.detail) == ("encoding", "inputs of 'words': 36 of 36")
