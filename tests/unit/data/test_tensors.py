"""safetensors files; and headers that lie."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.data.dataset import prepare
from core.data.sources import Limits, Source, open_source
from core.data.validation import check
from core.errors import DataError
from core.spec.data import ArraysSource
from tests.unit.data.builders import errors, job

Roots = dict[str, Path]


def opened(roots: Roots, wanted: tuple[str, ...] = ("y", "x", "v"), limits: Limits | None = None) -> Source:
    return open_source(ArraysSource(uri="data://t.safetensors"), roots, wanted=wanted, limits=limits)


def refused(roots: Roots, raw: bytes | None = None, limits: Limits | None = None) -> str:
    if raw is not None:
        (roots["data"] / "t.safetensors").write_bytes(raw)
    with pytest.raises(DataError) as raised:
        opened(roots, limits=limits).read(["y", "x", "v"])
    (issue,) = raised.value.issues
    assert issue.pointer == "#/dataset/source/uri"
    assert str(roots["data"]) not in issue.detail
    return issue.code


def arrays(n: int = 20) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    return {
        "y": np.arange(n) % 2,
        "x": draw.normal(size=(n, 5, 2)).astype(np.float32),
        "v": draw.normal(size=(n, 3)).astype(np.float16),
    }


def lying(header: dict[str, Any], body: bytes = b"") -> bytes:
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + body


def test_through_both_tiers(roots: Roots) -> None:
    save_file(arrays(), roots["data"] / "t.safetensors")
    spec = job(
        {
            "source": {"type": "arrays", "uri": "data://t.safetensors"},
            "target": {"column": "y"},
            "modalities": [
                {"name": "series", "type": "timeseries", "column": "x", "shape": [None, 2]},
                {"name": "vector", "type": "embedding", "column": "v"},
            ],
        }
    )
    assert errors(check(spec.dataset, spec.holdout, roots)) == []
    data = prepare(spec, roots)
    assert data.targets.tolist() == [0, 1] * 10
    assert data.modalities["series"].shape == (5, 2)


def test_kinds(roots: Roots) -> None:
    values = {"y": np.array([True, False]), "x": np.array([1.0, np.nan]), "v": np.zeros((2, 3), np.int8)}
    save_file({**values, "scalar": np.array(1.0)}, roots["data"] / "t.safetensors")
    source = opened(roots)
    kinds = {name: header.kind for name, header in source.headers.items()}
    assert kinds == {"y": "boolean", "x": "number", "v": "array", "scalar": "unsupported"}
    assert source.headers["v"].shape == (3,)
    assert source.read(["x"]).columns["x"].missing.tolist() == [False, True]


def test_types_that_numpy_does_not_know_are_named(roots: Roots) -> None:
    raw = lying({"v": {"dtype": "BF16", "shape": [2, 1], "data_offsets": [0, 4]}}, bytes(4))
    (roots["data"] / "t.safetensors").write_bytes(raw)
    header = opened(roots).headers["v"]
    assert (header.kind, header.dtype) == ("unsupported", "BF16[2, 1]")


def test_arrays_of_different_lengths(roots: Roots) -> None:
    save_file({"y": np.zeros(3), "x": np.zeros((4, 2))}, roots["data"] / "t.safetensors")
    assert refused(roots) == "value.shape"


def test_arrays_that_are_too_large(roots: Roots) -> None:
    save_file(arrays(), roots["data"] / "t.safetensors")
    assert refused(roots, limits=Limits(array_bytes=1000)) == "source.too_large"
    assert refused(roots, limits=Limits(rows=19)) == "source.too_large"


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 5 * 2**20) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        struct.pack("<Q", 3) + b"\xff\xff\xff",
        lying({"y": {"dtype": "F64", "shape": [10**12], "data_offsets": [0, 8 * 10**12]}}, bytes(8)),
        lying({"y": {"dtype": "F64", "shape": [2], "data_offsets": [0, 8]}}, bytes(8)),
        lying({"y": {"dtype": "F64", "shape": [1], "data_offsets": [8, 0]}}, bytes(8)),
        lying({"y": {"dtype": "object", "shape": [1], "data_offsets": [0, 8]}}, bytes(8)),
        lying({"y": {"dtype": "F64", "shape": [2**62, 4], "data_offsets": [0, 8]}}, bytes(8)),
    ],
)
def test_headers_that_lie(roots: Roots, raw: bytes) -> None:
    assert refused(roots, raw) == "source.malformed"


def test_a_file_without_arrays_or_bytes(roots: Roots) -> None:
    assert refused(roots, lying({})) == "source.empty"
    assert refused(roots, b"") == "source.empty"


def test_a_header_that_is_true_and_too_large(roots: Roots) -> None:
    header = json.dumps({"y": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}).encode()
    assert refused(roots, struct.pack("<Q", 5 * 2**20) + header.ljust(5 * 2**20) + bytes(8)) == "source.malformed"
    (roots["data"] / "t.safetensors").write_bytes(struct.pack("<Q", 2**20) + header.ljust(2**20) + bytes(8))
    assert opened(roots).rows == 1
