"""The baselines through the one loop: what they train, what they tell, what they cost."""

import json

import pytest
import safetensors.torch
import torch
from pydantic import ValidationError

from core.data.dataset import ModalityInfo
from core.models.classifier import build_model
from core.spec import JobSpec
from core.training.early_stopping import EarlyStopping, weighted
from core.training.plan import planned_samples, samples_done
from core.training.run import run
from tests.tiny import tiny_spec

ROWS = 84
STRATEGIES = ["naive", "equal", "ensemble", "uncertainty", "ogm_ge", "mmpareto"]
FUSIONS = ["mid_concat", "se_gate", "nl_gate"]


@pytest.fixture
def train(open_session, make_meter, tmp_path):
    """Runs a spec to its end and returns (session, events)."""

    def go(spec):
        session = open_session(spec)
        return session, list(run(session, make_meter(session), tmp_path))

    return go


def of_type(events, kind):
    return [event for event in events if event.type == kind]


def weights_of(event):
    return {head.head: head.weight for head in event.heads}


@pytest.mark.parametrize(
    ("strategy", "weights", "trained"),
    [
        ("ensemble", {"clean": 0.5, "noisy": 0.5, "fused": 0.0}, 2),
        ("ogm_ge", {"clean": 0.0, "noisy": 0.0, "fused": 1.0}, 1),
        ("mmpareto", {"clean": 1 / 3, "noisy": 1 / 3, "fused": 1 / 3}, 3),
    ],
)
def test_constant_weights_and_what_they_cost(train, make_spec, strategy, weights, trained):
    session, events = train(make_spec({"strategy": strategy}, epochs=2))
    (decided,) = of_type(events, "super_epoch.weights")
    assert weights_of(decided) == pytest.approx(weights)
    assert decided.policy == strategy
    assert not any("starved" in head.flags for head in decided.heads)
    assert events[-1].cost["training"].samples == 2 * ROWS * trained
    assert planned_samples(session) == samples_done(session)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_planned_is_what_is_done(train, make_spec, strategy):
    pretrain = 0 if strategy == "ensemble" else 2
    session, _ = train(make_spec({"strategy": strategy}, epochs=1, training={"pretrain_epochs": pretrain}))
    assert planned_samples(session) == samples_done(session)


def test_learnt_weights_are_told_at_every_epoch_as_they_are_in_force(open_session, make_meter, make_spec, tmp_path):
    session = open_session(make_spec({"strategy": "uncertainty"}, epochs=3))
    told, in_force = [], []
    for event in run(session, make_meter(session), tmp_path):
        if event.type == "super_epoch.weights":
            told.append(weights_of(event))
            in_force.append(session.live.rule.weights())
            assert (event.policy, event.epochs) == ("uncertainty", 1)
    assert told == in_force
    assert told[0] == pytest.approx(dict.fromkeys(session.heads, 1 / 3))
    assert len({str(weights) for weights in told}) == 3
    assert sum(told[-1].values()) == pytest.approx(1.0)


def test_an_ensemble_is_its_uni_modal_jobs_bit_for_bit(train, make_spec):
    # Dropout, clipping and momentum on: what networks trained side by side could disturb in each other.
    training = {"optimizer": {"type": "sgd", "lr": 0.1}, "max_grad_norm": 0.5}
    together, events = train(make_spec({"strategy": "ensemble"}, epochs=3, dropout=0.3, training=training))
    state = together.model.state_dict()
    for name in ("clean", "noisy"):
        blending = {"strategy": "unimodal", "modality": name}
        alone, _ = train(make_spec(blending, epochs=3, dropout=0.3, training=training))
        for key, value in alone.model.state_dict().items():
            assert torch.equal(state[key], value), key
    fresh = build_model(together.spec, together.data.modalities, 3)
    assert torch.equal(state["head_fused.layers.1.weight"], fresh.head("fused").classifier.weight)
    assert not of_type(events, "fine_tune.epoch")


