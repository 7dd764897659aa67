"""The job spec: strict scalars, closed unions, names that fit, one canonical form."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from pydantic import ValidationError

from core.spec import JobSpec
from core.spec.data import PretrainedEncoder
from tests.tiny import tiny_spec


def changed(path: str, value: Any) -> dict[str, Any]:
    """The tiny spec with one place replaced."""
    spec = tiny_spec()
    *way, last = path.split(".")
    target: Any = spec
    for step in way:
        target = target[int(step)] if isinstance(target, list) else target[step]
    target[int(last) if isinstance(target, list) else last] = value
    return spec


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "place",
    [
        {"path": "models://bert"},
        {"hub": "google-bert/bert-base-uncased", "revision": COMMIT},
        {"hub": "acme/encoder_v2.1", "revision": COMMIT},
    ],
)
def test_where_a_frozen_encoder_may_come_from(place: dict[str, str]) -> None:
    PretrainedEncoder.model_validate({"type": "transformers", **place})


@pytest.mark.parametrize(
    "place",
    [
        {},
        {"path": "models://bert", "hub": "acme/bert", "revision": COMMIT},
        {"path": "models://bert", "revision": COMMIT},
        {"hub": "acme/bert"},
        {"hub": "acme/bert", "revision": "main"},
        {"hub": "acme/bert", "revision": COMMIT[:-1]},
        {"hub": "acme/bert", "revision": COMMIT.upper()},
        {"hub": "bert", "revision": COMMIT},
        {"hub": "acme/../bert", "revision": COMMIT},
        {"hub": "acme/..", "revision": COMMIT},
        {"hub": "acme/be--rt", "revision": COMMIT},
        {"hub": "acme/bert\n", "revision": COMMIT},
        {"hub": "https://acme/bert", "revision": COMMIT},
    ],
)
def test_where_a_frozen_encoder_may_not_come_from(place: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        PretrainedEncoder.model_validate({"type": "transformers", **place})


def test_the_tiny_spec_is_one() -> None:
    spec = JobSpec.model_validate(tiny_spec())
    assert spec.modality_names == ("clean", "noisy")
    assert spec.head_names == ("clean", "noisy", "fused")
    assert spec.training.epochs == 4


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", True),
        ("seed", "3"),
        ("seed", -1),
        ("training.epochs", 2.5),
        ("training.epochs", 0),
        ("training.optimizer.lr", "0.1"),
        ("training.optimizer.lr", float("nan")),
        ("holdout.fraction", 0.0),
        ("holdout.fraction", 0.6),
        ("training.fine_tune.enabled", 1),
        ("dataset.modalities.0.type", "smell"),
        ("dataset.modalities.0.name", "a.b"),
        ("dataset.modalities.0.name", "fused"),
        ("dataset.modalities.0.name", "clean"),
        ("dataset.modalities.0.encoder", {"name": "cnn"}),
        ("dataset.modalities", [tiny_spec()["dataset"]["modalities"][0]]),
        ("blending", {"strategy": "unimodal", "modality": "taste"}),
        ("blending", {"strategy": "fixed", "weights": {"taste": 1.0}}),
        ("blending", {"strategy": "fixed", "weights": {"clean": 0.0}}),
        ("blending", {"strategy": "online", "super_epochs": {"first": 0}}),
        ("blending", {"strategy": "online", "smoothing": 1.0}),
        ("blending", {"strategy": "online", "warm_up": -1}),
        ("blending", {"strategy": "online", "warm_up": 4}),
        ("blending", {"strategy": "online", "floor": 1.01}),
        ("blending", {"strategy": "online", "floor": -0.1}),
        ("blending", {"strategy": "offline", "floor": {"taste": 0.1}}),
        ("blending", {"strategy": "offline", "floor": {"clean": 1.01}}),
        ("blending", {"strategy": "offline", "smoothing": 0.5}),
        ("blending", {"strategy": "online", "estimator": {"type": "guess"}}),
        ("blending", {"strategy": "online", "estimator": {"type": "exact", "subset": 0.0}}),
        ("blending", {"strategy": "online", "estimator": {"type": "exact", "subset": 1.5}}),
        ("blending", {"strategy": "online", "estimator": {"type": "gradient", "steps": 0}}),
        ("blending", {"strategy": "online", "estimator": {"type": "gradient", "subset": 0.5}}),
        ("dataset.target", {"column": "y", "type": "rank"}),
        ("dataset.target", {"column": "y", "separator": "|"}),
        ("dataset.target", {"column": "y", "type": "multilabel", "separator": ""}),
        ("training.loss", {"class_weights": "some"}),
        ("training.loss", {"class_weights": {"0": 0.0}}),
        ("training.loss", {"label_smoothing": 1.0}),
        ("colour", "blue"),
        ("schema_version", 2),
        ("metadata", {str(k): "" for k in range(17)}),
    ],
)
def test_what_is_refused(path: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        JobSpec.model_validate(changed(path, value))


@pytest.mark.parametrize("floor", [0, 0.25, 1.0, {"fused": 1.0}, {"clean": 1.0, "noisy": 1.0, "fused": 1.0}, {}])
def test_floors_that_leave_room(floor: Any) -> None:
    spec = JobSpec.model_validate(changed("blending", {"strategy": "online", "floor": floor, "warm_up": 3}))
    assert spec.resolved()["blending"]["floor"] == floor


@pytest.mark.parametrize(
    ("blending", "at", "way_out"),
    [
        ({"strategy": "offline"}, ("blending", "offline", "estimator"), "use the strategy 'online'"),
        ({"strategy": "online", "warm_up": 4, "super_epochs": {"first": 1}}, None, "leaves no epoch of 4"),
    ],
)
def test_a_trajectory_needs_a_super_epoch_behind_it(blending: Any, at: Any, way_out: str) -> None:
    with pytest.raises(ValidationError, match=way_out) as caught:
        JobSpec.model_validate(changed("blending", blending | {"estimator": {"type": "trajectory"}}))
    error = caught.value.errors()[0]
    assert at is None or at == tuple(error.get("ctx", {}).get("at") or error["loc"])


@pytest.mark.parametrize("settings", [{"optimizer_state": "live"}, {"type": "exact", "optimizer_state": "live"}])
def test_an_estimator_without_a_type_is_the_exact_one(settings: Any) -> None:
    spec = JobSpec.model_validate(changed("blending", {"strategy": "offline", "estimator": settings}))
    assert spec.resolved()["blending"]["estimator"] == {"type": "exact", "optimizer_state": "live", "subset": 1.0}


def test_errors_of_a_modality_say_which() -> None:
    with pytest.raises(ValidationError) as caught:
        JobSpec.model_validate(changed("dataset.modalities.1.name", "noisy"))
    (error,) = caught.value.errors()
    assert error["loc"] == ("dataset",)
    assert error["ctx"]["at"] == ("modalities", 1, "embedding", "name")
    assert error["msg"] == "two modalities are called 'noisy'; names must differ"


def test_the_canonical_form_writes_every_default_out_and_sorts() -> None:
    spec = JobSpec.model_validate(tiny_spec())
    text = spec.canonical().decode()
    assert text.startswith(
        '{"answer":"auto","blending":{"cap_noise":false,"estimator":{"optimizer_state":"fresh","subset":1.0,"type":"exact"}'
    )
    assert JobSpec.model_validate_json(text) == spec


def test_the_fingerprint_ignores_names_labels_and_scheduling_and_nothing_else() -> None:
    one = JobSpec.model_validate(tiny_spec())
    assert JobSpec.model_validate(tiny_spec(name="x", metadata={"a": "b"})).fingerprint() == one.fingerprint()
    scheduling = {"priority": -100, "queue": "big.gpu_1", "max_runtime_seconds": 7200, "devices": 8}
    assert JobSpec.model_validate(tiny_spec(scheduling=scheduling)).fingerprint() == one.fingerprint()
    assert JobSpec.model_validate(tiny_spec(epochs=5)).fingerprint() != one.fingerprint()
    assert one.fingerprint().startswith("sha256:")
    assert len(one.fingerprint()) == len("sha256:") + 64


def test_a_spec_stored_before_there_was_scheduling_is_the_same_job() -> None:
    """Its checkpoints, which hold the fingerprint, must stay good."""
    spec = JobSpec.model_validate(tiny_spec())
    stored = spec.resolved()
    del stored["scheduling"]
    old = {key: value for key, value in stored.items() if key not in ("name", "metadata")}
    digest = hashlib.sha256(json.dumps(old, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    assert JobSpec.model_validate(stored) == spec
    assert spec.fingerprint() == f"sha256:{digest}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", 101),
        ("priority", -101),
        ("priority", 1.0),
        ("priority", True),
        ("queue", ""),
        ("queue", "Big"),
        ("queue", "-gpu"),
        ("queue", "../etc"),
        ("queue", "g" * 65),
        ("max_runtime_seconds", 0),
        ("max_runtime_seconds", "60"),
        ("max_runtime_seconds", float("inf")),
        ("spread_estimates", 1),
        ("devices", 0),
        ("devices", 65),
        ("devices", 2.0),
        ("deadline", 5),
    ],
)
def test_scheduling_that_means_nothing_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        JobSpec.model_validate(tiny_spec(scheduling={field: value}))
    assert [error["loc"][:2] for error in refused.value.errors()] == [("scheduling", field)]


def test_only_offline_exact_estimates_from_the_initial_model_can_be_spread() -> None:
    spread = {"spread_estimates": True}
    offline = {"strategy": "offline"}
    together = JobSpec.model_validate(tiny_spec(offline))
    assert JobSpec.model_validate(tiny_spec(offline, scheduling=spread)).fingerprint() == together.fingerprint()
    for wrong in (
        tiny_spec({"strategy": "naive"}, scheduling=spread),
        tiny_spec({"strategy": "online", "estimator": {"type": "exact"}}, scheduling=spread),
        tiny_spec(offline | {"estimator": {"type": "gradient"}}, scheduling=spread),
        tiny_spec(offline, scheduling=spread, training={"pretrain_epochs": 1}),
        tiny_spec(offline, scheduling=spread | {"devices": 2}),
    ):
        with pytest.raises(ValidationError, match=r"scheduling\.spread_estimates .* leave"):
            JobSpec.model_validate(wrong)


def test_a_spec_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        JobSpec.model_validate(tiny_spec()).seed = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("task", "loss", "message"),
    [
        (
            "multilabel",
            {"class_weights": "balanced"},
            "training.loss.class_weights needs exclusive classes; the target is of the type 'multilabel'",
        ),
        (
            "regression",
            {"class_weights": {"0": 2.0}},
            "training.loss.class_weights needs exclusive classes; the target is of the type 'regression'",
        ),
        (
            "regression",
            {"label_smoothing": 0.1},
            "training.loss.label_smoothing needs classes; the target is of the type 'regression'",
        ),
    ],
)
def test_a_loss_that_does_not_fit_the_target_is_refused(task: str, loss: dict[str, Any], message: str) -> None:
    spec = changed("training.loss", loss)
    spec["dataset"]["target"] = {"column": "y", "type": task}
    with pytest.raises(ValidationError, match=message):
        JobSpec.model_validate(spec)


@pytest.mark.parametrize(
    ("task", "loss"),
    [
        ("multiclass", {"class_weights": {"0": 2.0}, "label_smoothing": 0.1}),
        ("binary", {"class_weights": "balanced"}),
        ("multilabel", {"class_weights": "none", "label_smoothing": 0.1}),
        ("regression", {"class_weights": "none", "label_smoothing": 0.0}),
    ],
)
def test_a_loss_that_fits_the_target(task: str, loss: dict[str, Any]) -> None:
    spec = changed("training.loss", loss)
    spec["dataset"]["target"] = {"column": "y", "type": task}
    again = JobSpec.model_validate(JobSpec.model_validate(spec).resolved())
    assert again.training.loss.model_dump() == {"class_weights": "none", "label_smoothing": 0.0} | loss


@pytest.mark.parametrize("name", ["fused", "fused_fine_tuned", "heads_average", "heads_pool"])
def test_no_modality_takes_the_name_of_an_answer(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        JobSpec.model_validate(changed("dataset.modalities.1.name", name))
    (error,) = caught.value.errors()
    assert error["ctx"]["at"] == ("modalities", 1, "embedding", "name")
    assert name in error["msg"]


def test_weights_without_a_finite_sum_are_refused() -> None:
    weights = {"strategy": "fixed", "weights": {"clean": 1e308, "noisy": 1e308}}
    with pytest.raises(ValidationError, match="no finite sum"):
        JobSpec.model_validate(tiny_spec(weights))


@pytest.mark.parametrize(
    "blending",
    [
        {"strategy": "online"},
        {"strategy": "online", "floor": {"fused": 1}, "smoothing": 0.5, "estimator": {"type": "trajectory"}},
        {"strategy": "offline", "floor": 0, "cap_noise": False},
        {"strategy": "ogm_ge", "alpha": 1},
    ],
)
def test_a_spec_that_is_written_out_and_read_again_has_its_fingerprint(blending: dict[str, Any]) -> None:
    spec = JobSpec.model_validate(tiny_spec(blending))
    again = JobSpec.model_validate(json.loads(spec.canonical()))
    assert again == spec
    assert again.fingerprint() == spec.fingerprint()
