"""Eq. 4: per-sample directional derivatives against autograd and finite differences, for every part of a model."""

import copy

import numpy as np
import pytest
import torch

from core.blend import overfitting
from core.data.dataset import ModalityInfo
from core.models.classifier import build_model
from core.spec import JobSpec
from core.training.batches import Batch, InOrder
from core.training.estimators import LiveLosses, Spent, gradient
from core.training.estimators.gradient import directional
from core.training.learner import Learner
from core.training.objective import Multiclass, Multilabel

INFOS = {
    "audio": ModalityInfo(name="audio", kind="audio", shape=(1, 10, 12), categories=()),
    "series": ModalityInfo(name="series", kind="timeseries", shape=(16, 2), categories=()),
    "table": ModalityInfo(name="table", kind="tabular", shape=(5,), categories=(3, 4)),
}
"""A CNN, a TCN and an MLP with embeddings."""


def nothing(samples):
    return None


def model_and_batch(fusion="concat"):
    spec = JobSpec.model_validate(
        {
            "dataset": {
                "source": {"type": "manifest", "uri": "data://x.csv"},
                "target": {"column": "y"},
                "modalities": [
                    {"name": "audio", "type": "audio", "column": "a", "encoder": {"features": 6}},
                    {
                        "name": "series",
                        "type": "timeseries",
                        "column": "s",
                        "shape": [16, 2],
                        "encoder": {"features": 4, "dropout": 0.5},
                    },
                    {
                        "name": "table",
                        "type": "tabular",
                        "columns": [{"name": "t", "type": "number"}],
                        "encoder": {"features": 5},
                    },
                ],
                "split": {"method": "column", "column": "part"},
            },
            "model": {"fusion": fusion, "hidden": 7, "dropout": 0.3},
        }
    )
    model = build_model(spec, INFOS, 4).double()
    generator = torch.Generator().manual_seed(0)
    codes = torch.stack([torch.arange(6) % 3, torch.arange(6) % 4], dim=1).double()
    inputs = {
        "audio": torch.randn(6, 1, 10, 12, generator=generator, dtype=torch.float64),
        "series": torch.randn(6, 16, 2, generator=generator, dtype=torch.float64),
        "table": torch.cat([torch.randn(6, 3, generator=generator, dtype=torch.float64), codes], dim=1),
    }
    # A head that starts at 0 (the NL gate's) has derivatives of 0; move everything away from where it starts.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    direction = {
        name: torch.randn(value.shape, generator=generator, dtype=torch.float64)
        for name, value in model.named_parameters()
    }
    return model, Batch(inputs, torch.arange(6) % 4), direction


def slopes_by_autograd(model, head, batch, direction, objective):
    """One backward per sample."""
    found = []
    model.eval()
    losses = objective.losses(model(batch.inputs, [head])[head], batch.targets)
    for loss in losses:
        grads = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True, allow_unused=True)
        found.append(
            sum(
                float((grad * direction[name]).sum())
                for (name, _), grad in zip(model.named_parameters(), grads, strict=True)
                if grad is not None
            )
        )
    return np.array(found)


@pytest.mark.parametrize(
    ("fusion", "head"),
    [
        *[("concat", head) for head in ("audio", "series", "table", "fused")],
        *[(fusion, "fused") for fusion in ("mid_concat", "se_gate", "nl_gate")],
    ],
)
def test_forward_mode_agrees_with_a_backward_per_sample(fusion, head):
    model, batch, direction = model_and_batch(fusion)
    model.train()
    losses, slopes = directional(model, head, direction, InOrder([batch]), Multiclass())
    assert all(part.training for part in model.modules())
    assert losses.shape == slopes.shape == (6,)
    assert np.allclose(slopes.numpy(), slopes_by_autograd(model, head, batch, direction, Multiclass()), rtol=1e-9)
    assert float(slopes.abs().min()) > 1e-4


@pytest.mark.parametrize(
    "objective",
    [
        Multiclass(label_smoothing=0.1),
        Multiclass(class_weights=torch.tensor([0.5, 1.0, 1.5, 1.0])),
        Multilabel(),
    ],
)
def test_every_objective_has_a_forward_derivative(objective):
    model, batch, direction = model_and_batch()
    if isinstance(objective, Multilabel):
        batch = Batch(batch.inputs, torch.eye(4)[batch.targets])
    _, slopes = directional(model, "fused", direction, InOrder([batch]), objective)
    assert np.allclose(slopes.numpy(), slopes_by_autograd(model, "fused", batch, direction, objective), rtol=1e-9)


def test_it_agrees_with_finite_differences():
    model, batch, direction = model_and_batch()
    losses, slopes = directional(model, "fused", direction, InOrder([batch]), Multiclass())

    def at(step):
        moved = copy.deepcopy(model).eval()
        with torch.no_grad():
            for name, parameter in moved.named_parameters():
                parameter += step * direction[name]
            return Multiclass().losses(moved(batch.inputs, ["fused"])["fused"], batch.targets)

    assert torch.allclose(losses, at(0.0))
    assert torch.allclose(slopes, (at(1e-6) - at(-1e-6)) / 2e-6, rtol=1e-5, atol=1e-7)


