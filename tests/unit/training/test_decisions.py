"""From the spec to how weights are steered, and what a run with groups, floors, smoothing and a warm-up tells."""

import numpy as np
import pytest

from core.blend import Steering, SuperEpoch, decide
from core.events import SuperEpochWeights
from core.spec import JobSpec, OfflineBlending, OnlineBlending
from core.training.decisions import given, steering
from tests.tiny import tiny_spec

HEADS = ("clean", "noisy", "fused")


def test_a_number_is_the_floor_of_every_head_in_shares_of_the_equal_weight():
    blending = OnlineBlending(policy="correlated", floor=0.75, smoothing=0.5, cap_noise=False)
    assert steering(blending, HEADS) == Steering(
        policy="correlated", smoothing=0.5, floors={"clean": 0.25, "noisy": 0.25, "fused": 0.25}, joint="fused"
    )


def test_a_mapping_is_the_floor_of_the_heads_it_names():
    assert steering(OfflineBlending(floor={"fused": 0.6}), HEADS) == Steering(
        policy="shrunk", cap_noise=True, smoothing=0.0, floors={"fused": pytest.approx(0.2)}, joint="fused"
    )


@pytest.mark.parametrize(
    ("policy", "fused", "flags"),
    [
        ("fixed", 0.05, ("not_estimated", "starved")),
        ("fixed", 0.09, ("not_estimated",)),
        ("unimodal", 0.0, ("not_estimated",)),
    ],
)
def test_weights_by_hand_can_starve_the_fused_head(policy, fused, flags):
    event = given(SuperEpoch(0, 0, 4), policy, {"clean": 1.0 - fused, "noisy": 0.0, "fused": fused})
    assert [head.flags for head in event.heads] == [("not_estimated",), ("not_estimated",), flags]


