"""What `trainable` of a pretrained encoder may say, and what goes with it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from api.spec_errors import body_errors
from core.spec import JobSpec
from core.spec.data import PretrainedEncoder
from tests.tuned import tuned_spec


def refused(raw: dict[str, Any]) -> list[tuple[str, str | None, str, str | None]]:
    with pytest.raises(ValidationError) as caught:
        JobSpec.model_validate(raw)
    found = [{**error, "loc": ("body", *error["loc"])} for error in caught.value.errors()]
    return [(error.code, error.pointer, error.detail, error.hint) for error in body_errors(found)]


@pytest.mark.parametrize(
    ("trainable", "is_frozen", "last_blocks"),
    [("none", True, None), ("all", False, None), ("last_n:1", False, 1), ("last_n:12", False, 12)],
)
def test_what_trainable_may_say(trainable: str, is_frozen: bool, last_blocks: int | None) -> None:
    encoder = PretrainedEncoder(type="transformers", path="models://m", trainable=trainable)
    assert (encoder.is_frozen, encoder.last_blocks) == (is_frozen, last_blocks)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (2, "2"),
        (True, "True"),
        ("last_n", "'last_n'"),
        ("last_n:0", "'last_n:0'"),
        ("last_n:-1", "'last_n:-1'"),
        ("last_n:1000", "'last_n:1000'"),
        ("last_n: 2", "'last_n: 2'"),
        ("all\n", "'all\\n'"),
        ("ALL", "'ALL'"),
        ({"last_n": 2}, "{'last_n': 2}"),
    ],
)
def test_what_it_may_not_say(value: Any, shown: str) -> None:
    raw = tuned_spec()
    raw["dataset"]["modalities"][0]["encoder"]["trainable"] = value
    ((code, pointer, detail, hint),) = refused(raw)
    assert (code, pointer) == ("spec.value", "#/dataset/modalities/0/encoder/trainable")
    assert detail == f'must be "none", "all" or "last_n:K" with K from 1 to 999, as "last_n:2"; got {shown}'
    assert hint is not None
    assert hint.startswith("`none`: the model stays as it is.")


def test_the_schema_says_it_too() -> None:
    told = PretrainedEncoder.model_json_schema()["properties"]["trainable"]
    assert (told["pattern"], told["default"]) == ("^(none|last_n:[1-9][0-9]{0,2}|all)$", "none")


@pytest.mark.parametrize(
    ("modality", "trainable", "augment", "reason"),
    [
        ("face", "none", {"flip": True}, "the features of a frozen model are computed once"),
        ("voice", "none", {"shift": 0.1}, "the features of a frozen model are computed once"),
        ("voice", "all", {"time_masks": 1}, "what a pretrained model of sounds reads is not varied"),
    ],
)
def test_what_cannot_be_varied(modality: str, trainable: str, augment: dict[str, Any], reason: str) -> None:
    raw = tuned_spec(("words", modality), trainable=trainable)
    raw["dataset"]["modalities"][1]["augment"] = augment
    ((code, pointer, detail, _),) = refused(raw)
    assert (code, pointer) == ("spec.value", "#/dataset/modalities/1/augment")
    assert detail.startswith(reason)


def test_pictures_of_a_trained_model_can() -> None:
    raw = tuned_spec(trainable="last_n:1")
    raw["dataset"]["modalities"][1]["augment"] = {"flip": True}
    JobSpec.model_validate(raw)
