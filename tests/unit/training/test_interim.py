"""A run that is cut off within a pass goes on from there: the same bits (CPU), and no step is taken twice."""

import json
import os
from collections import Counter

import numpy as np
import pytest

from core.training import checkpoint
from core.training.batches import Batches
from core.training.counters import Counters, Position
from core.training.drive import EXIT_DONE, EXIT_STOPPED, drive
from core.training.interim import InterimCheckpoints
from core.training.journal import Journal
from core.training.learner import Learner
from core.training.passes import Pass
from core.training.progress import ProgressMeter, Stopped
from tests.unit.training.conftest import CPU
from tests.unit.training.test_resume import history, never, outcome

ADAM, SGD = {"type": "adam", "lr": 0.1}, {"type": "sgd", "lr": 0.1, "momentum": 0.9}
SHORT = {"first": 1, "later": 1}
RUNS = {
    "naive": ({}, {"pretrain_epochs": 2, "optimizer": SGD}),
    "equal": ({}, {"early_stopping": {"patience": 1}, "optimizer": ADAM}),
    "unimodal": ({"modality": "clean"}, {"keep": "best", "optimizer": ADAM}),
    "ensemble": ({}, {"early_stopping": {"patience": 1}, "optimizer": ADAM}),
    "uncertainty": ({}, {"optimizer": SGD, "keep": "best"}),
    "ogm_ge": ({"noise": True}, {"pretrain_epochs": 1}),
    "mmpareto": ({}, {"max_grad_norm": 0.5}),
    "offline": ({"estimator": {"type": "exact"}}, {"optimizer": SGD}),
    "online-exact": (
        {"super_epochs": SHORT, "estimator": {"type": "exact", "subset": 0.6, "optimizer_state": "live"}},
        {"max_grad_norm": 0.5},
    ),
    "online-gradient": ({"super_epochs": SHORT, "estimator": {"type": "gradient", "steps": 4, "rows": 40}}, {}),
    "online-trajectory": ({"super_epochs": SHORT, "estimator": {"type": "trajectory"}}, {}),
}
"""Strategy -> what its `blending` and its `training` say. T has 84 rows: three batches of 32 to an epoch."""


class Crash(BaseException):
    """Ends a run as SIGKILL would: nothing is written any more."""


@pytest.fixture
def steps(monkeypatch):
    """Counts the steps of all learners."""
    counted = Counter()
    step = Learner.step

    def counting(self, batch):
        counted["steps"] += 1
        step(self, batch)

    monkeypatch.setattr(Learner, "step", counting)
    return counted


@pytest.fixture
def make_run(make_spec, make_run_dir):
    """The spec of one of `RUNS`, and a maker of its run directories with their `checkpoint_seconds`."""

    def make(name, **parts):
        blending, training = RUNS[name]
        spec = make_spec(
            {"strategy": name.split("-")[0]} | blending,
            epochs=2,
            dropout=0.3,
            training={"batch_size": 32, "fine_tune": {"epochs": 1}} | training,
            **parts,
        )

        def folder(label, resume_from=(), seconds=60.0):
            run_dir = make_run_dir(spec, label, resume_from)
            request = json.loads((run_dir / "spec.json").read_bytes()) | {"checkpoint_seconds": seconds}
            (run_dir / "spec.json").write_text(json.dumps(request))
            return run_dir

        return folder

    return make


def names(run_dir):
    return sorted(path.name for path in (run_dir / "checkpoints").iterdir())


@pytest.mark.parametrize("name", RUNS)
def test_stopped_after_every_single_step(name, make_run, steps):
    """An attempt per step, in every phase: only the order in which processes come and go is another one."""
    folder = make_run(name)
    whole = folder("whole")
    assert drive(whole, never) == EXIT_DONE
    undisturbed = steps.pop("steps")
    attempts = [folder("attempt1")]
    while drive(attempts[0], lambda: True) == EXIT_STOPPED:
        attempts.insert(0, folder(f"attempt{len(attempts) + 1}", attempts[:3]))
        assert len(attempts) < 100
    assert len(attempts) > 6
    assert outcome(attempts[0]) == outcome(whole)
    assert steps["steps"] == undisturbed


