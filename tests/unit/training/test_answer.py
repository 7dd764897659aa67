"""What a model answers with: the rule by hand, and its record in a run."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.models.seeding import derive
from core.spec.base import FINE_TUNED, POOL
from core.training import diagnostics
from core.training.answer import BEST_SINGLE, choose_among
from core.training.forgetting import PROBE_EPOCHS, forgotten

ROWS = 300


@pytest.fixture
def trained(make_spec, open_session):
    """A session whose heads `clean`, `noisy` and `fused` have all had weight; keyword arguments go into its spec."""

    def make(**parts):
        found = open_session(make_spec({"strategy": "equal"}, **parts))
        found.counters.trained = list(found.heads)
        found.counters.weights = dict.fromkeys(found.heads, 1 / 3)
        return found

    return make


@pytest.fixture
def session(trained):
    """The default answer."""
    return trained()


def says(targets, share, seed, strength=3.0):
    """Outputs [N, 3] that are right for `share` of the rows, drawn independently per seed."""
    generator = torch.Generator().manual_seed(seed)
    said = torch.where(
        torch.rand(len(targets), generator=generator) < share,
        targets,
        (targets + torch.randint(1, 3, (len(targets),), generator=generator)) % 3,
    )
    return strength * torch.nn.functional.one_hot(said, 3).double()


@pytest.fixture
def targets():
    """Three classes in turn."""
    return torch.arange(ROWS) % 3


def test_heads_that_err_on_different_rows_are_pooled(session, targets):
    outputs = {name: says(targets, 0.75, seed) for seed, name in enumerate(("clean", "noisy", "fused"))}
    answer = choose_among(session, outputs, targets, None)
    assert answer.head == POOL
    assert answer.runner_up in ("clean", "noisy", "fused", "heads_average")
    assert answer.margin == pytest.approx(0.0, abs=0.15)
    assert sorted(answer.pool) == ["clean", "fused", "noisy"]


def test_the_pool_is_judged_on_rows_that_it_was_not_fitted_on(trained):
    # Heads that guess, on a dozen rows: fitted on all of them, the pool looks better than it is.
    session = trained(answer=POOL)
    targets = torch.arange(12) % 3
    optimism = []
    for seed in range(10):
        outputs = {name: says(targets, 1 / 3, 3 * seed + k) for k, name in enumerate(("clean", "noisy", "fused"))}
        answer = choose_among(session, outputs, targets, None)
        pooled = session.objective.pool(outputs, {name: torch.tensor(weight) for name, weight in answer.pool.items()})
        gain = (pooled.argmax(dim=1) == targets).double().mean().item() - _accuracy(session, outputs, answer, targets)
        optimism.append(gain - answer.margin)
    assert np.mean(optimism) > 0.05


def _accuracy(session, outputs, answer, targets):
    if answer.runner_up == "heads_average":
        output = session.objective.average(outputs, session.average)
    else:
        output = outputs[answer.runner_up]
    return (output.argmax(dim=1) == targets).double().mean().item()


def test_a_clearly_better_head_beats_the_pool(session, targets):
    # The fused head is always right, and so faint that heads that guess drown it in any pool with weights near 1/3.
    guesses = {name: says(targets, 1 / 3, seed, strength=0.05) for seed, name in enumerate(("clean", "noisy"))}
    answer = choose_among(session, guesses | {"fused": says(targets, 1.0, 2, strength=0.001)}, targets, None)
    assert answer.head == "fused"
    assert answer.reason == "best on the rows of the choice, and better than 'heads_pool' by more than the noise"
    assert answer.margin > answer.margin_se > 0.0


@pytest.mark.parametrize("asked", ["fused", "heads_average", POOL])
def test_what_the_spec_asks_for_is_taken(trained, targets, asked):
    session = trained(answer=asked)
    outputs = {name: says(targets, 0.5 + 0.1 * seed, seed) for seed, name in enumerate(("fused", "clean", "noisy"))}
    answer = choose_among(session, outputs, targets, None)
    assert (answer.head, answer.reason) == (asked, "asked for in the spec")
    assert answer.margin_se > 0.0


def test_the_best_single_modality_can_be_asked_for(trained, targets):
    session = trained(answer=BEST_SINGLE)
    outputs = {name: says(targets, share, 1) for name, share in (("fused", 0.9), ("clean", 0.6), ("noisy", 0.4))}
    answer = choose_among(session, outputs, targets, None)
    assert answer.head == "clean"
    assert answer.margin < 0.0


def test_an_answer_that_the_run_does_not_have_is_told(make_spec, open_session, targets):
    session = open_session(make_spec({"strategy": "naive"}, answer=BEST_SINGLE))
    session.counters.trained = ["fused"]
    outputs = {"fused": says(targets, 0.7, 0), FINE_TUNED: says(targets, 0.7, 1)}
    answer = choose_among(session, outputs, targets, None)
    assert answer.head in (POOL, "fused", FINE_TUNED)
    assert answer.reason.startswith("the spec asks for 'best_single', which this run does not have; ")


def test_the_margin_knows_of_groups(session, targets):
    # One group in which every head is right, one in which only the pool's heads are: rows are not what is independent.
    outputs = {name: says(targets, 0.75, seed) for seed, name in enumerate(("clean", "noisy", "fused"))}
    groups = np.repeat([0, 1, 2], 100)
    alone = choose_among(session, outputs, targets, None)
    grouped = choose_among(session, outputs, targets, groups)
    assert grouped.margin == pytest.approx(alone.margin, abs=0.05)  # other folds, too
    assert grouped.margin_se != alone.margin_se


def test_the_same_seed_gives_the_same_folds(session, targets):
    outputs = {name: says(targets, 0.6, seed) for seed, name in enumerate(("clean", "noisy", "fused"))}
    assert choose_among(session, outputs, targets, None) == choose_among(session, outputs, targets, None)
    assert derive(3, "answer", "folds") != derive(4, "answer", "folds")


def test_a_run_records_the_choice_and_what_each_modality_contributes(train, make_spec):
    _, events = train(make_spec({"strategy": "equal"}, epochs=6))
    done = events[-1]
    assert done.answer == POOL
    assert done.answer_part == "validation"
    assert done.answer_margin_se >= 0.0
    assert sorted(done.pool) == ["clean", "fused", "fused_fine_tuned", "noisy"]
    assert {measured.head for measured in done.test} >= {POOL, FINE_TUNED, "heads_average", "fused", "clean", "noisy"}
    drops = {found.modality: found.drop for found in done.contributions}
    assert drops["clean"] > 0.2  # of 3 classes, 32 test rows: without it the answer guesses
    assert drops["noisy"] < drops["clean"]


def test_a_head_that_does_not_read_a_modality_loses_nothing_without_it(train, make_spec):
    _, events = train(make_spec({"strategy": "equal"}, epochs=3, answer=BEST_SINGLE))
    done = events[-1]
    (other,) = {"clean", "noisy"} - {done.answer}
    assert next(found.drop for found in done.contributions if found.modality == other) == 0.0


def test_contributions_can_be_left_out(train, make_spec):
    _, events = train(make_spec({"strategy": "equal"}, epochs=1, diagnostics={"contributions": False}))
    assert events[-1].contributions == ()


def test_forgetting_compares_each_encoder_with_one_trained_alone(train, make_spec):
    session, events = train(make_spec({"strategy": "naive"}, epochs=4, diagnostics={"forgetting": True}))
    lost = {found.modality: found for found in events[-1].forgotten}
    assert sorted(lost) == ["clean", "noisy"]
    assert lost["clean"].alone > 0.6  # 3 classes
    for found in lost.values():
        assert found.forgotten == pytest.approx(found.alone - found.joint)
        assert found.forgotten_se >= 0.0
    assert session.counters.cost["training"]["samples"] == 4 * len(session.data.split.train)


def test_a_modality_that_trained_alone_has_forgotten_nothing(train, make_spec):
    # All weight on one uni-modal head: its encoder takes the very steps that it would have taken alone.
    blending = {"strategy": "fixed", "weights": {"clean": 1.0}}
    _, events = train(make_spec(blending, epochs=3, diagnostics={"forgetting": True}))
    clean, noisy = events[-1].forgotten
    assert (clean.modality, clean.forgotten, clean.forgotten_se) == ("clean", 0.0, 0.0)
    assert noisy.alone != noisy.joint


def test_the_network_alone_goes_back_to_its_best_epoch_where_the_joint_one_does(train, make_spec):
    blending = {"strategy": "fixed", "weights": {"clean": 1.0}}
    training = {"optimizer": {"type": "adam", "lr": 0.2}, "fine_tune": {"enabled": False}}
    for seed in range(8):
        spec = make_spec(blending, epochs=12, training=training, diagnostics={"forgetting": True}, seed=seed)
        _, events = train(spec)
        *_, last = [event for event in events if event.type == "epoch.completed"]
        if last.restored:
            break
    assert last.restored
    clean, _ = events[-1].forgotten
    assert (clean.modality, clean.forgotten, clean.forgotten_se) == ("clean", 0.0, 0.0)


@pytest.mark.parametrize("blending", [{"strategy": "ensemble"}, {"strategy": "unimodal", "modality": "clean"}])
def test_nothing_is_forgotten_where_nothing_is_joint(train, make_spec, blending):
    _, events = train(make_spec(blending, epochs=1, diagnostics={"forgetting": True}))
    assert events[-1].forgotten == ()


@pytest.mark.parametrize("answer", [BEST_SINGLE, POOL, "fused"])
def test_a_run_of_one_modality_answers_with_its_head(train, make_spec, answer):
    _, events = train(make_spec({"strategy": "unimodal", "modality": "clean"}, epochs=1, answer=answer))
    done = events[-1]
    assert (done.answer, done.pool, done.answer_margin, done.forgotten) == ("clean", {}, None, ())
    assert ("does not have" in done.answer_reason) == (answer != BEST_SINGLE)
    assert [found.modality for found in done.contributions] == ["clean"]


@pytest.mark.parametrize("rows", [1, 2])
def test_a_row_or_two_decide_nothing(session, rows):
    # The fused head is right, and the pool, which guesses drown it in, is wrong on every row that there is.
    targets = torch.arange(rows) % 3
    wrong = torch.nn.functional.one_hot((targets + 1) % 3, 3).double()
    outputs = {"clean": wrong, "noisy": wrong, "fused": 0.01 * torch.nn.functional.one_hot(targets, 3).double()}
    answer = choose_among(session, outputs, targets, None)
    assert (answer.head, answer.runner_up, answer.margin) == (POOL, "fused", -1.0)


def test_a_modality_that_is_not_read_contributes_exactly_nothing(train, make_spec, monkeypatch):
    # A mean of five equal numbers need not be that number: not for 7 of 500 right.
    monkeypatch.setattr(diagnostics, "_shuffled", lambda *arguments: 7 / 500)
    session, _ = train(make_spec({"strategy": "naive"}, epochs=1, diagnostics={"contributions": False}))
    for found in diagnostics.contributions(session, session.model, "fused", 7 / 500):
        assert (found.drop, found.drop_se) == (0.0, 0.0)


def test_what_was_forgotten_is_compared_after_as_many_epochs(train, make_spec):
    # Early stopping ends the joint training; the network alone must not train on.
    training = {"early_stopping": {"patience": 1}, "optimizer": {"type": "adam", "lr": 0.3}}
    parts = {"epochs": 12, "training": training, "diagnostics": {"forgetting": True}}
    session, events = train(make_spec({"strategy": "naive"}, **parts))
    done = session.counters.epoch
    assert done < 12
    assert events[-1].cost["evaluating"].samples == 2 * len(session.data.split.train) * (done + 2 * PROBE_EPOCHS)


def test_the_error_of_what_was_forgotten_knows_of_groups(make_spec, open_session, make_meter):
    session = open_session(make_spec({"strategy": "naive"}, epochs=1))
    session.counters.epoch = 1
    alone, _ = forgotten(session, make_meter(session))
    session.data = replace(session.data, groups=np.arange(160) // 40)
    grouped, _ = forgotten(session, make_meter(session))
    assert [found.forgotten for found in grouped] == [found.forgotten for found in alone]
    assert grouped[0].forgotten_se != alone[0].forgotten_se


def test_the_pool_is_judged_on_groups_that_it_was_not_fitted_on(trained, targets):
    # One head knows one speaker, the other one the other. Fitted on both speakers the pool does well with both; of a
    # third it would know nothing.
    session = trained(answer=POOL)
    knows, guesses = says(targets, 0.95, 0), says(targets, 0.1, 1)
    first = (torch.arange(ROWS) < ROWS // 2)[:, None]
    outputs = {"clean": torch.where(first, knows, guesses), "noisy": torch.where(first, guesses, knows)}
    outputs["fused"] = says(targets, 0.4, 2)
    alone = choose_among(session, outputs, targets, None)
    grouped = choose_among(session, outputs, targets, np.repeat([0, 1], ROWS // 2))
    assert grouped.pool == alone.pool
    assert grouped.margin < alone.margin - 0.1