def write_grouped(folder):
    """The tiny set once more with eight speakers in train."""
    rng = np.random.default_rng(5)
    labels = np.arange(160) % 3
    centres = rng.normal(size=(3, 6))
    np.savez(
        folder / "grouped.npz",
        clean=(centres[labels] + 0.8 * rng.normal(size=(160, 6))).astype(np.float32),
        noisy=rng.normal(size=(160, 20)).astype(np.float32),
        y=labels,
        part=np.array((["train"] * 7 + ["validation"] + ["test"] * 2) * 16),
        speaker=(np.arange(160) // 10) % 8,
    )


@pytest.fixture
def history(train, roots):
    def of(holdout, blending):
        write_grouped(roots["data"])
        raw = tiny_spec(blending, holdout=holdout)
        raw["dataset"]["source"]["uri"] = "data://grouped.npz"
        _, events = train(JobSpec.model_validate(raw))
        return [event for event in events if isinstance(event, SuperEpochWeights)]

    return of


def test_a_run_with_a_warm_up_smoothing_floors_and_groups(history):
    blending = {
        "strategy": "online",
        "policy": "correlated",
        "super_epochs": {"first": 1, "later": 1},
        "warm_up": 2,
        "smoothing": 0.5,
        "floor": {"fused": 0.6, "noisy": 0.15},
        "cap_noise": False,
    }
    start, *later = history({"fraction": 0.25, "group_by": ["speaker"]}, blending)
    assert (start.policy, start.first_epoch, start.epochs) == ("warm_up", 0, 2)
    assert [head.weight for head in start.heads] == [1 / 3, 1 / 3, 1 / 3]
    assert [(event.policy, event.first_epoch) for event in later] == [("correlated", 2), ("correlated", 3)]
    previous = start
    for event in later:
        weights, before = ({head.head: head.weight for head in said.heads} for said in (event, previous))
        assert sum(weights.values()) == pytest.approx(1.0)
        assert weights["fused"] >= 0.2 - 1e-12
        assert weights["noisy"] >= 0.05 - 1e-12
        smooth = {head: 0.5 * before[head] + 0.5 * event.alternatives["correlated"][head] for head in before}
        if smooth["fused"] >= 0.2 and smooth["noisy"] >= 0.05:
            assert weights == pytest.approx(smooth)
        assert all("one_group" not in head.flags for head in event.heads)
        previous = event


@pytest.mark.parametrize("estimator", ["gradient", "trajectory", "exact"])
def test_a_modality_without_content_never_gets_more_than_the_equal_share(train, roots, estimator):
    with np.load(roots["data"] / "tiny.npz") as made:
        np.savez(roots["data"] / "blank.npz", **made, blank=np.ones((160, 5), dtype=np.float32))
    raw = tiny_spec({"strategy": "online", "super_epochs": {"first": 2, "later": 2}, "estimator": {"type": estimator}})
    raw["dataset"]["source"]["uri"] = "data://blank.npz"
    raw["dataset"]["modalities"].append({"name": "blank", "type": "embedding", "column": "blank"})
    raw["training"]["epochs"] = 12
    _, events = train(JobSpec.model_validate(raw))
    decided = [event for event in events if isinstance(event, SuperEpochWeights)]
    assert max(event.alternatives.get("shrunk", {}).get("blank", 0.0) for event in decided) > 0.5
    blank = [head for event in decided for head in event.heads if head.head == "blank"]
    assert len(blank) == 6
    assert max(head.weight for head in blank) <= 0.25 + 1e-12
    assert all("noise_dominated" in head.flags or "not_estimated" in head.flags for head in blank)
    assert any("capped" in head.flags for head in blank)


def test_a_v_of_one_speaker_is_flagged_in_the_history(history):
    (event,) = history({"fraction": 0.05, "group_by": ["speaker"]}, {"strategy": "offline"})
    assert all("one_group" in head.flags for head in event.heads)


def test_the_errors_of_an_estimate_are_told_the_groups_of_its_rows(train, roots, monkeypatch):
    told = []

    def listening(losses, *arguments, **options):
        told.append((options["train_groups"], options["holdout_groups"]))
        return decide(losses, *arguments, **options)

    monkeypatch.setattr("core.training.run.decide", listening)
    write_grouped(roots["data"])
    raw = tiny_spec({"strategy": "offline"}, holdout={"fraction": 0.25, "group_by": ["speaker"]})
    raw["dataset"]["source"]["uri"] = "data://grouped.npz"
    session, _ = train(JobSpec.model_validate(raw))
    ((train_groups, holdout_groups),) = told
    # Row r belongs to speaker (r // 10) % 8.
    assert train_groups.tolist() == (session.data.source_rows[session.data.split.train] // 10 % 8).tolist()
    assert holdout_groups.tolist() == (session.data.source_rows[session.data.split.holdout] // 10 % 8).tolist()
    assert not set(train_groups.tolist()) & set(holdout_groups.tolist())


@pytest.mark.parametrize(
    ("estimator", "rows_of_t"),
    [({"type": "exact"}, 84), ({"type": "exact", "subset": 0.5}, 42), ({"type": "gradient", "rows": 16}, 16)],
)
def test_the_errors_of_an_estimate_are_told_the_strata_of_its_rows(train, monkeypatch, estimator, rows_of_t):
    told = []

    def listening(losses, *arguments, **options):
        told.append((losses, options))
        return decide(losses, *arguments, **options)

    monkeypatch.setattr("core.training.run.decide", listening)
    session, _ = train(JobSpec.model_validate(tiny_spec({"strategy": "offline", "estimator": estimator})))
    ((losses, options),) = told
    classes = session.data.targets
    for part, rows in (("train", session.data.split.train), ("holdout", session.data.split.holdout)):
        strata = options[f"{part}_strata"]
        assert len(strata) == len(getattr(losses["fused"], f"{part}_before"))
        share = np.bincount(strata) / len(strata) - np.bincount(classes[rows]) / len(rows)
        assert (abs(share) <= 1.0 / len(strata)).all()
    assert len(options["train_strata"]) == rows_of_t
    assert options["train_groups"] is None
    assert options["train_population"] == len(session.data.split.train)
