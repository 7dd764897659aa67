"""What `augment` may say, and what it may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from core.spec.augmentation import AudioAugment, ImageAugment, TimeseriesAugment
from core.spec.data import Modality

ADAPTER: TypeAdapter[Any] = TypeAdapter(Modality)
KINDS: dict[str, dict[str, Any]] = {
    "image": {"name": "m", "type": "image", "column": "c"},
    "audio": {"name": "m", "type": "audio", "column": "c"},
    "timeseries": {"name": "m", "type": "timeseries", "column": "c", "shape": [None, 2]},
}
OFF = {
    "image": {"flip": False, "shift": 0.0, "rotate": 0.0, "erase": 0.0, "brightness": 0.0, "contrast": 0.0},
    "audio": {"time_masks": 0, "time_width": 0.1, "frequency_masks": 0, "frequency_width": 0.1, "shift": 0.0},
    "timeseries": {"jitter": 0.0, "scale": 0.0, "time_masks": 0, "time_width": 0.1, "shift": 0.0},
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_everything_is_off_by_default(kind: str) -> None:
    modality = ADAPTER.validate_python(KINDS[kind])
    assert modality.model_dump(mode="json")["augment"] == OFF[kind]
    assert ADAPTER.validate_python(KINDS[kind] | {"augment": OFF[kind]}) == modality


@pytest.mark.parametrize(
    ("model", "most"),
    [
        (ImageAugment, {"flip": True, "shift": 0.5, "rotate": 180, "erase": 0.5, "brightness": 1, "contrast": 1}),
        (
            AudioAugment,
            {"time_masks": 16, "time_width": 0.5, "frequency_masks": 16, "frequency_width": 0.5, "shift": 0.5},
        ),
        (TimeseriesAugment, {"jitter": 1, "scale": 1, "time_masks": 16, "time_width": 0.5, "shift": 0.5}),
    ],
)
def test_the_most_of_everything(model: Any, most: dict[str, Any]) -> None:
    assert model(**most).model_dump() == most
    for field, value in most.items():
        if field != "flip":
            with pytest.raises(ValidationError):
                model(**most | {field: value + (1 if isinstance(value, int) else 0.01)})


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("image", "flip", 1),
        ("image", "shift", -0.1),
        ("image", "rotate", 180.5),
        ("image", "erase", "0.1"),
        ("image", "contrast", float("nan")),
        ("image", "jitter", 0.1),
        ("audio", "time_masks", 1.5),
        ("audio", "time_masks", True),
        ("audio", "time_masks", -1),
        ("audio", "frequency_width", 0.0),
        ("audio", "mels", 3),
        ("timeseries", "scale", float("inf")),
        ("timeseries", "frequency_masks", 1),
    ],
)
def test_what_is_out_of_range_or_unknown_is_refused_at_its_place(kind: str, field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        ADAPTER.validate_python(KINDS[kind] | {"augment": {field: value}})
    assert [error["loc"] for error in refused.value.errors()] == [(kind, "augment", field)]


@pytest.mark.parametrize("kind", ["video", "embedding"])
def test_other_types_have_none(kind: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ADAPTER.validate_python({"name": "m", "type": kind, "column": "c", "augment": {}})
    assert [error["type"] for error in refused.value.errors()] == ["extra_forbidden"]


@pytest.mark.parametrize("field", ["time_masks", "frequency_masks"])
def test_masks_want_values_whose_mean_is_0(field: str) -> None:
    raw = KINDS["audio"] | {"augment": {field: 1}}
    with pytest.raises(ValidationError, match=r"set preprocess\.standardise to 'per_band' or 'global'") as refused:
        ADAPTER.validate_python(raw | {"preprocess": {"standardise": "none"}})
    assert refused.value.errors()[0]["ctx"]["at"] == ("augment", field)
    ADAPTER.validate_python(raw | {"preprocess": {"standardise": "global"}})
    ADAPTER.validate_python(KINDS["audio"] | {"augment": {"shift": 0.1}, "preprocess": {"standardise": "none"}})
