"""Every strategy through the one loop: what is told, in which order, and what the numbers must satisfy."""

import math

import pytest
import torch

from core.errors import TrainingError
from core.training.run import run


def types(events):
    return [event.type for event in events]


def test_an_online_run_tells_everything_in_order(train, make_spec):
    _, events = train(make_spec(epochs=3))
    assert types(events) == [
        "run.started",
        *["phase.started", "estimate.epoch", "estimate.epoch", "super_epoch.weights"],
        *["phase.started", "epoch.completed", "epoch.completed"],
        *["phase.started", "estimate.epoch", "super_epoch.weights"],
        *["phase.started", "epoch.completed"],
        *["phase.started", "fine_tune.epoch", "fine_tune.epoch"],
        *["phase.started", "phase.started", "run.completed"],
    ]


def test_the_weights_of_every_super_epoch_sum_to_one_and_cover_every_epoch(train, make_spec):
    _, events = train(make_spec(epochs=5))
    weights = [event for event in events if event.type == "super_epoch.weights"]
    assert [(event.first_epoch, event.epochs) for event in weights] == [(0, 2), (2, 1), (3, 1), (4, 1)]
    for event in weights:
        assert [head.head for head in event.heads] == ["clean", "noisy", "fused"]
        assert sum(head.weight for head in event.heads) == pytest.approx(1.0)
        for head in event.heads:
            G = head.holdout_before - head.holdout_after
            O = (head.holdout_after - head.train_after) - (head.holdout_before - head.train_before)
            assert (pytest.approx(G), pytest.approx(O)) == (head.G, head.O)
            assert head.weight_low <= head.weight + 1e-9
        assert set(event.alternatives) == {"paper", "shrunk", "correlated"}


def test_a_modality_of_pure_noise_loses_its_weight(train, make_spec):
    _, events = train(make_spec({"strategy": "offline", "floor": 0.0}, epochs=6))
    (decided,) = [event for event in events if event.type == "super_epoch.weights"]
    heads = {head.head: head for head in decided.heads}
    assert heads["clean"].G > 0.0
    assert heads["noisy"].weight < 0.05 < heads["clean"].weight
    assert decided.cost.samples == 6 * 84 * 3


@pytest.mark.parametrize(
    ("blending", "weights"),
    [
        ({"strategy": "naive"}, {"clean": 0.0, "noisy": 0.0, "fused": 1.0}),
        ({"strategy": "equal"}, {"clean": 1 / 3, "noisy": 1 / 3, "fused": 1 / 3}),
        ({"strategy": "fixed", "weights": {"clean": 3.0, "fused": 1.0}}, {"clean": 0.75, "noisy": 0.0, "fused": 0.25}),
        ({"strategy": "unimodal", "modality": "clean"}, {"clean": 1.0}),
    ],
)
def test_strategies_without_an_estimate_have_constant_weights(train, make_spec, blending, weights):
    _, events = train(make_spec(blending, epochs=2))
    (decided,) = [event for event in events if event.type == "super_epoch.weights"]
    assert {head.head: head.weight for head in decided.heads} == pytest.approx(weights)
    assert decided.policy == blending["strategy"]
    assert not any(event.type == "estimate.epoch" for event in events)


def test_test_metrics_name_every_head_and_flag_the_untrained(train, make_spec):
    _, events = train(make_spec({"strategy": "naive"}, epochs=2))
    test = {measured.head: measured for measured in events[-1].test}
    assert set(test) == {"clean", "noisy", "fused", "fused_fine_tuned", "heads_pool"}
    assert test["clean"].flags == test["noisy"].flags == ("untrained",)
    assert test["fused"].flags == ()
    assert {measured.samples for measured in test.values()} == {32}


def test_a_blend_reports_the_average_of_its_heads(train, make_spec):
    _, events = train(make_spec({"strategy": "equal"}, epochs=2))
    assert {measured.head for measured in events[-1].test} == {
        "clean",
        "noisy",
        "fused",
        "fused_fine_tuned",
        "heads_average",
        "heads_pool",
    }
    assert {measured.split for measured in events[-1].selection} == {"validation"}


def test_a_unimodal_run_has_one_head_and_no_fine_tune(train, make_spec):
    session, events = train(make_spec({"strategy": "unimodal", "modality": "noisy"}, epochs=2))
    assert session.heads == ("noisy",)
    assert events[-1].answer == "noisy"
    assert "fine_tune.epoch" not in types(events)


def test_the_fine_tune_can_be_switched_off(train, make_spec):
    _, events = train(make_spec({"strategy": "naive"}, epochs=1, training={"fine_tune": {"enabled": False}}))
    assert events[-1].answer == "fused"
    assert "fine_tune.epoch" not in types(events)


def test_the_answer_can_be_asked_for(train, make_spec):
    _, events = train(make_spec({"strategy": "equal"}, epochs=1, answer="heads_average"))
    assert (events[-1].answer, events[-1].answer_reason) == ("heads_average", "asked for in the spec")


def test_the_fine_tune_leaves_encoders_and_the_blended_head_alone(open_session, make_meter, make_spec, tmp_path):
    session = open_session(make_spec({"strategy": "equal"}, epochs=1))
    before = None
    for event in run(session, make_meter(session), tmp_path):
        if event.type == "epoch.completed":
            before = {name: value.clone() for name, value in session.model.state_dict().items()}
    after = session.model.state_dict()
    assert before is not None
    assert all((before[name] == after[name]).all() for name in before)


def test_held_out_rows_are_never_trained_on(open_session, make_spec):
    session = open_session(make_spec())
    split = session.data.split
    parts = [set(rows.tolist()) for rows in (split.train, split.holdout, split.validation, split.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 160


def test_the_order_of_modalities_in_the_spec_changes_nothing(train, make_spec):
    spec = make_spec(epochs=2)
    dataset = spec.dataset.model_copy(update={"modalities": spec.dataset.modalities[::-1]})
    _, straight = train(spec)
    _, turned = train(spec.model_copy(update={"dataset": dataset}))
    assert straight[-1].test == turned[-1].test
    assert straight[-1].weights == turned[-1].weights


def test_a_loss_that_is_no_number_is_an_error_that_says_what_to_do(open_session, make_meter, make_spec, tmp_path):
    session = open_session(make_spec({"strategy": "naive"}, epochs=1))
    with torch.no_grad():
        next(iter(session.model.head("fused").parameters())).fill_(math.nan)
    with pytest.raises(TrainingError, match="the train loss of the head 'fused' is not finite after epoch 1") as caught:
        list(run(session, make_meter(session), tmp_path))
    assert caught.value.code == "training.loss_not_finite"
    assert "lr" in caught.value.hint


def test_costs_count_samples_per_head(train, make_spec):
    _, events = train(make_spec(epochs=2))
    completed = events[-1]
    assert completed.cost["estimating"].samples == 2 * 84 * 3
    active = [len([w for w in [h.weight for h in e.heads] if w > 0]) for e in events if e.type == "super_epoch.weights"]
    assert completed.cost["training"].samples == 2 * 84 * active[0]
    assert completed.cost["fine_tuning"].samples == 2 * 84
    assert math.isfinite(completed.cost["training"].seconds)


def test_a_blend_whose_weight_is_all_on_one_head_can_still_answer_with_it(train, make_spec):
    _, events = train(make_spec({"strategy": "fixed", "weights": {"clean": 1.0}}, epochs=2, answer="heads_average"))
    test = {measured.head: measured for measured in events[-1].test}
    assert events[-1].answer == "heads_average"
    assert test["heads_average"].accuracy == test["clean"].accuracy
    assert test["fused"].flags == ("untrained",)
