"""Estimates spread over processes: each head alone, the files joined, bit for bit what one pass for all heads gives."""

import json

import pytest

from core.data.dataset import prepare
from core.errors import CheckpointError, DataError
from core.training import spread
from core.training.drive import EXIT_DONE, EXIT_FAILED, EXIT_STOPPED, drive
from tests.unit.training.test_resume import ARTIFACTS, history, never

HEADS = ("clean", "noisy", "fused")


def offline(**estimator):
    """An offline estimate of every head, with what could tell one process from another: moments, a subset of T."""
    return {"strategy": "offline", "estimator": {"type": "exact"} | estimator}


@pytest.fixture
def spec(make_spec):
    return make_spec(offline(subset=0.6), epochs=3, dropout=0.3, training={"max_grad_norm": 0.5})


@pytest.fixture
def ask(make_run_dir):
    """Makes a run directory whose request names a head, or the files of all heads."""

    def go(spec, name, *, head=None, estimates=(), resume_from=()):
        run_dir = make_run_dir(spec, name, resume_from)
        request = json.loads((run_dir / "spec.json").read_text())
        request |= {} if head is None else {"head": head}
        request |= {"estimates": [str(path) for path in estimates]} if estimates else {}
        (run_dir / "spec.json").write_text(json.dumps(request))
        return run_dir

    return go


@pytest.fixture
def estimate_all(ask):
    """Estimates every head in a process of its own; returns the files."""

    def go(spec):
        files = []
        for head in HEADS:
            run_dir = ask(spec, f"e-{head}", head=head)
            assert drive(run_dir, never) == EXIT_DONE
            files.append(run_dir / spread.NAME)
        return files

    return go


def told(run_dir):
    """The journal without numbers, seconds and the passes of an estimate."""
    events = [entry["event"] for entry in history(run_dir)]
    return [event for event in events if event["type"] != "estimate.epoch"]


def artifacts(run_dir):
    return {name: (run_dir / "artifacts" / name).read_bytes() for name in ARTIFACTS}


@pytest.mark.parametrize("estimator", [{}, {"subset": 0.6, "optimizer_state": "live"}])
def test_heads_estimated_apart_give_the_run_of_heads_estimated_together(
    make_spec, make_run_dir, ask, estimate_all, estimator
):
    spec = make_spec(offline(**estimator), epochs=2, dropout=0.3, training={"max_grad_norm": 0.5})
    together = make_run_dir(spec, "together")
    assert drive(together, never) == EXIT_DONE
    files = estimate_all(spec)
    apart = ask(spec, "apart", estimates=files)
    assert drive(apart, never) == EXIT_DONE
    assert told(apart) == told(together)
    assert artifacts(apart) == artifacts(together)
    assert [entry["number"] for entry in history(apart)] == list(range(1, len(history(apart)) + 1))
    weights = next(event for event in told(together) if event["type"] == "super_epoch.weights")
    assert weights["cost"]["samples"] == sum(spread.read(path).cost.samples for path in files) > 0
    assert weights["cost"]["measured"] == sum(spread.read(path).cost.measured for path in files) > 0


def test_what_one_head_tells(spec, ask):
    run_dir = ask(spec, "e", head="noisy")
    assert drive(run_dir, never) == EXIT_DONE
    events = [entry["event"] for entry in history(run_dir)]
    assert [event["type"] for event in events] == ["estimate.started", *["estimate.epoch"] * 3, "estimate.completed"]
    assert {event["head"] for event in events} == {"noisy"}
    assert events[-1]["cost"] == {"samples": 3 * 50, "measured": 2 * (50 + 28)}
    assert events[-1]["sha256"] == spread.sha256_of(run_dir / events[-1]["path"])
    assert events[-1]["bytes"] == (run_dir / events[-1]["path"]).stat().st_size
    progress = json.loads((run_dir / "progress.json").read_text())
    # Of the whole run: three heads estimated and trained, the fused one fine-tuned.
    assert (progress["step"], progress["steps"]) == (150, 3 * 3 * 50 + 3 * 3 * 84 + 2 * 84)


