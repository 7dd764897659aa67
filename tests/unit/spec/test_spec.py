"""The job spec: strict scalars, closed unions, names that fit, one canonical form."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from core.spec import JobSpec
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
        ("colour", "blue"),
        ("schema_version", 2),
        ("metadata", {str(k): "" for k in range(17)}),
    ],
)
def test_what_is_refused(path: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        JobSpec.model_validate(changed(path, value))


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
    assert text.startswith('{"answer":"auto","blending":{"estimator":{"optimizer_state":"fresh","type":"exact"}')
    assert JobSpec.model_validate_json(text) == spec


def test_the_fingerprint_ignores_names_and_labels_and_nothing_else() -> None:
    one = JobSpec.model_validate(tiny_spec())
    assert JobSpec.model_validate(tiny_spec(name="x", metadata={"a": "b"})).fingerprint() == one.fingerprint()
    assert JobSpec.model_validate(tiny_spec(epochs=5)).fingerprint() != one.fingerprint()
    assert one.fingerprint().startswith("sha256:")
    assert len(one.fingerprint()) == len("sha256:") + 64


def test_a_spec_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        JobSpec.model_validate(tiny_spec()).seed = 4  # type: ignore[misc]
