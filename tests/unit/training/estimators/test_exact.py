"""GB_Estimate: one pass for all heads equals one pass each, bit for bit; the live model is not touched."""

import numpy as np
import pytest
import torch

from core.training.estimators import PARTS, LiveLosses, Spent


def nothing(samples):
    return None


def run_estimate(estimate, epochs=3):
    """Tensors and losses of an estimate after so many epochs."""
    estimate.begin(LiveLosses())
    for epoch in range(epochs):
        estimate.epoch(epoch, nothing)
    tensors = estimate.tensors()
    found, _ = estimate.finish(nothing)
    return tensors, found


@pytest.mark.parametrize("settings", [{}, {"optimizer_state": "live"}, {"subset": 0.5}])
def test_all_heads_in_one_pass_are_bit_identical_to_one_head_after_another(trained_session, opened, settings):
    session = trained_session(type="exact", **settings)
    together, together_found = run_estimate(opened(session))
    for head in session.heads:
        alone, alone_found = run_estimate(opened(session, [head]))
        assert alone
        for name, value in alone.items():
            assert torch.equal(together[name], value), name
        for part in ("train_before", "train_after", "holdout_before", "holdout_after"):
            assert (getattr(together_found.losses[head], part) == getattr(alone_found.losses[head], part)).all()


@pytest.mark.parametrize("settings", [{"optimizer_state": "live"}, {"subset": 0.4}])
def test_an_estimate_touches_nothing_of_the_live_model(trained_session, opened, settings):
    session = trained_session(type="exact", **settings)
    before, state = session.live.tensors(), torch.get_rng_state()
    run_estimate(opened(session))
    after = session.live.tensors()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_starting_optimizer_state_is_a_choice_that_matters(trained_session, opened):
    fresh, _ = run_estimate(opened(trained_session(type="exact"), ["fused"]))
    live, _ = run_estimate(opened(trained_session(type="exact", optimizer_state="live"), ["fused"]))
    assert any(not torch.equal(fresh[name], live[name]) for name in fresh if ".module." in name)


@pytest.mark.parametrize("settings", [{}, {"subset": 0.5}])
def test_a_restored_estimate_ends_where_an_undisturbed_one_does(trained_session, opened, settings):
    session = trained_session(type="exact", **settings)
    expected, expected_found = run_estimate(opened(session))
    first = opened(session)
    first.begin(LiveLosses())
    first.epoch(0, nothing)
    second = opened(session)
    second.load(first.tensors())
    for epoch in (1, 2):
        second.epoch(epoch, nothing)
    found = second.tensors()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert np.array_equal(second.finish(nothing)[0].train, expected_found.train)


def test_before_and_after_are_measured_on_the_same_rows(trained_session, opened):
    session = trained_session(type="exact")
    _, found = run_estimate(opened(session), epochs=1)
    for head in found.losses.values():
        assert head.train_before.shape == head.train_after.shape == session.data.split.train.shape
        assert head.holdout_before.shape == head.holdout_after.shape == session.data.split.holdout.shape


def test_losses_that_are_known_already_are_those_that_would_be_measured(trained_session, opened):
    session = trained_session(type="exact")
    known = LiveLosses(now=session.ground().measure_parts()[0])
    measured, taken = opened(session), opened(session)
    assert measured.begin(LiveLosses()) == Spent(samples=0, measured=(84 + 28) * 3)
    assert taken.begin(known) == Spent()
    assert known.now is None
    expected, found = measured.tensors(), taken.tensors()
    for part in PARTS:
        for head in session.heads:
            assert torch.equal(expected[f"before.{part}.{head}"], found[f"before.{part}.{head}"])


def test_a_subset_is_trained_on_and_measured_and_v_stays_whole(trained_session, opened):
    session = trained_session(type="exact", subset=0.5)
    ticks = []
    estimate = opened(session)
    assert estimate.begin(LiveLosses()).measured == (42 + 28) * 3
    assert estimate.epoch(0, ticks.append) == Spent(samples=42 * 3)
    assert ticks == [48, 48, 30]
    found, spent = estimate.finish(nothing)
    assert spent.measured == (42 + 28) * 3
    assert set(found.train.tolist()) < set(session.data.split.train.tolist())
    assert np.array_equal(found.holdout, session.data.split.holdout)
    assert {head.train_after.size for head in found.losses.values()} == {42}


def test_a_subset_takes_its_own_rows_of_what_is_known(trained_session, opened):
    session = trained_session(type="exact", subset=0.5)
    measured, taken = opened(session), opened(session)
    measured.begin(LiveLosses())
    taken.begin(LiveLosses(now=session.ground().measure_parts()[0]))
    for head in session.heads:
        # Other rows in the batch may move the last bit.
        assert torch.allclose(
            measured.tensors()[f"before.train.{head}"], taken.tensors()[f"before.train.{head}"], rtol=1e-5, atol=1e-6
        )


def test_every_super_epoch_draws_a_subset_of_its_own(trained_session, opened):
    session = trained_session(type="exact", subset=0.5)
    rows = [run_estimate(opened(session, super_epoch=index), epochs=0)[1].train for index in (0, 1, 0)]
    assert np.array_equal(rows[0], rows[2])
    assert not np.array_equal(rows[0], rows[1])
