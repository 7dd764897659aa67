"""A session whose live model has trained, and estimates over it."""

from dataclasses import replace

import pytest

from core.training.estimators import open_estimate
from core.training.learner import train_pass
from core.training.session import estimator_of


@pytest.fixture
def trained_session(make_spec, open_session):
    """Opens a session for an estimator's settings, with dropout and clipping: what copies could disturb in each other.

    The live model has trained for an epoch, so that there are moments to adopt.
    """

    def go(**estimator):
        blending = {"strategy": "online", "super_epochs": {"first": 2, "later": 1}, "estimator": estimator}
        session = open_session(make_spec(blending, dropout=0.3, training={"max_grad_norm": 0.5}))
        train_pass([session.live], session.batches.shuffled(session.data.split.train, 1))
        return session

    return go


@pytest.fixture
def opened():
    """The estimate of a session, of some heads alone or of a later super-epoch."""

    def go(session, heads=None, super_epoch=0):
        ground = replace(session.ground(), heads=tuple(heads or session.heads), super_epoch=super_epoch)
        return open_estimate(estimator_of(session.spec), ground)

    return go
