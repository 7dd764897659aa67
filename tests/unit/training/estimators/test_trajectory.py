"""The live model's own heads: what a super-epoch did is what the next one's weights follow from."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from core.training.estimators import LiveLosses, Spent
from core.training.estimators.trajectory import TrajectoryEstimate
from core.training.run import run

ONLINE = {"strategy": "online", "super_epochs": {"first": 2, "later": 1}, "estimator": {"type": "trajectory"}}


def nothing(samples):
    return None


@pytest.fixture
def told(open_session, make_meter, make_spec, tmp_path):
    """The events of a run, of a type."""

    def go(kind, blending=ONLINE, epochs=4):
        session = open_session(make_spec(blending, epochs=epochs))
        return [event for event in run(session, make_meter(session), tmp_path) if event.type == kind]

    return go


def test_the_first_super_epoch_warms_up_and_the_others_are_estimated(told):
    weights = told("super_epoch.weights")
    assert [event.policy for event in weights] == ["warm_up", "shrunk", "shrunk"]
    assert [head.weight for head in weights[0].heads] == [1 / 3] * 3
    assert all(head.flags == ("not_estimated",) for head in weights[0].heads)
    assert all(sum(head.weight for head in event.heads) == pytest.approx(1.0) for event in weights)


def test_estimates_are_the_measured_losses_of_the_live_heads(open_session, make_meter, make_spec, tmp_path):
    session = open_session(make_spec(ONLINE | {"floor": 0.1}, epochs=4))
    events = list(run(session, make_meter(session), tmp_path))
    epochs = [event for event in events if event.type == "epoch.completed"]
    _, second, third = (event for event in events if event.type == "super_epoch.weights")
    at_end = {(event.epoch, found.split, found.head): found.loss for event in epochs for found in event.measurements}
    for event, start, end in ((second, None, 2), (third, 2, 3)):
        for head in event.heads:
            assert head.train_after == pytest.approx(at_end[end, "train", head.head], abs=1e-12)
            assert head.holdout_after == pytest.approx(at_end[end, "holdout", head.head], abs=1e-12)
            if start is not None:
                assert head.train_before == pytest.approx(at_end[start, "train", head.head], abs=1e-12)
                assert head.holdout_before == pytest.approx(at_end[start, "holdout", head.head], abs=1e-12)
    fresh = open_session(make_spec(ONLINE, epochs=4))
    initial = fresh.measure(fresh.data.split.holdout, fresh.heads)
    for head in second.heads:
        assert head.holdout_before == pytest.approx(initial[head.head].losses.mean(), abs=1e-12)


def test_it_trains_nothing_and_measures_the_initial_model_alone(told):
    costs = [(event.cost.samples, event.cost.measured) for event in told("super_epoch.weights")]
    assert costs == [(0, (84 + 28) * 3), (0, 0), (0, 0)]
    assert told("estimate.epoch") == []


def test_a_warm_up_that_is_asked_for_comes_first(told):
    weights = told("super_epoch.weights", ONLINE | {"warm_up": 1})
    assert [(event.policy, event.first_epoch, event.epochs) for event in weights] == [
        ("warm_up", 0, 1),
        ("shrunk", 1, 2),
        ("shrunk", 3, 1),
    ]


def test_a_head_without_weight_is_measured_and_says_so(make_spec, open_session):
    session = open_session(make_spec(ONLINE))
    session.live.weights = {"clean": 0.4, "noisy": 0.0, "fused": 0.6}
    rows = session.ground().measure_parts()[0]
    later = {part: {head: values - 0.1 for head, values in losses.items()} for part, losses in rows.items()}
    estimate = TrajectoryEstimate(session.ground())
    assert estimate.begin(LiveLosses(now=later, earlier=rows)) == Spent()
    found, spent = estimate.finish(nothing)
    assert spent == Spent()
    assert dict(found.flags) == {"noisy": ("not_trained",)}
    assert np.allclose(found.losses["noisy"].holdout_gain, 0.1)


def test_a_flag_of_the_estimator_reaches_the_record(told):
    """With lr so high that only one head gains, another one loses its weight and is flagged one super-epoch later."""
    weights = told("super_epoch.weights", ONLINE | {"policy": "paper", "floor": 0.0}, epochs=10)
    dropped = [
        (earlier, later)
        for event, following in pairwise(weights)
        for earlier, later in zip(event.heads, following.heads, strict=True)
    ]
    assert any(earlier.weight == 0.0 for earlier, _ in dropped)
    for earlier, later in dropped:
        assert ("not_trained" in later.flags) == (earlier.weight == 0.0)


def test_what_is_known_survives_a_checkpoint():
    known = LiveLosses(
        now={"train": {"a": torch.ones(3)}, "holdout": {"a": torch.zeros(2)}},
        earlier={"train": {"a": torch.full((3,), 2.0)}, "holdout": {"a": torch.full((2,), 4.0)}},
    )
    again = LiveLosses.of(known.tensors())
    assert again.tensors().keys() == known.tensors().keys()
    assert all(torch.equal(value, again.tensors()[name]) for name, value in known.tensors().items())
    again.turn(keep=True)
    assert again.now is None
    assert torch.equal(again.earlier["train"]["a"], torch.ones(3))
    assert LiveLosses.of({}) == LiveLosses()