def test_g_and_o_are_the_inner_products_of_eq_4(trained_session, opened):
    """The same steps taken by hand, and gradients of the *mean* losses over T and V."""
    session = trained_session(type="gradient", steps=3)
    ground = session.ground()
    found, _ = opened(session).finish(nothing)
    learners = ground.copies(moments=True)
    batches = list(session.batches.shuffled(ground.train, ground.order(0)))[:3]
    for head, learner in learners.items():
        start = {name: value.detach().clone() for name, value in learner.module.named_parameters()}
        reference = ground.copies(moments=False)[head].module
        learner.module.train()
        for batch in batches:
            learner.step(batch)
        step = {name: start[name] - value.detach() for name, value in learner.module.named_parameters()}
        along = {}
        for part, rows in (("train", ground.train), ("holdout", ground.holdout)):
            (batch,) = session.batches.in_order(rows)
            reference.eval().zero_grad()
            session.objective.loss(reference(batch.inputs, [head])[head], batch.targets).backward()
            along[part] = sum(float((value.grad * step[name]).sum()) for name, value in reference.named_parameters())
        measured = overfitting(found.losses[head])
        assert pytest.approx(along["holdout"], rel=1e-3, abs=1e-6) == measured.G
        assert pytest.approx(along["train"] - along["holdout"], rel=1e-3, abs=1e-5) == measured.O
        assert measured.G_se > 0.0


def test_it_touches_nothing_of_the_live_model(trained_session, opened):
    session = trained_session(type="gradient", steps=4, rows=20)
    before, state = session.live.tensors(), torch.get_rng_state()
    assert session.model.training
    opened(session).finish(nothing)
    assert session.model.training
    after = session.live.tensors()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_same_estimate_twice_gives_the_same_bits(trained_session, opened):
    session = trained_session(type="gradient", steps=4, rows=20)
    one, other = (opened(session).finish(nothing)[0] for _ in range(2))
    for head in session.heads:
        assert (one.losses[head].holdout_after == other.losses[head].holdout_after).all()
        assert (one.losses[head].train_after == other.losses[head].train_after).all()


def test_heads_do_not_disturb_each_other(trained_session, opened):
    session = trained_session(type="gradient", steps=4)
    together = opened(session).finish(nothing)[0].losses
    for head in session.heads:
        alone = opened(session, [head]).finish(nothing)[0].losses
        assert (alone[head].holdout_after == together[head].holdout_after).all()


def test_rows_and_samples_are_as_many_as_asked_for(trained_session, opened):
    session = trained_session(type="gradient", steps=8, rows=40)
    ticks = []
    estimate = opened(session)
    assert estimate.epochs == 0
    assert estimate.begin(LiveLosses()) == Spent()
    found, spent = estimate.finish(ticks.append)
    # T has 84 rows, batches of 16: a pass is 5 * 16 + 4, and two more batches follow; then a head at a time.
    assert ticks == [48, 48, 48, 48, 48, 12, 48, 48, 0, 0, 0]
    assert spent == Spent(samples=116 * 3, measured=(40 + 28) * 3)
    assert len(found.train) == 40
    assert np.array_equal(found.holdout, session.data.split.holdout)


def test_it_goes_on_from_any_step_and_any_head(trained_session, opened, monkeypatch):
    """What is known of a head is not computed again, and the losses have the same bits."""
    session = trained_session(type="gradient", steps=8, rows=40)
    whole, states = opened(session), [{}]
    assert whole.tensors() == {}
    expected, spent = whole.finish(lambda _samples: states.append(whole.tensors()))
    assert len(states) == 1 + 8 + 3
    worked = []
    step = Learner.step
    monkeypatch.setattr(Learner, "step", lambda self, batch: (worked.append("step"), step(self, batch)))
    monkeypatch.setattr(
        gradient, "directional", lambda *arguments: (worked.append(arguments[1]), directional(*arguments))[1]
    )
    for done, state in enumerate(states):
        resumed = opened(session)
        resumed.load(state)
        worked.clear()
        found, cost = resumed.finish(nothing, done)
        assert cost == spent
        heads = session.heads[max(done - 8, 0) :]
        assert worked == ["step"] * 3 * (8 - done) + [head for head in heads for _ in ("train", "holdout")]
        for head in session.heads:
            for values in ("train_before", "train_after", "holdout_before", "holdout_after"):
                assert (getattr(found.losses[head], values) == getattr(expected.losses[head], values)).all()


def test_the_rows_are_not_those_of_the_step(trained_session, opened):
    session = trained_session(type="gradient", steps=2, rows=32)
    found, _ = opened(session).finish(nothing)
    ground = session.ground()
    stepped = np.random.default_rng(ground.order(0)).permutation(ground.train)[:32]
    assert 4 < len(set(found.train.tolist()) & set(stepped.tolist())) < 24