def test_members_of_an_ensemble_stop_early_as_their_uni_modal_jobs_do(train, make_spec):
    training = {"early_stopping": {"patience": 2}, "optimizer": {"type": "adam", "lr": 0.05}}
    together, events = train(make_spec({"strategy": "ensemble"}, epochs=12, training=training))
    state, lengths = together.model.state_dict(), {}
    for name in ("clean", "noisy"):
        alone, told = train(make_spec({"strategy": "unimodal", "modality": name}, epochs=12, training=training))
        lengths[name] = len(of_type(told, "epoch.completed"))
        for key, value in alone.model.state_dict().items():
            assert torch.equal(state[key], value), key
    assert lengths["noisy"] < lengths["clean"]
    assert len(of_type(events, "epoch.completed")) == lengths["clean"]
    assert events[-1].cost["training"].samples == ROWS * sum(lengths.values())


def test_an_ensemble_can_answer_with_the_plain_average_of_its_heads(train, make_spec):
    _, events = train(make_spec({"strategy": "ensemble"}, epochs=2, answer="heads_average"))
    test = {measured.head: measured for measured in events[-1].test}
    assert events[-1].answer == "heads_average"
    assert test["fused"].flags == ("untrained",)
    assert test["clean"].flags == ()


@pytest.mark.parametrize("strategy", ["ensemble", "uncertainty", "ogm_ge", "mmpareto"])
def test_the_order_of_modalities_in_the_spec_changes_nothing(train, make_spec, strategy):
    spec = make_spec({"strategy": strategy}, epochs=2, dropout=0.3)
    dataset = spec.dataset.model_copy(update={"modalities": spec.dataset.modalities[::-1]})
    straight, _ = train(spec)
    turned, _ = train(spec.model_copy(update={"dataset": dataset}))
    expected = straight.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in turned.model.state_dict().items())


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("strategy", ["naive", "online", "mmpareto"])
def test_every_fusion_goes_through_the_loop_and_can_be_rebuilt_from_its_files(
    train, make_spec, tmp_path, fusion, strategy
):
    blending = {"strategy": strategy} | ({"super_epochs": {"first": 1, "later": 1}} if strategy == "online" else {})
    session, events = train(make_spec(blending, epochs=2, model={"fusion": fusion}))
    assert events[-1].type == "run.completed"
    card = json.loads((tmp_path / "artifacts" / "model.json").read_text())
    infos = {
        name: ModalityInfo(name=name, kind=info["kind"], shape=tuple(info["shape"]), categories=info["categories"])
        for name, info in card["modalities"].items()
    }
    again = build_model(JobSpec.model_validate(card["spec"]), infos, len(card["classes"]))
    tensors = safetensors.torch.load_file(tmp_path / "artifacts" / "model.safetensors")
    tuned = {name: tensors.pop(name) for name in list(tensors) if name.startswith("head_fused_fine_tuned.")}
    again.load_state_dict(tensors)
    again.eval()
    session.model.eval()
    batch = next(iter(session.batches.in_order(session.data.split.test)))
    assert torch.equal(again(batch.inputs)["fused"], session.model(batch.inputs)["fused"])
    again.head("fused").load_state_dict({name.split(".", 1)[1]: value for name, value in tuned.items()})
    assert not torch.equal(again(batch.inputs)["fused"], session.model(batch.inputs)["fused"])


# ----- early stopping


class Watched:
    """A learner of one number, which every epoch sets."""

    def __init__(self, weights):
        self.module = torch.nn.Linear(1, 1, bias=False)
        self.weights = weights

    def set(self, value):
        with torch.no_grad():
            self.module.weight.fill_(value)


def measured(make, **losses):
    return [make(head, loss) for head, loss in losses.items()]


@pytest.fixture
def make_measurement():
    from core.events import Measurement

    def make(head, loss, split="validation"):
        values = {"loss": loss, "loss_se": 0.0, "accuracy": 0.5, "accuracy_se": 0.0, "samples": 4}
        return Measurement(head=head, split=split, **values)

    return make


def test_the_watched_loss_is_the_weighted_mean():
    assert weighted({"a": 1.0, "b": 4.0, "c": 9.0}, {"a": 0.5, "b": 0.25}) == pytest.approx(2.0)


def test_patience_by_hand(make_measurement):
    learner = Watched({"a": 1.0})
    watch = EarlyStopping(learner, patience=2, part="validation")
    told = []
    for epoch, loss in enumerate([3.0, 2.0, 2.0, 2.5], start=1):
        learner.set(float(epoch))
        told.append(watch.look(measured(make_measurement, a=loss), epoch=epoch, last=False))
    assert [(stop.best_epoch, stop.best_loss, stop.over) for stop in told] == [
        (1, 3.0, False),
        (2, 2.0, False),
        (2, 2.0, False),  # as low is not lower
        (2, 2.0, True),
    ]
    assert learner.module.weight.item() == 2.0


