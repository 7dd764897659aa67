"""A run that is cut off anywhere and resumed ends with the same events, numbers and files, bit for bit (CPU)."""

import json
import shutil

import pytest
import torch

from core.errors import CheckpointError
from core.training import checkpoint
from core.training.drive import EXIT_DONE, EXIT_STOPPED, commit, drive
from core.training.journal import Journal
from core.training.run import run

ARTIFACTS = ("model.safetensors", "model.json", "metrics.json", "super_epochs.json")


def never():
    return False


def history(run_dir):
    """The journal without seconds, which differ from run to run."""
    return [_without_seconds(json.loads(line)) for line in (run_dir / "events.jsonl").read_bytes().splitlines()]


def _without_seconds(value):
    if isinstance(value, dict):
        return {key: _without_seconds(item) for key, item in value.items() if key != "seconds"}
    if isinstance(value, list):
        return [_without_seconds(item) for item in value]
    return value


def outcome(run_dir):
    """Everything that must not depend on how often a run was cut off."""
    return history(run_dir), {name: (run_dir / "artifacts" / name).read_bytes() for name in ARTIFACTS}


@pytest.fixture
def spec(make_spec):
    """Two super-epochs with dropout, so that random streams matter: 18 events."""
    return make_spec(epochs=3, dropout=0.3)


@pytest.fixture
def undisturbed(spec, make_run_dir):
    run_dir = make_run_dir(spec, "undisturbed")
    assert drive(run_dir, never) == EXIT_DONE
    return outcome(run_dir)


def cut_off(session, meter, run_dir, after):
    """Runs until `after` events are published, then forgets everything that is not on disk."""
    journal = Journal(run_dir)
    for event in run(session, meter, run_dir):
        commit(session, journal, event, run_dir)
        if journal.number == after:
            return


def test_cut_off_after_any_event(spec, undisturbed, make_run_dir, open_session, make_meter):
    events, _ = undisturbed
    for after in range(1, len(events)):
        first = make_run_dir(spec, f"first{after}")
        session = open_session(spec)
        cut_off(session, make_meter(session), first, after)
        second = make_run_dir(spec, f"second{after}", resume_from=[first])
        assert drive(second, never) == EXIT_DONE
        assert outcome(second) == undisturbed, f"cut off after event {after}"
        # What was told before the cut is told again under the same numbers.
        assert history(first) == events[:after]


@pytest.mark.parametrize(
    "estimator",
    [{"type": "exact", "subset": 0.5}, {"type": "gradient", "steps": 3}, {"type": "trajectory"}],
    ids=lambda estimator: estimator["type"],
)
def test_every_estimator_can_be_cut_off_anywhere(
    estimator, make_spec, make_run_dir, open_session, make_meter, tmp_path
):
    """After any event, and between two batches of an estimate or of training."""
    spec = make_spec(
        {"strategy": "online", "super_epochs": {"first": 2, "later": 1}, "estimator": estimator},
        epochs=3,
        dropout=0.3,
        training={"fine_tune": {"enabled": False}},
    )
    whole = make_run_dir(spec, "whole")
    session, journal, cuts = open_session(spec), Journal(whole), []
    for event in run(session, make_meter(session), whole):
        commit(session, journal, event, whole)
        cuts.append(shutil.copytree(whole, tmp_path / f"cut{journal.number}"))
    for batches in (2, 8, 15):
        calls = iter([False] * batches + [True] * 10_000)
        cuts.append(make_run_dir(spec, f"stopped{batches}"))
        assert drive(cuts[-1], lambda calls=calls: next(calls)) == EXIT_STOPPED
    for number, cut in enumerate(cuts):
        resumed = make_run_dir(spec, f"resumed{number}", resume_from=[cut])
        assert drive(resumed, never) == EXIT_DONE
        assert outcome(resumed) == outcome(whole), cut.name


@pytest.mark.parametrize("batches", [1, 7, 20, 40, 45])
def test_stopped_between_two_batches(spec, undisturbed, make_run_dir, batches):
    calls = iter([False] * batches + [True] * 10_000)
    first = make_run_dir(spec, "first")
    assert drive(first, lambda: next(calls)) == EXIT_STOPPED
    second = make_run_dir(spec, "second", resume_from=[first])
    assert drive(second, never) == EXIT_DONE
    assert outcome(second) == undisturbed


def test_a_chain_of_interruptions(spec, undisturbed, make_run_dir):
    earlier = []
    for attempt in range(12):
        calls = iter([False] * 17 + [True] * 10_000)
        run_dir = make_run_dir(spec, f"attempt{attempt}", resume_from=earlier)
        if drive(run_dir, lambda calls=calls: next(calls)) == EXIT_DONE:
            break
        earlier.insert(0, run_dir)
    assert outcome(run_dir) == undisturbed
    assert len(earlier) == 2  # 48 batches, 18 to an attempt: none is worked on twice


def test_a_kill_between_checkpoint_and_publication_loses_no_event(
    spec, undisturbed, make_run_dir, open_session, make_meter, monkeypatch
):
    first = make_run_dir(spec, "first")
    session = open_session(spec)
    journal = Journal(first)
    for event in run(session, make_meter(session), first):
        if event.type == "epoch.completed":
            journal.stage(event)
            checkpoint.save(
                first,
                journal,
                identity=session.identity,
                counters=session.counters_json(),
                tensors=session.tensors(),
            )
            break
        commit(session, journal, event, first)
    assert history(first)[-1]["event"]["type"] == "phase.started"
    second = make_run_dir(spec, "second", resume_from=[first])
    assert drive(second, never) == EXIT_DONE
    assert outcome(second) == undisturbed


