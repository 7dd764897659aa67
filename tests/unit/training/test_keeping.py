"""Which epoch's parameters stay: by hand, and in a run that overfits."""

import numpy as np
import pytest
import torch

from core.training.keeping import BestEpoch
from core.training.measure import Scores
from core.training.scoring import MulticlassMetrics

ROWS = 100


def scores(*right):
    """Scores of the heads in order, each right on so many rows, from the first row on."""
    found = {}
    for name, count in zip(("clean", "noisy", "fused"), right, strict=False):
        evidence = np.zeros((ROWS, 2), dtype=np.int64)
        evidence[count:, 0] = 1
        found[name] = Scores(np.zeros(ROWS), evidence, MulticlassMetrics())
    return found


@pytest.fixture
def learner(make_spec, open_session):
    """The live learner of a session."""
    return open_session(make_spec({"strategy": "equal"})).live


def mark(learner, value):
    with torch.no_grad():
        for parameter in learner.module.parameters():
            parameter.fill_(value)


def marked(learner):
    return next(iter(learner.module.parameters())).flatten()[0].item()


def watched(learner, *epochs, groups=None):
    """What is said after the last of these epochs, each a tuple of rows that the heads were right on."""
    watch = BestEpoch(learner, groups)
    for epoch, right in enumerate(epochs, 1):
        mark(learner, float(epoch))
        said = watch.look(scores(*right), epoch=epoch, last=epoch == len(epochs))
    return said


def test_an_earlier_epoch_that_was_clearly_better_comes_back(learner):
    # Means over three heads: 60, 90 and 60 of 100 rows. The gain is 1 on 30 rows: 0.3, error 0.46 / 10.
    said = watched(learner, (60, 60, 60), (90, 90, 90), (60, 60, 60))
    assert (said.epoch, said.heads) == (2, ("clean", "noisy", "fused"))
    assert said.gain == pytest.approx(0.3)
    assert said.gain_se == pytest.approx(np.sqrt(0.3 * 0.7 / 99))
    assert marked(learner) == 2.0


def test_within_one_standard_error_the_last_epoch_stays(learner):
    # Two rows lost, one won: a gain of 0.01 with an error of 0.017.
    watch = BestEpoch(learner, None)
    for epoch, right in enumerate(([*range(82)], [*range(2, 82), 99]), 1):
        mark(learner, float(epoch))
        evidence = np.ones((ROWS, 2), dtype=np.int64)
        evidence[:, 1] = np.isin(np.arange(ROWS), right)
        said = watch.look(
            {"fused": Scores(np.zeros(ROWS), evidence, MulticlassMetrics())}, epoch=epoch, last=epoch == 2
        )
    assert said is None
    assert marked(learner) == 2.0


def test_of_epochs_that_are_alike_the_later_one_is_remembered(learner):
    assert watched(learner, (90, 90, 90), (90, 90, 90), (50, 50, 50)).epoch == 2


def test_what_counts_is_the_mean_over_the_heads(learner):
    assert watched(learner, (90, 60, 60), (60, 75, 75)) is None
    assert watched(learner, (90, 60, 60), (60, 60, 60)).epoch == 1


def test_groups_are_what_is_independent(learner):
    # All that was lost was lost in one of two groups.
    assert watched(learner, (90, 90, 90), (60, 60, 60), groups=np.repeat([0, 1], 50)) is None
    assert watched(learner, (90, 90, 90), (60, 60, 60)).epoch == 1


def test_a_head_that_joins_starts_the_comparison_anew(learner):
    assert watched(learner, (99, 99), (70, 70, 70), (71, 71, 71)) is None


def test_a_run_of_one_epoch_keeps_it(learner):
    assert watched(learner, (50, 50, 50)) is None


def test_it_goes_on_from_its_tensors(learner):
    whole, first = BestEpoch(learner, None), BestEpoch(learner, None)
    for watch in (whole, first):
        mark(learner, 1.0)
        watch.look(scores(90, 90, 90), epoch=1, last=False)
    second = BestEpoch(learner, None)
    second.load({name: value.clone() for name, value in first.tensors().items()})
    mark(learner, 2.0)
    assert second.look(scores(60, 60, 60), epoch=2, last=True) == whole.look(scores(60, 60, 60), epoch=2, last=True)
    assert marked(learner) == 1.0


OVERFITTING = {"optimizer": {"type": "adam", "lr": 0.2}, "fine_tune": {"enabled": False}}


def test_a_run_tells_what_it_went_back_to_and_answers_with_it(train, make_spec):
    for seed in range(6):
        spec = make_spec({"strategy": "naive"}, epochs=12, training=OVERFITTING, seed=seed)
        _, events = train(spec)
        *_, last = [event for event in events if event.type == "epoch.completed"]
        if last.restored:
            break
    (restored,) = last.restored
    assert restored.gain > restored.gain_se
    by_epoch = {event.epoch: event for event in events if event.type == "epoch.completed"}
    then = next(m for m in by_epoch[restored.epoch].measurements if (m.head, m.split) == ("fused", "validation"))
    chosen = next(m for m in events[-1].selection if m.head == "fused")
    assert (chosen.loss, chosen.accuracy) == (then.loss, then.accuracy)


@pytest.mark.parametrize("training", [{"keep": "last"}, {"early_stopping": {"patience": 20}}])
def test_nothing_is_put_back_where_that_was_not_wanted(train, make_spec, training):
    _, events = train(make_spec({"strategy": "naive"}, epochs=6, training=OVERFITTING | training))
    assert all(event.restored == () for event in events if event.type == "epoch.completed")
