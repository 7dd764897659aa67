"""How the examples plan their jobs and what they print of them, on numbers written down here."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from gblend_client import Event, Job, JobError, JobResult, Measurement, ProblemItem, SuperEpoch, Validation

from examples import demo
from examples._interrupts import Interrupted, Interrupts
from examples._runs import Run, explain, plan, variant
from examples._show import event_line, live_table, result_table

SPEC: dict[str, Any] = {
    "name": "two",
    "dataset": {"modalities": [{"name": "image"}, {"name": "audio"}]},
    "blending": {"strategy": "online", "policy": "paper", "super_epochs": {"first": 2, "later": 1}},
}


def ended(strategy: str, seed: int = 0, accuracy: float = 0.9, **heads: float) -> Run:
    test = tuple(Measurement(head=head, split="test", accuracy=value) for head, value in heads.items())
    result = JobResult(answer="fused", test_accuracy=accuracy, test=test)
    run = Run(strategy, seed, variant(SPEC, strategy, seed))
    run.job = Job(id=f"job_{strategy}_{seed}", status="succeeded", result=result)
    run.state.update(run.job)
    return run


def failed(strategy: str, message: str) -> Run:
    run = Run(strategy, 0, variant(SPEC, strategy, 0), problem=f"failed: {message}")
    run.job = Job(id="job_x", status="failed", error=JobError(code="x", message=message))
    run.state.update(run.job)
    return run


@pytest.mark.parametrize(
    ("strategy", "blending"),
    [
        ("unimodal:audio", {"strategy": "unimodal", "modality": "audio"}),
        ("naive", {"strategy": "naive"}),
        ("equal", {"strategy": "equal"}),
        ("offline", {"strategy": "offline", "policy": "paper"}),
        ("online", {"strategy": "online", "policy": "paper", "super_epochs": {"first": 2, "later": 1}}),
    ],
)
def test_a_variant_keeps_what_its_strategy_knows(strategy: str, blending: dict[str, Any]) -> None:
    found = variant(SPEC, strategy, 7)
    assert found["blending"] == blending
    assert found["seed"] == 7
    assert found["name"] == f"two {strategy} seed 7"
    assert found["dataset"] == SPEC["dataset"]
    assert SPEC["blending"]["strategy"] == "online"


def test_a_plan_has_every_strategy_for_every_seed() -> None:
    assert [(run.strategy, run.seed) for run in plan(SPEC, ["naive", "online"], range(2))] == [
        ("naive", 0),
        ("online", 0),
        ("naive", 1),
        ("online", 1),
    ]


def test_the_last_line_of_the_demo() -> None:
    runs = [ended("naive", accuracy=0.8123), ended("offline"), ended("online", accuracy=0.9)]
    runs[0].super_epochs = (SuperEpoch(super_epoch=0),)
    runs[1].super_epochs = (SuperEpoch(super_epoch=0),)
    runs[2].super_epochs = (SuperEpoch(super_epoch=0), SuperEpoch(super_epoch=1))
    assert demo.summary(runs, ok=True) == "demo: ok jobs=3 super_epochs=3 naive=0.812 gblend=0.900"


def test_the_last_line_of_a_demo_that_failed() -> None:
    runs = [ended("naive"), failed("online", "no disk")]
    assert demo.summary(runs, ok=False) == "demo: failed jobs=1 super_epochs=0 naive=0.900 gblend=nan"


def test_tables_can_be_drawn_at_any_moment() -> None:
    waiting = Run("naive", 0, SPEC)
    runs = [waiting, ended("online", fused=0.8), failed("equal", "no disk")]
    assert live_table(runs).row_count == 3
    assert result_table(runs).row_count == 3


def test_an_epoch_is_told_every_fifth_time_with_its_losses() -> None:
    run = Run("online", 0, SPEC)
    measured = [
        {"head": head, "split": split, "loss": loss, "accuracy": 0.5, "samples": 4}
        for head, split, loss in [("audio", "train", 0.5), ("fused", "train", 0.25), ("fused", "holdout", 1.0)]
    ]
    lines = []
    for epoch in (4, 5):
        event = Event(seq=epoch, type="epoch.completed", data={"epoch": epoch, "measurements": measured})
        run.state.apply(event)
        lines.append(event_line(run, event))
    assert lines == [None, "online          epoch 5: train loss audio 0.500, fused 0.250; holdout loss fused 1.000"]


def test_weights_are_told_only_where_they_were_estimated() -> None:
    event = Event(seq=1, type="super_epoch.weights", message="Weights of super-epoch 1: audio 1.000")
    assert event_line(Run("naive", 0, SPEC), event) is None
    assert event_line(Run("online", 0, SPEC), event) == "online          Weights of super-epoch 1: audio 1.000"


def test_a_refused_spec_is_explained_with_its_pointers() -> None:
    item = ProblemItem(code="column.missing", detail="no column 'wav'", pointer="#/dataset/modalities/0/column")
    error = Validation("the job spec is wrong", status=422, code="spec.invalid", errors=[item])
    assert explain(error) == ("422 spec.invalid: the job spec is wrong; #/dataset/modalities/0/column: no column 'wav'")


@pytest.fixture
def _handlers_restored() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers_restored")
def test_a_signal_is_remembered_until_somebody_looks() -> None:
    interrupts = Interrupts()
    interrupts.pause(0.0)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Interrupted):
        interrupts.pause(0.0)
    assert interrupts.exit_status == 143