@pytest.mark.parametrize("batches", [1, 5, 11])
def test_a_head_that_was_cut_off_goes_on_from_its_own_checkpoint(spec, ask, batches):
    whole = ask(spec, "whole", head="clean")
    assert drive(whole, never) == EXIT_DONE
    other = ask(spec, "other", head="fused")
    assert drive(other, never) == EXIT_DONE
    calls = iter([False] * batches + [True] * 10_000)
    first = ask(spec, "first", head="clean")
    assert drive(first, lambda: next(calls)) == EXIT_STOPPED
    second = ask(spec, "second", head="clean", resume_from=[other, first])
    assert drive(second, never) == EXIT_DONE
    assert [{**entry, "event": _without_file(entry["event"])} for entry in history(second)] == [
        {**entry, "event": _without_file(entry["event"])} for entry in history(whole)
    ]
    assert_same_losses(spread.read(second / spread.NAME), spread.read(whole / spread.NAME))


def _without_file(event):
    """The file holds the seconds, which differ from run to run."""
    return {key: value for key, value in event.items() if key not in ("bytes", "sha256")}


def assert_same_losses(one, other):
    for part in ("train_before", "train_after", "holdout_before", "holdout_after"):
        assert (getattr(one.losses, part) == getattr(other.losses, part)).all()
    assert (one.train == other.train).all()
    assert (one.holdout == other.holdout).all()


def test_a_run_that_estimated_together_and_was_cut_off_may_go_on_with_files(spec, make_run_dir, ask, estimate_all):
    together = make_run_dir(spec, "together")
    assert drive(together, never) == EXIT_DONE
    calls = iter([False] * 6 + [True] * 10_000)
    first = make_run_dir(spec, "first")
    assert drive(first, lambda: next(calls)) == EXIT_STOPPED
    assert history(first)[-1]["event"]["type"] == "estimate.epoch"
    apart = ask(spec, "apart", estimates=estimate_all(spec), resume_from=[first])
    assert drive(apart, never) == EXIT_DONE
    assert told(apart) == told(together), "nothing is told twice, and the cost is that of whole estimates"
    assert artifacts(apart) == artifacts(together)


def test_a_run_that_has_its_weights_needs_no_files_any_more(spec, ask, estimate_all):
    files = estimate_all(spec)
    whole = ask(spec, "whole", estimates=files)
    assert drive(whole, never) == EXIT_DONE
    calls = iter([False] * 3 + [True] * 10_000)
    first = ask(spec, "first", estimates=files)
    assert drive(first, lambda: next(calls)) == EXIT_STOPPED
    for path in files:
        path.write_bytes(b"nobody reads it")
    second = ask(spec, "second", estimates=files, resume_from=[first])
    assert drive(second, never) == EXIT_DONE
    assert history(second) == history(whole)


def test_estimates_of_other_data_are_refused(spec, make_spec, roots, ask, estimate_all):
    files = estimate_all(spec)
    other = make_spec(offline(subset=0.6), epochs=3, dropout=0.3, training={"max_grad_norm": 0.25})
    run_dir = ask(other, "other", estimates=files)
    assert drive(run_dir, never) == EXIT_FAILED
    (failed,) = [entry["event"] for entry in history(run_dir)]
    assert (failed["type"], failed["code"]) == ("run.failed", "estimate.foreign")

    found = [spread.read(path) for path in files]
    identity = {"spec": spec.fingerprint(), "dataset": prepare(spec, roots).fingerprint}
    assert list(spread.join(found[::-1], HEADS, identity).found.losses) == list(HEADS)
    with pytest.raises(DataError, match="other data"):
        spread.join(found, HEADS, identity | {"dataset": "sha256:0"})
    for wrong in (found[:2], [*found, found[0]], [found[0], found[0], found[1]]):
        with pytest.raises(CheckpointError, match=r"estimate\.damaged"):
            spread.join(wrong, HEADS, identity)


def test_a_damaged_file_is_told_apart_from_a_foreign_one(spec, ask):
    run_dir = ask(spec, "e", head="noisy")
    assert drive(run_dir, never) == EXIT_DONE
    path = run_dir / spread.NAME
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"estimate\.damaged"):
        spread.read(path)
    with pytest.raises(CheckpointError, match=r"estimate\.damaged"):
        spread.read(run_dir / "not there")
