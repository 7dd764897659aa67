"""What a started process inherits."""

from __future__ import annotations

import os

import pytest

from api.process import ROOT, environment


def test_a_child_finds_the_packages_that_we_run_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert environment()["PYTHONPATH"] == str(ROOT)
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    assert environment()["PYTHONPATH"] == f"{ROOT}{os.pathsep}elsewhere"
    assert (ROOT / "core" / "spec" / "job.py").is_file()