@pytest.mark.parametrize("name", ["uncertainty", "online-exact", "online-gradient"])
def test_killed_again_and_again_loses_no_more_than_an_interval(name, make_run, steps):
    """The interval is 0, and every process dies after its third step, before that is in a checkpoint."""
    folder = make_run(name)
    whole = folder("whole")
    assert drive(whole, never) == EXIT_DONE
    undisturbed, taken = steps.pop("steps"), 0

    def dies():
        nonlocal taken
        taken += 1
        if taken == 3:
            raise Crash
        return False

    attempts = [folder("attempt1", seconds=0.0)]
    while True:
        try:
            assert drive(attempts[0], dies) == EXIT_DONE
            break
        except Crash:
            taken = 0
            attempts.insert(0, folder(f"attempt{len(attempts) + 1}", attempts[:3], seconds=0.0))
            assert len(attempts) < 100
    assert len(attempts) > 4
    assert outcome(attempts[0]) == outcome(whole)
    learners = 3 if name.startswith("online") else 1
    assert undisturbed < steps["steps"] <= undisturbed + learners * (len(attempts) - 1)


@pytest.mark.parametrize("damage", ["truncated", "missing", "garbled"])
def test_a_damaged_interim_checkpoint_falls_back_to_the_one_before(make_run, steps, damage):
    folder = make_run("equal")
    whole = folder("whole")
    assert drive(whole, never) == EXIT_DONE
    undisturbed = steps.pop("steps")
    calls = iter([False] * 4 + [True])
    first = folder("first", seconds=0.0)
    assert drive(first, lambda: next(calls)) == EXIT_STOPPED
    events = len(history(first))
    assert names(first) == [f"{events:08d}.00000001", f"{events:08d}.00000002"]
    newest = first / "checkpoints" / names(first)[-1]
    if damage == "missing":
        (newest / "tensors.safetensors").unlink()
    elif damage == "truncated":
        os.truncate(newest / "tensors.safetensors", 100)
    else:
        (newest / "state.json").write_text("{")
    second = folder("second", [first])
    assert drive(second, never) == EXIT_DONE
    assert outcome(second) == outcome(whole)
    assert steps["steps"] == undisturbed + 1


@pytest.mark.parametrize("stop", ["alone", "probe"])
def test_what_the_diagnosis_of_forgetting_has_trained_is_not_trained_again(make_run, steps, stop):
    """Two epochs of every modality alone, three batches each; after them the probes, which are repeated."""
    folder = make_run("equal", diagnostics={"forgetting": True})
    whole, counted = folder("whole"), 0

    def count():
        nonlocal counted
        counted += 1
        return False

    assert drive(whole, count) == EXIT_DONE
    undisturbed = steps.pop("steps")
    probes = 4 * 20 * 3
    before = counted - probes - 2 if stop == "alone" else counted - probes + 5
    calls = iter([False] * before + [True])
    first = folder("first")
    assert drive(first, lambda: next(calls)) == EXIT_STOPPED
    assert names(first)[-1].endswith(".00000005" if stop == "alone" else ".00000006")
    assert history(first)[-1]["event"]["phase"] == "evaluating"
    second = folder("second", [first])
    assert drive(second, never) == EXIT_DONE
    assert outcome(second) == outcome(whole)
    assert steps["steps"] == undisturbed + (0 if stop == "alone" else 6)


