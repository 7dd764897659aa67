"""One training in two processes under torchrun: the numbers of one process, the manners of one process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from core.training.drive import EXIT_FAILED, EXIT_STOPPED
from tests.integration.training.conftest import ROOT, alone, events, parameters, together
from tests.servers import is_running, wait_until
from tests.tiny import tiny_augmented_spec, tiny_masked_spec, tiny_spec, tiny_task_spec

SECONDS = 120.0
ONLINE = {"strategy": "online", "super_epochs": {"first": 1, "later": 1}}
SGD = {"optimizer": {"type": "sgd", "lr": 0.05}}
RUNS = {
    "naive": tiny_spec({"strategy": "naive"}, epochs=2),
    "equal, clipped": tiny_spec(
        {"strategy": "equal"}, epochs=2, training={"max_grad_norm": 1.0}, diagnostics={"forgetting": True}
    ),
    "online, exact": tiny_spec(epochs=3),
    "online, gradient, ragged batches": tiny_spec(ONLINE, epochs=2, training={"batch_size": 37}),
    "online, trajectory, batches of one": tiny_spec(
        ONLINE | {"estimator": {"type": "trajectory"}}, epochs=2, training=SGD | {"batch_size": 1, "pretrain_epochs": 1}
    ),
    "uncertainty": tiny_spec({"strategy": "uncertainty"}, epochs=2),
    "mmpareto": tiny_spec({"strategy": "mmpareto"}, epochs=2, training=SGD),
    "ogm_ge": tiny_spec({"strategy": "ogm_ge", "noise": False}, epochs=2, training=SGD),
    "ogm_ge, noise": tiny_spec({"strategy": "ogm_ge", "noise": True}, epochs=2, training=SGD),
    "ensemble": tiny_spec({"strategy": "ensemble"}, epochs=2),
    "multilabel": tiny_task_spec("multilabel", epochs=2),
    "regression": tiny_task_spec("regression", epochs=2),
    "masked, online, batches of one": tiny_masked_spec(
        ONLINE, epochs=2, training=SGD | {"batch_size": 1}, diagnostics={"forgetting": True}
    ),
    "augmented": tiny_augmented_spec(epochs=2, training=SGD | {"batch_size": 37}),
    "augmented, masked, batches of one": tiny_augmented_spec(
        ONLINE, masked=True, epochs=1, training=SGD | {"batch_size": 1}
    ),
    "masked, mmpareto": tiny_masked_spec({"strategy": "mmpareto"}, epochs=2, training=SGD),
}
DROPOUT = tiny_spec(epochs=3, dropout=0.3, training={"batch_size": 2}, scheduling={"devices": 2})
"""Two super-epochs; random streams matter, and there is time to be killed in."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory, roots):
    """Name -> run directories of the run in one process and in two."""
    folder = tmp_path_factory.mktemp("runs")
    made = {}
    for name, spec in (RUNS | {"dropout": DROPOUT}).items():
        pair = [folder / how / name for how in ("one", "two")]
        for run_dir in pair:
            run_dir.mkdir(parents=True)
            paths = {scheme: str(path) for scheme, path in roots.items()}
            (run_dir / "spec.json").write_text(
                json.dumps({"job_id": "job_test", "spec": spec, "roots": paths, "resume_from": []})
            )
        made[name] = pair
    alone([one for one, _ in made.values()])
    together([two for _, two in made.values()], 2)
    return made


def history(run_dir):
    """What is told of a run but for seconds and what its environment was."""
    return [_plain(event) for event in events(run_dir)]


def _plain(value):
    if isinstance(value, dict):
        own = ("seconds", "environment", "artifacts")
        return {key: _plain(item) for key, item in value.items() if key not in own}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def rounded(value):
    """The same with floats that compare equal up to the rounding of float32."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return pytest.approx(value, rel=1e-4, abs=1e-6) if isinstance(value, float) else value


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_give_the_numbers_of_one(runs, name):
    one, two = runs[name]
    assert history(two) == rounded(history(one))
    found, expected = parameters(two), parameters(one)
    assert found.keys() == expected.keys()
    for tensor, values in expected.items():
        assert torch.allclose(found[tensor], values, rtol=1e-4, atol=1e-6), tensor


def test_they_really_were_two_and_the_first_alone_wrote(runs):
    one, two = runs["naive"]
    assert [events(run_dir)[0]["environment"]["processes"] for run_dir in (one, two)] == [1, 2]
    written = {path.relative_to(two) for path in two.rglob("*") if not path.name.startswith(".ranks.")}
    assert written == {path.relative_to(one) for path in one.rglob("*")}


# As the supervisor sees it


def start(run_dir):
    with (run_dir / "child.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "core.training", "--run-dir", str(run_dir)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def processes_of(run_dir):
    """The ids of all processes that were started for this run and have not ended, oldest first."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(run_dir).encode() in command.split(b"\0") and is_running(int(entry.name)):
            found.append(int(entry.name))
    return sorted(found)


