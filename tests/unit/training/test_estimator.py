"""GB_Estimate: one pass for all heads equals one pass each, bit for bit; the live model is not touched."""

import pytest
import torch

from core.models.seeding import derive
from core.spec.recipe import ExactEstimator
from core.training.estimator import Estimate
from core.training.learner import train_pass


def estimate(session, heads, optimizer_state="fresh"):
    return Estimate(
        session.live,
        heads,
        estimator=ExactEstimator(optimizer_state=optimizer_state),
        training=session.spec.training,
        seed=9,
        device=session.device,
    )


def run_estimate(session, heads, epochs=3, optimizer_state="fresh"):
    """Tensors and losses of an estimate over `epochs` of the session's training rows."""
    train, holdout = session.data.split.train, session.data.split.holdout
    found = estimate(session, heads, optimizer_state)
    found.measure_before(session.batches.in_order(train), session.batches.in_order(holdout))
    for epoch in range(epochs):
        found.train_epoch(session.batches.shuffled(train, derive(9, "order", epoch)))
    return found.tensors(), found.losses(session.batches.in_order(train), session.batches.in_order(holdout))


@pytest.fixture
def session(make_spec, open_session):
    """Dropout and clipping on: the two things that copies could disturb in each other. The live model has trained."""
    session = open_session(make_spec(dropout=0.3, training={"max_grad_norm": 0.5}))
    train_pass([session.live], session.batches.shuffled(session.data.split.train, 1))
    return session


@pytest.mark.parametrize("optimizer_state", ["fresh", "live"])
def test_all_heads_in_one_pass_are_bit_identical_to_one_head_after_another(session, optimizer_state):
    together, together_losses = run_estimate(session, session.heads, optimizer_state=optimizer_state)
    for head in session.heads:
        alone, alone_losses = run_estimate(session, [head], optimizer_state=optimizer_state)
        assert alone
        for name, value in alone.items():
            assert torch.equal(together[name], value), name
        for part in ("train_before", "train_after", "holdout_before", "holdout_after"):
            assert (getattr(together_losses[head], part) == getattr(alone_losses[head], part)).all()


def test_an_estimate_touches_nothing_of_the_live_model(session):
    before = session.live.tensors()
    state = torch.get_rng_state()
    run_estimate(session, session.heads, optimizer_state="live")
    after = session.live.tensors()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_starting_optimizer_state_is_a_choice_that_matters(session):
    fresh, _ = run_estimate(session, ["fused"], optimizer_state="fresh")
    live, _ = run_estimate(session, ["fused"], optimizer_state="live")
    assert any(not torch.equal(fresh[name], live[name]) for name in fresh if ".module." in name)


def test_a_restored_estimate_ends_where_an_undisturbed_one_does(session):
    train, holdout = session.data.split.train, session.data.split.holdout
    expected, _ = run_estimate(session, session.heads, epochs=3)
    first = estimate(session, session.heads)
    first.measure_before(session.batches.in_order(train), session.batches.in_order(holdout))
    first.train_epoch(session.batches.shuffled(train, derive(9, "order", 0)))
    second = estimate(session, session.heads)
    second.load(first.tensors())
    for epoch in (1, 2):
        second.train_epoch(session.batches.shuffled(train, derive(9, "order", epoch)))
    found = second.tensors()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_before_and_after_are_measured_on_the_same_rows(session):
    _, losses = run_estimate(session, session.heads, epochs=1)
    for head in losses.values():
        assert head.train_before.shape == head.train_after.shape == session.data.split.train.shape
        assert head.holdout_before.shape == head.holdout_after.shape == session.data.split.holdout.shape