@pytest.mark.parametrize("damage", ["truncated", "missing", "garbled"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    spec, undisturbed, make_run_dir, open_session, make_meter, damage
):
    first = make_run_dir(spec, "first")
    session = open_session(spec)
    cut_off(session, make_meter(session), first, 10)
    older, newest = sorted((first / "checkpoints").iterdir())
    target = newest / "tensors.safetensors"
    if damage == "missing":
        target.unlink()
    elif damage == "truncated":
        target.write_bytes(target.read_bytes()[:100])
    else:
        (newest / "state.json").write_text("{")
    found, refused = checkpoint.load_newest([first], session.identity)
    assert found is not None
    assert f"{found.number:08d}" == older.name
    assert len(refused) == 1
    second = make_run_dir(spec, "second", resume_from=[first])
    assert drive(second, never) == EXIT_DONE
    assert outcome(second) == undisturbed


def test_a_checkpoint_of_another_spec_is_not_taken(spec, make_spec, make_run_dir, open_session, make_meter):
    first = make_run_dir(spec, "first")
    session = open_session(spec)
    cut_off(session, make_meter(session), first, 6)
    other = open_session(make_spec(epochs=4))
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(max((first / "checkpoints").iterdir()), other.identity)
    assert caught.value.code == "checkpoint.foreign"


def test_only_two_checkpoints_stay(spec, make_run_dir):
    run_dir = make_run_dir(spec, "one")
    drive(run_dir, never)
    assert len(list((run_dir / "checkpoints").iterdir())) == 2


def test_two_runs_of_one_spec_leave_the_same_bytes(spec, undisturbed, make_run_dir):
    torch.manual_seed(99)
    run_dir = make_run_dir(spec, "again")
    assert drive(run_dir, never) == EXIT_DONE
    assert outcome(run_dir) == undisturbed


@pytest.mark.parametrize(
    ("strategy", "training"),
    [
        ("naive", {"pretrain_epochs": 2}),
        ("equal", {"early_stopping": {"patience": 1}, "optimizer": {"type": "adam", "lr": 0.2}}),
        ("ensemble", {"early_stopping": {"patience": 1}, "optimizer": {"type": "adam", "lr": 0.1}}),
        ("uncertainty", {"optimizer": {"type": "sgd", "lr": 0.1}, "early_stopping": {"patience": 1}}),
        ("ogm_ge", {"pretrain_epochs": 1}),
        ("mmpareto", {"max_grad_norm": 0.5}),
    ],
)
def test_every_baseline_cut_off_anywhere(strategy, training, make_spec, make_run_dir, open_session, make_meter):
    spec = make_spec({"strategy": strategy}, epochs=3, dropout=0.3, training={"fine_tune": {"epochs": 1}} | training)
    whole = make_run_dir(spec, "whole")
    assert drive(whole, never) == EXIT_DONE
    expected = outcome(whole)
    told = [entry["event"]["type"] for entry in expected[0]]
    cuts = [number for number, kind in enumerate(told, 1) if kind.endswith((".epoch", ".weights", ".completed"))]
    for after in cuts[:-1]:
        first = make_run_dir(spec, f"first{after}")
        session = open_session(spec)
        cut_off(session, make_meter(session), first, after)
        second = make_run_dir(spec, f"second{after}", resume_from=[first])
        assert drive(second, never) == EXIT_DONE
        assert outcome(second) == expected, f"cut off after event {after}"


def test_the_default_strategy_with_every_diagnostic_cut_off_anywhere(
    make_spec, make_run_dir, open_session, make_meter, tmp_path
):
    """Gradient estimates, floors, the pooled answer, and the probes of the end, in which it can be stopped, too."""
    spec = make_spec(
        {"strategy": "online", "super_epochs": {"first": 1, "later": 1}},
        epochs=2,
        dropout=0.3,
        training={"fine_tune": {"epochs": 1}},
        diagnostics={"forgetting": True},
    )
    assert (spec.blending.estimator.type, spec.blending.floor) == ("gradient", 0.5)
    whole = make_run_dir(spec, "whole")
    session, journal, cuts = open_session(spec), Journal(whole), []
    batches = 0

    def count():
        nonlocal batches
        batches += 1
        return False

    for event in run(session, make_meter(session, count), whole):
        commit(session, journal, event, whole)
        cuts.append(shutil.copytree(whole, tmp_path / f"cut{journal.number}"))
    for stop in (3, batches - 200, batches - 1):  # an estimate, the networks alone, the last probe
        calls = iter([False] * stop + [True] * 10_000)
        cuts.append(make_run_dir(spec, f"stopped{stop}"))
        assert drive(cuts[-1], lambda calls=calls: next(calls)) == EXIT_STOPPED
    assert history(cuts[-1])[-1]["event"] == {"type": "phase.started", "phase": "evaluating", "super_epoch": None}
    for number, cut in enumerate(cuts[:-4] + cuts[-3:]):
        resumed = make_run_dir(spec, f"resumed{number}", resume_from=[cut])
        assert drive(resumed, never) == EXIT_DONE
        assert outcome(resumed) == outcome(whole), cut.name
