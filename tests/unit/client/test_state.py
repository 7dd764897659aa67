"""Events folded into the picture that `watch` draws, and the drawing."""

from __future__ import annotations

from typing import Any

from gblend_client import Event, Job
from gblend_client._decode import decode
from gblend_client.cli.state import WatchState
from gblend_client.cli.tables import live, super_epochs_table
from gblend_client.types import SuperEpoch
from rich.console import Console, RenderableType

from tests.unit.client.service import event, job


def folded(*events: dict[str, Any]) -> WatchState:
    state = WatchState(job_id="job_01")
    for raw in events:
        state.apply(decode(Event, raw))
    return state


def drawn(drawing: RenderableType) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        console.print(drawing)
    return capture.get()


def test_what_is_not_known_or_not_well_formed_changes_nothing_but_the_position() -> None:
    odd = {"heads": [1, {"head": "a"}, {"head": "b", "weight": "x"}], "super_epoch": True, "degenerate": "yes"}
    state = folded(
        event(1, "job.paused", status=3),
        event(2, "job.status", status=None),
        event(3, "run.started", heads=None, super_epochs="two"),
        event(4, "super_epoch.weights", **odd),
        event(5, "epoch.completed", epoch=None, measurements=[{"head": "a"}, 7]),
        event(6, "run.completed", test={}, answer=1),
    )
    assert (state.seq, state.status, state.heads, state.test, state.answer) == (6, "queued", {}, (), None)
    assert (state.super_epoch, state.epoch) == (None, None)


def test_weights_that_an_estimate_could_not_decide() -> None:
    head = {"head": "audio", "weight": 0.5, "G": None, "O": None, "ogr": None, "learnt": False}
    state = folded(event(1, "super_epoch.weights", super_epoch=1, heads=[head], degenerate=True, reason="no G above 0"))
    assert state.degenerate == "no G above 0"
    picture = drawn(live(state))
    assert "weights kept: no G above 0" in picture
    assert " - " in picture
    state.apply(decode(Event, event(2, "super_epoch.weights", super_epoch=2, heads=[head], degenerate=False)))
    assert state.degenerate is None


def test_the_latest_measurement_of_each_split_counts() -> None:
    def measured(loss: float, split: str) -> dict[str, Any]:
        return {"head": "fused", "split": split, "loss": loss, "accuracy": 0.5}

    state = folded(
        event(1, "epoch.completed", epoch=1, measurements=[measured(2.0, "train"), measured(3.0, "holdout")]),
        event(2, "epoch.completed", epoch=2, measurements=[measured(1.0, "train")]),
        event(3, "fine_tune.epoch", epoch=1, measurements=[measured(0.5, "holdout")]),
    )
    latest = state.heads["fused"].latest
    assert {split: row.loss for split, row in latest.items()} == {"train": 1.0, "holdout": 0.5}
    assert state.epoch == 2


def test_the_headline() -> None:
    state = WatchState(job_id="job_01")
    state.update(decode(Job, job("queued", queue_position=3)))
    assert drawn(live(state)).split("\n")[0] == "job_01  queued  number 3 in the queue"
    progress = {"percent": 5.0, "eta_seconds": 4000.0, "epoch": 1, "totals": {"epochs": 20}}
    state.update(decode(Job, job("running", phase="fine_tuning", progress=progress)))
    state.is_reachable = False
    picture = drawn(live(state))
    assert picture.startswith("job_01  running  fine-tuning  epoch 1/20")
    assert "5 % 1 h 06 min left" in picture
    assert "the service does not answer; trying again" in picture
    state.apply(decode(Event, event(9, "job.status", status="running")))
    assert state.is_reachable


def test_what_is_done_before_the_training_has_the_place_of_the_bar() -> None:
    state = WatchState(job_id="job_01")
    progress = {"percent": 0.0, "epoch": 0, "totals": {"epochs": 20}, "detail": "features of 'rgb': 1,200 of 5,000"}
    state.update(decode(Job, job("starting", phase="encoding", progress=progress)))
    lines = [line.strip() for line in drawn(live(state)).splitlines()]
    assert lines[0].startswith("job_01  starting")
    assert lines[1] == "features of 'rgb': 1,200 of 5,000"
    state.update(decode(Job, job("running", phase="training", progress={"percent": 3.0, "totals": {}})))
    assert "3 %" in drawn(live(state))


def test_numbers_of_any_size_have_their_column() -> None:
    head = {"head": "audio", "weight": 0.123456, "G": 43592.0, "O": -1e-9, "ogr": 0.0}
    row = decode(SuperEpoch, {"super_epoch": 3, "first_epoch": 10, "epochs": 5, "heads": [head], "degenerate": True})
    line = drawn(super_epochs_table([row])).splitlines()[-2]
    assert line.split() == ["3", "11-15", "audio", "0.123", "4.36e+04", "-0.000", "0.000", "weights", "kept"]