def test_the_last_epoch_goes_back_to_the_best_one_too(make_measurement):
    learner = Watched({"a": 1.0})
    watch = EarlyStopping(learner, patience=5, part="validation")
    for epoch, loss in ((1, 1.0), (2, 2.0)):
        learner.set(float(epoch))
        watch.look(measured(make_measurement, a=loss), epoch=epoch, last=epoch == 2)
    assert watch.over
    assert learner.module.weight.item() == 1.0


def test_a_head_that_joins_late_does_not_end_the_training(make_measurement):
    # The mean jumps from 1.0 to 1.7 because it has one more head in it, and falls from there.
    learner = Watched({"a": 1.0})
    watch = EarlyStopping(learner, patience=1, part="validation", even=True)
    looks = [measured(make_measurement, a=1.0), measured(make_measurement, a=0.9, b=2.5)]
    told = []
    for epoch, found in enumerate(looks, start=1):
        learner.set(float(epoch))
        told.append(watch.look(found, epoch=epoch, last=False))
        again = EarlyStopping(learner, patience=1, part="validation", even=True)
        again.load(watch.tensors())
        watch = again
    assert [(stop.best_epoch, stop.best_loss, stop.over) for stop in told] == [(1, 1.0, False), (2, 1.7, False)]
    learner.set(3.0)
    assert watch.look(measured(make_measurement, a=0.9, b=2.6), epoch=3, last=False).over
    assert learner.module.weight.item() == 2.0


def test_a_restored_watch_knows_what_it_knew(make_measurement):
    learner = Watched({"a": 1.0})
    first = EarlyStopping(learner, patience=2, part="validation")
    learner.set(7.0)
    first.look(measured(make_measurement, a=1.0), epoch=1, last=False)
    second = EarlyStopping(learner, patience=2, part="validation")
    second.load({name: value.clone() for name, value in first.tensors().items()})
    learner.set(8.0)
    second.look(measured(make_measurement, a=1.5), epoch=2, last=False)
    assert second.look(measured(make_measurement, a=1.5), epoch=3, last=False).over
    assert learner.module.weight.item() == 7.0


@pytest.mark.parametrize("strategy", ["naive", "equal", "ogm_ge", "mmpareto"])
def test_a_run_stops_and_has_the_best_epochs_losses_again(train, make_spec, strategy):
    training = {"early_stopping": {"patience": 2}, "optimizer": {"type": "adam", "lr": 0.1}}
    session, events = train(make_spec({"strategy": strategy}, epochs=40, training=training))
    epochs = of_type(events, "epoch.completed")
    assert len(epochs) < 40
    stops = [stop for event in epochs for stop in event.early_stopping]
    assert [stop.over for stop in stops] == [False] * (len(epochs) - 1) + [True]
    assert len(epochs) == stops[-1].best_epoch + 2
    assert min(stop.loss for stop in stops) == stops[-1].best_loss == stops[stops[-1].best_epoch - 1].loss
    assert {stop.split for stop in stops} == {"validation"}
    # The fused head at the end is the best epoch's, and so is what the selection measures.
    best = {m.head: m.loss for m in epochs[stops[-1].best_epoch - 1].measurements if m.split == "validation"}
    end = {m.head: m.loss for m in events[-1].selection}
    assert end["fused"] == best["fused"]
    assert session.counters.epoch == len(epochs)


def test_v_is_watched_where_there_is_no_validation_part(train, make_spec):
    spec = make_spec({"strategy": "naive"}, epochs=1, training={"early_stopping": {"patience": 1}})
    values = spec.dataset.split.values.model_copy(update={"validation": (), "train": ("train", "validation")})
    split = spec.dataset.split.model_copy(update={"values": values})
    spec = spec.model_copy(update={"dataset": spec.dataset.model_copy(update={"split": split})})
    _, events = train(spec)
    (epoch,) = of_type(events, "epoch.completed")
    assert epoch.early_stopping[0].split == "holdout"


