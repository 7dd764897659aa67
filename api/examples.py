"""Job specs for the OpenAPI document."""

from __future__ import annotations

from fastapi.openapi.models import Example

JOB_SPECS: dict[str, Example] = {
    "online": {
        "summary": "Spoken and written digits, online G-Blend",
        "value": {
            "name": "digits",
            "seed": 0,
            "dataset": {
                "source": {"type": "manifest", "uri": "data://avdigits/manifest.csv"},
                "target": {"column": "label"},
                "modalities": [
                    {"type": "audio", "name": "audio", "column": "audio"},
                    {"type": "image", "name": "image", "column": "image"},
                ],
                "split": {"method": "column", "column": "split", "group_by": ["speaker"]},
            },
            "blending": {"strategy": "online", "super_epochs": {"first": 10, "later": 5}},
            "training": {"epochs": 20},
        },
    },
    "uni-modal": {
        "summary": "The same rows, the sound alone: a baseline",
        "value": {
            "name": "digits, audio alone",
            "dataset": {
                "source": {"type": "manifest", "uri": "data://avdigits/manifest.csv"},
                "target": {"column": "label"},
                "modalities": [
                    {"type": "audio", "name": "audio", "column": "audio"},
                    {"type": "image", "name": "image", "column": "image"},
                ],
                "split": {"method": "draw", "group_by": ["speaker"]},
            },
            "blending": {"strategy": "unimodal", "modality": "audio"},
        },
    },
}
