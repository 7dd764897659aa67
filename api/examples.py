"""Job specs and experiments for the OpenAPI document."""

from __future__ import annotations

from fastapi.openapi.models import Example

_DIGITS = {
    "source": {"type": "manifest", "uri": "data://avdigits/manifest.csv"},
    "target": {"column": "label"},
    "modalities": [
        {"type": "audio", "name": "audio", "column": "audio"},
        {"type": "image", "name": "image", "column": "image"},
    ],
    "split": {"method": "column", "column": "split", "group_by": ["speaker"]},
}

JOB_SPECS: dict[str, Example] = {
    "online": {
        "summary": "Spoken and written digits, online G-Blend",
        "value": {
            "name": "digits",
            "seed": 0,
            "dataset": _DIGITS,
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

DATASETS: dict[str, Example] = {
    "digits": {
        "summary": "Spoken and written digits, a speaker never on two sides",
        "value": {
            "name": "digits",
            "dataset": _DIGITS,
            "holdout": {"fraction": 0.2},
        },
    }
}

PLACES: dict[str, Example] = {
    "table": {"summary": "A table", "value": {"uri": "data://avdigits/manifest.csv"}},
    "folder": {
        "summary": "A folder, and which column is the target",
        "value": {"uri": "data://pets", "target": "label"},
    },
}

EXPERIMENTS: dict[str, Example] = {
    "well-known": {
        "summary": "Each modality alone, naive, equal weights and G-Blend, three seeds",
        "value": {
            "name": "digits, all strategies",
            "job": JOB_SPECS["online"]["value"],
            "strategies": ["unimodal:audio", "unimodal:image", "naive", "equal", "offline", "online"],
            "seeds": [0, 1, 2],
        },
    },
    "own": {
        "summary": "Two policies of online G-Blend against naive, and naive with dropout",
        "value": {
            "name": "policies",
            "job": JOB_SPECS["online"]["value"],
            "strategies": [
                "naive",
                {"name": "naive + dropout", "changes": {"blending": {"strategy": "naive"}, "model": {"dropout": 0.5}}},
                {"name": "shrunk", "changes": {"blending": {"policy": "shrunk"}}},
                {
                    "name": "paper",
                    "description": "The raw G / O^2, as printed.",
                    "changes": {"blending": {"policy": "paper"}},
                },
            ],
            "seeds": [0, 1, 2, 3, 4],
        },
    },
}