@pytest.mark.parametrize("strategy", ["online", "uncertainty"])
def test_where_weights_change_early_stopping_watches_the_plain_mean_and_ends_all_super_epochs(
    train, make_spec, strategy
):
    training = {"early_stopping": {"patience": 2}, "optimizer": {"type": "adam", "lr": 0.1}}
    blending = {"strategy": strategy} | ({"super_epochs": {"first": 1, "later": 1}} if strategy == "online" else {})
    _, events = train(make_spec(blending, epochs=12, training=training))
    epochs = of_type(events, "epoch.completed")
    assert len(epochs) < 12
    assert len(of_type(events, "super_epoch.weights")) == len(epochs)
    for event in epochs:
        (stop,) = event.early_stopping
        losses = [
            found.loss
            for found in event.measurements
            if found.split == stop.split and found.head in ("clean", "noisy", "fused")
        ]
        assert stop.loss == pytest.approx(sum(losses) / 3)
    best = min(epochs, key=lambda event: event.early_stopping[0].loss)
    assert epochs[-1].early_stopping[0].best_epoch == best.epoch


def test_without_early_stopping_nothing_is_told_of_it(train, make_spec):
    _, events = train(make_spec({"strategy": "naive"}, epochs=1))
    assert of_type(events, "epoch.completed")[0].early_stopping == ()


# ----- pre-training


def test_pre_training_goes_before_the_joint_training_and_trains_each_modality_alone(train, make_spec):
    spec = make_spec({"strategy": "naive"}, epochs=1, training={"pretrain_epochs": 2, "fine_tune": {"enabled": False}})
    _, events = train(spec)
    assert [event.type for event in events] == [
        "run.started",
        *["phase.started", "pretrain.epoch", "pretrain.epoch"],
        *["super_epoch.weights", "phase.started", "epoch.completed"],
        *["phase.started", "phase.started", "run.completed"],
    ]
    assert events[1].phase == "pretraining"
    assert {(m.head, m.split) for m in events[3].measurements} == {
        (head, part) for head in ("clean", "noisy") for part in ("train", "holdout", "validation")
    }
    assert events[-1].cost["pretraining"].samples == 2 * ROWS * 2


def test_the_joint_training_starts_from_the_pre_trained_networks_with_a_fresh_optimizer(
    open_session, make_meter, make_spec, tmp_path
):
    session = open_session(make_spec({"strategy": "naive"}, epochs=1, training={"pretrain_epochs": 2}))
    before = {name: value.clone() for name, value in session.model.state_dict().items()}
    for event in run(session, make_meter(session), tmp_path):
        if event.type == "super_epoch.weights":
            break
    changed = {name for name, value in session.model.state_dict().items() if not torch.equal(before[name], value)}
    assert changed == {name for name in before if not name.startswith("head_fused.")}
    assert not any(name.startswith("optimizer.") for name in session.live.tensors())
    assert session.apart is None


def test_without_pre_training_the_bits_are_those_of_before(train, make_spec):
    plain, _ = train(make_spec({"strategy": "naive"}, epochs=1))
    asked, _ = train(make_spec({"strategy": "naive"}, epochs=1, training={"pretrain_epochs": 0}))
    state = plain.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in asked.model.state_dict().items())


# ----- what a spec may not say


@pytest.mark.parametrize(
    ("blending", "parts", "message"),
    [
        ("ogm_ge", {"model": {"fusion": "se_gate"}}, "model.fusion 'se_gate' mixes"),
        ("ogm_ge", {"model": {"hidden": 8}}, "model.hidden must be 0"),
        ("ensemble", {"training": {"pretrain_epochs": 3}}, "training.pretrain_epochs means nothing"),
    ],
)
def test_recipes_that_do_not_fit_their_strategy(blending, parts, message):
    with pytest.raises(ValidationError, match=message):
        JobSpec.model_validate(tiny_spec({"strategy": blending}, **parts))


def test_a_modality_may_be_called_like_anything_of_ours(train, make_spec):
    spec = tiny_spec({"strategy": "ensemble"}, epochs=1)
    spec["dataset"]["modalities"][0]["name"] = "live"
    session, events = train(JobSpec.model_validate(spec))
    assert session.counters.trained == ["clean", "live"]
    assert events[-1].type == "run.completed"