def started(run_dir, count):
    """The launcher, once so many events are told."""
    child = start(run_dir)
    wait_until(
        lambda: len(events(run_dir)) >= count or child.poll() is not None,
        (run_dir / "child.log").read_text(),
        seconds=SECONDS,
        every=0.01,
    )
    return child


def nothing_left_of(run_dir):
    wait_until(lambda: not processes_of(run_dir), f"processes {processes_of(run_dir)} end", seconds=SECONDS)


def test_killed_and_resumed_it_ends_with_the_same_bits(runs, make_run_dir):
    _, undisturbed = runs["dropout"]
    first = make_run_dir("first", DROPOUT)
    with started(first, 6) as launcher:
        assert len(processes_of(first)) == 3
        launcher.kill()
        nothing_left_of(first)
    told = history(first)
    assert 6 <= len(told) < len(history(undisturbed))
    second = make_run_dir("second", DROPOUT, resume_from=[first])
    together([second], 2)
    assert "going on from checkpoint" not in (first / "child.log").read_text()
    assert history(second) == history(undisturbed)
    for file in ("model.safetensors", "metrics.json", "super_epochs.json"):
        assert (second / "artifacts" / file).read_bytes() == (undisturbed / "artifacts" / file).read_bytes(), file
    # The checkpoint is as good for another number of devices.
    third = make_run_dir("third", DROPOUT | {"scheduling": {"devices": 1}}, resume_from=[first])
    alone([third])
    assert history(third)[: len(told)] == told
    assert history(third)[-1]["type"] == "run.completed"


def test_a_stop_is_a_stop(make_run_dir):
    run_dir = make_run_dir("stopped", tiny_spec(epochs=2000, scheduling={"devices": 2}))
    with started(run_dir, 3) as launcher:
        launcher.terminate()
        assert launcher.wait(SECONDS) == EXIT_STOPPED
    nothing_left_of(run_dir)
    assert "stopped, as was asked for" in (run_dir / "child.log").read_text()


def test_all_of_them_end_with_the_supervisors_pipe(make_run_dir):
    run_dir = make_run_dir("orphans", tiny_spec(epochs=2000, scheduling={"devices": 2}))
    with started(run_dir, 3) as launcher:
        assert len(processes_of(run_dir)) == 3
        launcher.stdin.close()
        assert launcher.wait(SECONDS) == 1
        nothing_left_of(run_dir)


def test_one_that_is_killed_ends_all_and_is_told(make_run_dir):
    run_dir = make_run_dir("killed", tiny_spec(epochs=2000, scheduling={"devices": 2}))
    with started(run_dir, 3) as launcher:
        os.kill(processes_of(run_dir)[-1], signal.SIGKILL)
        assert launcher.wait(SECONDS) == -signal.SIGKILL
    nothing_left_of(run_dir)


def test_a_failure_that_a_retry_will_not_mend_is_told_once(make_run_dir, roots):
    clean = np.load(roots["data"] / "tiny.npz")
    bad = {name: clean[name].copy() for name in clean}
    bad["noisy"][7, 3] = np.nan
    np.savez(roots["data"] / "bad.npz", **bad)
    spec = tiny_spec(scheduling={"devices": 2})
    spec["dataset"] |= {"source": {"type": "arrays", "uri": "data://bad.npz"}}
    run_dir = make_run_dir("bad", spec)
    with start(run_dir) as launcher:
        assert launcher.wait(SECONDS) == EXIT_FAILED, (run_dir / "child.log").read_text()
    (failed,) = events(run_dir)
    assert failed["type"] == "run.failed"
