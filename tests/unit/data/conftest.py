"""A data root that exists only for the test."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What `data://` means."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def roots(root: Path, tmp_path: Path) -> dict[str, Path]:
    """The roots of a spec's URIs."""
    (tmp_path / "models").mkdir()
    return {"data": root, "models": tmp_path / "models"}