def test_checkpoints_within_a_pass_are_an_interval_apart(make_spec, open_session, tmp_path):
    session = open_session(make_spec())
    session.counters.under_way = Position(done=1)
    now = 0.0
    interim = InterimCheckpoints(session, Journal(tmp_path), tmp_path, interval=10.0, clock=lambda: now)
    written = []
    for step in range(1, 10):
        now, session.counters.under_way.done = 4.0 * step, step
        if step == 7:
            interim.begin_anew()  # an event, with a checkpoint of its own
        interim.between_steps(False)
        written.append(names(tmp_path)[-1] if (tmp_path / "checkpoints").exists() else None)
    assert [int(name.split(".")[1]) if name else 0 for name in written] == [0, 0, 3, 3, 3, 6, 6, 6, 6]
    interim.between_steps(True)
    assert names(tmp_path) == ["00000000.00000006", "00000000.00000009"]


def test_a_short_epoch_has_no_checkpoint_but_its_own(make_run, monkeypatch):
    written = []
    save = checkpoint.save

    def note(*arguments, **rest):
        path = save(*arguments, **rest)
        written.append(path.name)
        return path

    monkeypatch.setattr(checkpoint, "save", note)
    whole = make_run("equal")("whole")
    assert drive(whole, never) == EXIT_DONE
    kinds = Counter(entry["event"]["type"] for entry in history(whole))
    told = kinds["super_epoch.weights"] + kinds["epoch.completed"] + kinds["fine_tune.epoch"]
    assert len(written) == told
    assert all("." not in name for name in written)


def test_rows_that_are_done_are_not_decoded(make_spec, open_session):
    session = open_session(make_spec(training={"batch_size": 32}))
    rows, asked = session.data.split.train, []

    class Data:
        targets = session.data.targets

        def batch(self, chosen):
            asked.append(len(chosen))
            return session.data.batch(chosen)

    batches = Batches(Data(), CPU, 32)
    whole = [batch.targets.tolist() for batch in batches.shuffled(rows, 7)]
    assert [len(targets) for targets in whole] == [32, 32, 20]
    asked.clear()
    assert [batch.targets.tolist() for batch in batches.shuffled(rows, 7, 2)] == whole[2:]
    assert list(batches.shuffled(rows, 7, 3)) == []
    assert asked == [20]
    both = [batch.targets.tolist() for batch in batches.passes(rows, [7, 8])]
    assert both[:3] == whole
    for done in range(7):
        assert [batch.targets.tolist() for batch in batches.passes(rows, [7, 8], done)] == both[done:]


def test_what_a_pass_cost_is_the_sum_over_those_who_made_it(tmp_path, monkeypatch):
    seconds = iter(np.arange(100.0))
    monkeypatch.setattr("core.training.passes.time.perf_counter", lambda: next(seconds))
    stop = False
    meter = ProgressMeter(tmp_path, total=100, done=0, epochs=1, should_stop=lambda: stop)
    counters = Counters()
    first = Pass(counters, meter)
    first.times(3)(8)
    stop = True
    with pytest.raises(Stopped):
        first.tick(24)
    assert counters.under_way == Position(done=2, samples=48, seconds=2.0)
    resumed, stop = Counters.of({"under_way": {"done": 2, "samples": 48, "seconds": 2.0}}), False
    second = Pass(resumed, meter)
    assert second.done == 2
    second.tick(12)
    assert second.end() == Position(done=3, samples=60, seconds=4.0)
    assert resumed.under_way == Position()
    assert not resumed.begun


def test_a_checkpoint_from_before_there_were_passes_under_way_is_read(make_run, steps):
    folder = make_run("equal")
    whole, first = folder("whole"), folder("first")
    assert drive(whole, never) == EXIT_DONE
    assert drive(first, lambda: len(history(first)) > 5) == EXIT_STOPPED
    for name in names(first):
        state = first / "checkpoints" / name / "state.json"
        if "." in name:
            state.unlink()
            continue
        old = json.loads(state.read_bytes()) | {"format": 1}
        del old["counters"]["under_way"]
        state.write_text(json.dumps(old))
    second = folder("second", [first])
    assert drive(second, never) == EXIT_DONE
    assert outcome(second) == outcome(whole)
